"""kappa_report: whether the model agrees with the experts as well as they agree with one another."""

from dataclasses import fields

import dagster as dg
import polars as pl

from al_assets.agreement.core.figures import estimate_of
from al_assets.agreement.population.panel_renewal import panel_renewal
from al_assets.agreement.population.student_threshold import student_labels
from al_assets.agreement.report import ReportSettings, agreement_report
from al_assets.agreement.stopping.conclusion import Conclusion, name_of
from al_assets.agreement.stopping.rules import StoppingRules
from al_assets.assets.loop_assets import Declaration, TableOutput, loop_asset, require_previous_iteration, table_output
from al_assets.assets.metadata import picture, table
from al_assets.assets.queue import require_check_votes
from al_assets.assets.resource import LoopResource
from al_assets.models.incumbent import recommended_of, successor
from al_assets.partitions import FIRST_KEY, Job, next_key
from al_assets.report.drawing import report_pictures
from al_assets.report.iteration_tables import calibration_rules, last_change, read_tables
from al_assets.storage.pool_frame import asked_so_far, pool_frame
from al_assets.storage.root import RunRoot, data_version
from al_assets.tables import KAPPA_REPORT

PICTURES = {
    "history": "kappa_over_iterations",
    "beside": "population_beside_boundary",
    "matrix": "who_agrees_with_whom",
    "yield": "curation_yield",
    "reliability": "reliability",
}
RULE_SETTINGS = {field.name for field in fields(StoppingRules)}
SAME_IN_EVERY_ROW = [field.name for field in fields(Conclusion)]


@loop_asset(
    "learning",
    {"statistics"},
    Declaration(
        KAPPA_REPORT,
        Job.REPORT,
        algorithm=4,
        depends_on=lambda policy: [
            # How many check items are asked for changes what is asked next, and no report of what was asked.
            policy.stopping.model_copy(update={"check_items": 0}).fingerprint(),
            str(policy.policy.expected_prevalence),
            policy.calibration.fingerprint(),
        ],
    ),
    deps=["sft_checkpoint", "incumbent_model"],
)
def kappa_report(
    context: dg.AssetExecutionContext,
    loop: LoopResource,
    expert_labels: pl.DataFrame,
    label_split: pl.DataFrame,
    evaluation_scores: pl.DataFrame,
) -> TableOutput:
    """Every figure with its interval, the verdict and its reason; tells the next iteration who labels it."""
    require_previous_iteration(context, loop.root)
    require_check_votes(loop, context.partition_key, expert_labels)
    key, stopping = context.partition_key, loop.policy.stopping
    earlier = [each for each in loop.root.table_keys("kappa_report") if each < key]
    history = {each: loop.root.read_table("kappa_report", each) for each in earlier}
    made = agreement_report(
        expert_labels,
        evaluation_scores,
        split=label_split,
        iteration=key,
        labels=label_split.height,
        asked=asked_so_far(loop.root, key),
        frame=pool_frame(loop.root, key),
        recommended=recommended_of(loop.root, key)[0],
        history=history,
        earlier_labels={past: _labels_of(loop.root, past, report) for past, report in history.items()},
        settings=ReportSettings(
            expected_prevalence=loop.policy.policy.expected_prevalence,
            rules=StoppingRules(**stopping.model_dump(include=RULE_SETTINGS)),
            calibration=calibration_rules(loop.policy),
            resamples=stopping.resamples,
            seed=stopping.seed,
        ),
    )
    report = made.frame(watermark=last_change(expert_labels))
    _announce_successor(context, loop.root, key, report)
    tables = read_tables(loop.policy, key, report=report)
    figures = report.drop(SAME_IN_EVERY_ROW)
    return table_output(
        report,
        {
            "verdict": made.conclusion.verdict,
            "reason": made.conclusion.verdict_reason,
            "recommended": name_of(made.conclusion.recommended),
            "better": made.conclusion.better_reason,
            "labels": label_split.height,
            "panel": _panel_state(loop.root, key),
            "kappas": table(figures.filter(pl.col("figure").str.ends_with("_kappa")).drop("detail")),
            "all_figures": table(figures, longest=200),
            **{PICTURES[name]: picture(png) for name, png in report_pictures(tables).items()},
        },
    )


def _panel_state(root: RunRoot, key: str) -> str:
    """Say whether the panel still stands for the pool: one labeler's scores of the pool then and now.

    The present incumbent scored every item of the pool, those of the first snapshot among them.
    """
    scores = root.read_table("pseudo_labels", key).select("item_id", "p_positive")
    first = scores.join(root.read_table("pool", FIRST_KEY).select("item_id"), on="item_id", how="semi")
    return panel_renewal(first["p_positive"].to_numpy(), scores["p_positive"].to_numpy()).reason


def _labels_of(root: RunRoot, key: str, report: pl.DataFrame) -> pl.DataFrame:
    return student_labels(root.read_table("evaluation_scores", key), estimate_of(report, "threshold", "pool"))


def _announce_successor(context: dg.AssetExecutionContext, root: RunRoot, key: str, report: pl.DataFrame) -> None:
    """Log who labels the next iteration: a retrained student then shows there as a reason to be stale.

    Dagster refuses a cycle among assets, so the loop is closed by this event instead of a dependency.
    """
    incumbent = successor(root, key, report)
    version = data_version(incumbent.frame())
    context.log_event(
        dg.AssetMaterialization(
            dg.AssetKey("incumbent_model"),
            partition=next_key(key),
            description=f"resolved by the report of iteration {key}",
            metadata={"uri": incumbent.uri, "promoted_from": incumbent.promoted_from or "LLM-0"},
            tags={"dagster/data_version": version},
        )
    )
