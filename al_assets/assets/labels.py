"""expert_labels: the votes so far, joined from the ledger and never recomputed."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from al_assets.agreement.raters.retest import CAVEAT
from al_assets.assets.loop_assets import Declaration, TableOutput, loop_asset, table_output
from al_assets.assets.metadata import table
from al_assets.assets.resource import LoopResource
from al_assets.curation.queue.hidden import HIDDEN
from al_assets.partitions import Job
from al_assets.review.hidden_items import HiddenItemFigures, rater_quality
from al_assets.review.policy_versions import policy_versions, second_look, version_notes
from al_assets.storage.ledger import Ledger
from al_assets.tables import EXPERT_LABELS

_SHOWN_VOTES = 20


class LabelsConfig(dg.Config):
    """As of which vote the labels are read.

    :param watermark: reproduce a report as of this place in the ledger; None reads all that is there so far.
    """

    watermark: int | None = None


@loop_asset("experts", {"sqlalchemy"}, Declaration(EXPERT_LABELS, Job.LEARN, algorithm=3), deps=["review_queue"])
def expert_labels(context: dg.AssetExecutionContext, config: LabelsConfig, loop: LoopResource) -> TableOutput:
    """Every current vote on the items that this and earlier iterations asked for; answers to hidden items are none.

    What was adjudicated stands beside the votes and changes none. Answers changed after the loop had read them stand
    beside the first ones, which agreement rests on.
    """
    key = context.partition_key
    with loop.ledger() as ledger:
        watermark = ledger.note_reading() if config.watermark is None else config.watermark
        iterations = [each for each in ledger.iterations() if each <= key]
        frame = ledger.expert_labels(iterations, watermark)
        asked = ledger.queue().filter((pl.col("iteration") <= key) & ~pl.col("reason").is_in(HIDDEN))
        quality = rater_quality(ledger, loop.policy, iterations, watermark)
        versions = policy_metadata(loop, ledger, watermark)
    by_rater = frame.group_by("rater").agg(
        pl.len().alias("votes"),
        (pl.col("label") == "positive").mean().alias("positive share"),
        (pl.col("label") == "undecided").sum().alias("undecided"),
    )
    return table_output(
        frame,
        {
            "votes": frame.height,
            "items_labelled": frame["item_id"].n_unique(),
            "items_queued": asked.height,
            "items_adjudicated": frame.drop_nulls("adjudicated")["item_id"].n_unique(),
            "answers_changed_after_reading": frame.filter(pl.col("label") != pl.col("first_label")).height,
            "watermark": watermark,
            "by_rater": table(by_rater.sort("rater")),
            **quality_metadata(quality),
            **versions,
        },
    )


def quality_metadata(found: HiddenItemFigures) -> Mapping[str, dg.MetadataValue]:
    """Return how well raters do on hidden gold and agree with themselves on hidden repeats, where there are any."""
    shown: dict[str, dg.MetadataValue] = {}
    if found.gold.height:
        shown["gold_accuracy"] = table(found.gold)
    if found.retest["scope"].is_in(["rater"]).any():
        shown["agreement_with_oneself"] = table(found.retest.drop("scope", "against"))
        shown["about_agreement_with_oneself"] = dg.MetadataValue.text(CAVEAT)
    return shown


def policy_metadata(loop: LoopResource, ledger: Ledger, watermark: int) -> Mapping[str, dg.MetadataValue]:
    """Return how many votes were cast under which text of the policy, and what to look at again after an edit."""
    again = second_look(ledger, loop.policy, watermark=watermark)
    found = {
        "by_policy_version": table(policy_versions(ledger, loop.policy, watermark)),
        "votes_for_a_second_look": dg.MetadataValue.int(again.height),
    }
    if again.height:
        found["second_look"] = table(again.head(_SHOWN_VOTES).drop("seq", "iteration", "p_positive", "distance"))
    if notes := version_notes(ledger, loop.policy):
        found["policy_notes"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in notes))
    return found
