"""incumbent_model: who labels this iteration, where the loop closes; pseudo_labels: what it thinks of every item."""

import dagster as dg
import polars as pl

from al_assets.agreement.population.thresholds import prevalence_threshold
from al_assets.assets.loop_assets import (
    Declaration,
    TableOutput,
    loop_asset,
    require_previous_iteration,
    table_output,
)
from al_assets.assets.metadata import picture, progress_logger, table
from al_assets.assets.pool import representatives
from al_assets.assets.resource import LoopResource
from al_assets.models.incumbent import Incumbent, incumbent_of, open_incumbent
from al_assets.models.opinions import Opinions, opinions_on_pool
from al_assets.partitions import Job, previous_key
from al_assets.pictures import score_histogram
from al_assets.tables import INCUMBENT_MODEL, PSEUDO_LABELS


@loop_asset(
    "pool",
    {"model"},
    Declaration(
        INCUMBENT_MODEL,
        Job.CURATE,
        depends_on=lambda policy: [policy.labeler.fingerprint(), policy.policy.fingerprint()],
    ),
)
def incumbent_model(context: dg.AssetExecutionContext, loop: LoopResource) -> TableOutput:
    """The labeler of this iteration: LLM-0 in 0000, later the student of the iteration before if it was promoted."""
    require_previous_iteration(context, loop.root)
    incumbent = incumbent_of(loop.policy, loop.root, context.partition_key)
    return table_output(
        incumbent.frame(),
        {"kind": incumbent.kind, "uri": incumbent.uri, "promoted_from": incumbent.promoted_from or "LLM-0"},
    )


@loop_asset(
    "curation",
    {"model", "polars"},
    Declaration(
        PSEUDO_LABELS, Job.CURATE, algorithm=2, depends_on=lambda policy: [str(policy.policy.expected_prevalence)]
    ),
)
def pseudo_labels(
    context: dg.AssetExecutionContext, loop: LoopResource, incumbent_model: pl.DataFrame, pool: pl.DataFrame
) -> TableOutput:
    """The incumbent's score and label for every item; a killed run resumes and repeats at most one batch."""
    incumbent = Incumbent.of(incumbent_model)
    items = representatives(pool)
    store = loop.root.scores(incumbent.fingerprint)
    with open_incumbent(incumbent, loop.policy, loop.root) as labeler:
        opinions = opinions_on_pool(
            labeler, items["text_hash"].to_list(), items["text"].to_list(), store, progress_logger(context, "labelled")
        )
    frame = _called(items, opinions, incumbent, loop.policy.policy.expected_prevalence)
    scores, labels, threshold = opinions.p_positive, frame["label"].to_numpy(), float(frame["threshold"][0])
    members = {} if opinions.members.is_empty() else {"members": table(opinions.member_table(labels))}
    return table_output(
        frame,
        {
            **members,
            "labeler": incumbent.uri,
            "positive_share": float(labels.mean()),
            "threshold": threshold,
            "threshold_from": "expected prevalence"
            if incumbent.threshold is None
            else f"report of {previous_key(context.partition_key)}",
            "score_histogram": picture(score_histogram(scores, threshold)),
        },
    )


def _called(items: pl.DataFrame, opinions: Opinions, incumbent: Incumbent, expected_prevalence: float) -> pl.DataFrame:
    """Return the scores with labels; a labeler without a threshold of its own calls as many positive as expected."""
    scores, threshold = opinions.p_positive, incumbent.threshold
    if threshold is None:
        threshold = prevalence_threshold(scores, expected_prevalence)
    return pl.DataFrame(
        {
            "item_id": items["item_id"],
            "p_positive": scores,
            "label": scores >= threshold,
            "threshold": threshold,
            "labeler_fingerprint": incumbent.fingerprint,
            "disagreement": opinions.disagreement,
        },
        schema_overrides={"disagreement": pl.Float64},
    )
