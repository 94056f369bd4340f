"""pseudo_labels: what the incumbent thinks of every item of the pool."""

import dagster as dg
import polars as pl

from al_assets.agreement.population.thresholds import prevalence_threshold
from al_assets.assets.metadata import picture, progress_logger, table
from al_assets.assets.partitioned import TableOutput, loop_asset, table_output
from al_assets.assets.pool import representatives
from al_assets.assets.resource import LoopResource
from al_assets.models.incumbent import Incumbent, open_incumbent
from al_assets.models.opinions import opinions_on_pool
from al_assets.pictures import score_histogram


@loop_asset("curation", {"model", "polars"})
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
    scores = opinions.p_positive
    expected = loop.policy.policy.expected_prevalence
    threshold = prevalence_threshold(scores, expected) if incumbent.threshold is None else incumbent.threshold
    labels = scores >= threshold
    frame = pl.DataFrame(
        {
            "item_id": items["item_id"],
            "p_positive": scores,
            "label": labels,
            "threshold": threshold,
            "labeler_fingerprint": incumbent.fingerprint,
            "disagreement": opinions.disagreement,
        },
        schema_overrides={"disagreement": pl.Float64},
    )
    members = {} if opinions.members.is_empty() else {"members": table(opinions.member_table(labels))}
    return table_output(
        frame,
        {
            **members,
            "labeler": incumbent.uri,
            "positive_share": float(labels.mean()),
            "threshold": float(threshold),
            "threshold_from": "expected prevalence"
            if incumbent.threshold is None
            else f"report of {incumbent.promoted_from}",
            "score_histogram": picture(score_histogram(scores, threshold)),
        },
    )
