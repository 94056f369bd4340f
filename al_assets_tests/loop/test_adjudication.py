"""Adjudication through the loop: the student learns from it, no kappa does."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl
import pytest

from al_assets.agreement.core.figures import figures_in
from al_assets.automation.observe import observe
from al_assets.report.iteration_tables import read_tables
from al_assets.report.page_tables import provenance
from al_assets.report.tracing import explain_figure
from al_assets.storage.ledger import Adjudication, Ledger
from al_assets_tests.support.reports import report_frame
from al_assets_tests.support.small_loop import SmallLoop, failure

pytestmark = pytest.mark.slow

TABLES = ("expert_labels", "label_split", "head_start", "evaluation_scores", "kappa_report", "sft_checkpoint")


def decide(ledger: Ledger, item_id: str, label: str) -> int:
    return ledger.adjudicate(
        Adjudication("0000", item_id, label, "judge", None, "1", datetime.now(UTC), f"{item_id} {label}")
    )


def learn(loop: SmallLoop) -> dict[str, pl.DataFrame]:
    done = loop.run("learn", "0000", selection=list(TABLES))
    assert done.success, failure(done)
    return {name: loop.root.read_table(name, "0000") for name in TABLES}


def late(loop: SmallLoop) -> int:
    current = observe(loop.instance, loop.loop, look_at_pool=False).current
    assert current is not None
    return current.labels.late


def figures(loop: SmallLoop, votes: pl.DataFrame, split: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    return report_frame(
        iteration="0000", votes=votes, split=split, scores=scores, labels=split.height, resamples=50,
        expected_prevalence=loop.policy.policy.expected_prevalence,
    )  # fmt: skip


@pytest.mark.parametrize("evaluation", ["crossfit", "held_out"])
def test_a_decision_reaches_the_student_and_no_kappa(curated: SmallLoop, evaluation: str) -> None:
    curated.policy_file.write_text(f"{curated.policy_file.read_text()}split: {{evaluation: {evaluation}}}\n")
    curated.answer("0000")
    before = learn(curated)
    assert late(curated) == 0
    known = before["label_split"].filter(pl.col("label").is_not_null()).sort("item_id")
    taught, judged = known.filter("teaches"), known.filter(split="panel").tail(1)
    (overturned, gap), spared = taught["item_id"][:2], judged["item_id"][0]
    reached = evaluation == "crossfit"
    opposite = {True: "negative", False: "positive"}
    with curated.loop.ledger() as ledger:
        decide(ledger, overturned, opposite[taught["label"][0]])
        decide(ledger, gap, "guideline gap")
        last = decide(ledger, spared, opposite[judged["label"][0]])
        assert last == ledger.watermark()
    assert late(curated) == 3
    after = learn(curated)
    assert late(curated) == 0

    changed = before["label_split"].join(after["label_split"], on="item_id", validate="1:1")
    changed = changed.filter(~pl.col("label").eq_missing(pl.col("label_right")))
    expected = {overturned: not taught["label"][0], gap: None}
    expected |= {spared: not judged["label"][0]} if reached else {}
    assert dict(changed.select("item_id", "label_right").iter_rows()) == expected
    learned = [each["sft_checkpoint"]["training_items"][0] for each in (before, after)]
    lessons = before["label_split"]["teaches"].sum()
    assert learned == [lessons, lessons - 1]

    votes = [each["expert_labels"].drop("adjudicated", "as_of") for each in (before, after)]
    assert votes[0].equals(votes[1])
    experts = [
        figures_in(tables["kappa_report"], pl.col("figure").str.contains("expert_expert|rater"))
        for tables in (before, after)
    ]
    assert len(experts[0]) > 2
    assert experts[0] == experts[1]
    # One student's kappas too: only the student may change, never what it is compared with.
    scores = before["evaluation_scores"]
    same = [figures(curated, each["expert_labels"], each["label_split"], scores) for each in (before, after)]
    assert same[0].equals(same[1])

    said = dict(provenance(read_tables(curated.policy, "0000")))["adjudicated"]
    counts = [3, 2, 1, 0] if reached else [2, 1, 1, 1]
    assert said.startswith(
        f"{counts[0]} items the student may learn from, {counts[1]} against the majority of the votes, 1 left out as "
        f"guideline gaps; {counts[3]} others"
    )
    assert explain_figure(read_tables(curated.policy, "0000"), "watermark").recomputed == last
    event = curated.instance.get_latest_materialization_event(dg.AssetKey("label_split"))
    assert event is not None
    assert event.asset_materialization is not None
    shown = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    counted = ("adjudicated", "overturned", "guideline_gaps", "adjudicated_in_evaluation")
    assert [shown[name] for name in counted] == counts
    assert shown["evaluation"] == evaluation

    then = before["expert_labels"]["as_of"][0]
    done = curated.run(
        "learn", "0000", selection=["expert_labels", "label_split"], config={"expert_labels": {"watermark": then}}
    )
    assert done.success, failure(done)
    for name in ("expert_labels", "label_split"):
        assert curated.root.read_table(name, "0000").equals(before[name])
