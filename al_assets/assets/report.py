"""kappa_report: whether the model agrees with the experts as well as they agree with one another."""

from dataclasses import fields

import dagster as dg
import polars as pl

from al_assets.agreement.core.figures import estimate_of
from al_assets.agreement.population.panel_renewal import panel_renewal
from al_assets.agreement.report import iteration_report as agreement_report
from al_assets.agreement.report.iteration_report import frame_of, student_labels, verdict_of
from al_assets.agreement.stopping import StoppingRules
from al_assets.assets.loop_assets import Declaration, TableOutput, loop_asset, require_previous_iteration, table_output
from al_assets.assets.metadata import picture, table
from al_assets.assets.resource import LoopResource
from al_assets.models.incumbent import successor
from al_assets.partitions import FIRST_KEY, Job, next_key
from al_assets.report.drawing import report_pictures
from al_assets.report.iteration_tables import calibration_rules, last_change, read_tables
from al_assets.storage.root import RunRoot, data_version
from al_assets.tables import KAPPA_REPORT

PICTURES = {
    "history": "kappa_over_iterations",
    "beside": "population_beside_boundary",
    "matrix": "who_agrees_with_whom",
    "yield": "curation_yield",
    "reliability": "reliability",
}
RULE_SETTINGS = {field.name for field in fields(StoppingRules) if field.init}


@loop_asset(
    "learning",
    {"statistics"},
    Declaration(
        KAPPA_REPORT,
        Job.LEARN,
        algorithm=2,
        depends_on=lambda policy: [
            policy.stopping.fingerprint(),
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
    key, stopping = context.partition_key, loop.policy.stopping
    earlier = [each for each in loop.root.table_keys("kappa_report") if each < key]
    history = {each: loop.root.read_table("kappa_report", each) for each in earlier}
    figures = agreement_report.kappa_report(
        iteration=key,
        votes=expert_labels,
        split=label_split,
        scores=evaluation_scores,
        expected_prevalence=loop.policy.policy.expected_prevalence,
        labels=label_split.height,
        rules=StoppingRules(**stopping.model_dump(include=RULE_SETTINGS)),
        calibration=calibration_rules(loop.policy),
        history=history,
        earlier_labels={each: _labels_of(loop.root, each, report) for each, report in history.items()},
        resamples=stopping.resamples,
        seed=stopping.seed,
    )
    report = KAPPA_REPORT.check(pl.concat([frame_of(figures), _watermark(expert_labels)]))
    _announce_successor(context, loop.root, key, report)
    verdict, reason = verdict_of(report)
    tables = read_tables(loop.policy, key, report=report)
    shown = [each for each in report.iter_rows(named=True) if each["figure"].endswith("_kappa")]
    return table_output(
        report,
        {
            "verdict": verdict,
            "reason": reason,
            "labels": label_split.height,
            "panel": _panel_state(loop.root, key),
            "kappas": table(pl.DataFrame(shown, schema=report.schema).drop("detail")),
            "all_figures": table(report, longest=200),
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


def _watermark(expert_labels: pl.DataFrame) -> pl.DataFrame:
    row = {
        "figure": "watermark",
        "scope": "loop",
        "estimate": float(last_change(expert_labels)),
        "detail": "last answer, withdrawal or adjudication in the ledger that this report rests on",
    }
    return pl.DataFrame([row], schema=KAPPA_REPORT.schema)


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
