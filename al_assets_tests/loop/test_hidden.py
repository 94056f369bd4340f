"""Hidden gold and repeats through the loop: asked, answered, judged, and never learned from."""

import json

import numpy as np
import polars as pl
import pytest

from al_assets.assets.queue import hidden_items
from al_assets.assets.round_inputs import not_to_ask
from al_assets.automation.observe import observe
from al_assets.demo.vader import Votes
from al_assets.partitions import Job
from al_assets_tests.support.reports import stored_report
from al_assets_tests.support.small_loop import RATERS, MakeLoop, SmallLoop, failure

GOLD = [
    {
        "item_id": f"{number}",
        "text": f"Whoever made scene {number} ought to be ashamed",
        "label": "yes",
        "why": "condemns",
    }
    for number in range(90_001, 90_006)
]
SELECTION = {
    "budget": 40, "shares": {"boundary": 0.6, "audit": 0.3, "control": 0.1}, "audit_strata": 2,
    "gold": "gold.jsonl", "gold_share": 0.1, "repeat_share": 0.1, "repeat_after_days": 0,
}  # fmt: skip


def answers(loop: SmallLoop, gold: dict[str, list[float]]) -> Votes:
    return {**loop.votes(), **{item: np.array(votes) for item, votes in gold.items()}}


def flipped(votes: Votes, items: list[str], place: int) -> Votes:
    """One rater changes his mind about some items."""
    changed = {}
    for item in items:
        mind = votes[item].copy()
        mind[place] = np.nan if np.isnan(mind[place]) else 1 - mind[place]
        changed[item] = mind
    return {**votes, **changed}


@pytest.fixture
def loop(make_loop: MakeLoop) -> SmallLoop:
    made = make_loop(selection=SELECTION)
    lines = "".join(json.dumps(row) + "\n" for row in GOLD)
    (made.policy_file.parent / "gold.jsonl").write_text(lines, encoding="utf-8")
    return made


@pytest.mark.slow
def test_hidden_items_are_asked_and_judged_but_are_no_labels(loop: SmallLoop) -> None:
    run = loop.run(Job.CURATE, "0000")
    assert run.success, failure(run)
    first = loop.queue("0000")
    assert first.height == 40 + 4
    golden = first.filter(reason="gold")["item_id"].to_list()
    assert len(golden) == 4
    # expert_1 knows the policy, expert_2 half of it, expert_3 cannot decide.
    known = {row["item_id"]: [1.0, float(at % 2), float("nan")] for at, row in enumerate(GOLD)}
    votes = answers(loop, known)
    loop.answer("0000", votes)
    run = loop.run(Job.LEARN, "0000")
    assert run.success, failure(run)
    labels, split = (loop.root.read_table(name, "0000") for name in ("expert_labels", "label_split"))
    assert labels["item_id"].n_unique() == split.height == 40
    assert set(labels["item_id"]).isdisjoint(golden)
    scored = loop.root.read_table("evaluation_scores", "0000")
    assert set(scored["item_id"]).isdisjoint(golden)

    run = loop.run(Job.CURATE, "0001")
    assert run.success, failure(run)
    second = loop.queue("0001")
    repeated = second.filter(reason="repeat")["item_id"].to_list()
    assert len(repeated) == 4
    assert set(repeated) <= set(first.filter(pl.col("reason") != "gold")["item_id"])
    # One gold item was left, and none is asked twice.
    assert second.filter(reason="gold").height == 1
    assert set(second.filter(reason="gold")["item_id"]).isdisjoint(golden)
    assert second.height == 40 + 4 + 1
    loop.answer("0001", flipped(votes, repeated[:2], place=0))
    run = loop.run(Job.LEARN, "0001", selection=["expert_labels", "label_split"])
    assert run.success, failure(run)
    again = loop.root.read_table("expert_labels", "0001")
    assert again.filter(iteration="0000").drop("as_of").equals(labels.drop("as_of"))
    assert set(again.filter(iteration="0001")["item_id"]).isdisjoint([*golden, *repeated])
    metadata = {
        name: value.value for name, value in run.asset_materializations_for_node("expert_labels")[0].metadata.items()
    }
    assert metadata["items_queued"] == 80
    assert "cannot exceed" in str(metadata["about_agreement_with_oneself"])
    assert "| all | expert&#95;1 | 5 | 5 |" in str(metadata["gold_accuracy"])
    with loop.loop.ledger() as ledger:
        found = ledger.retests()
    changed = found.filter(pl.col("label") != pl.col("first_label"))
    assert set(changed["rater"]) <= {"expert_1"}
    assert found.height == 4 * len(RATERS)


def test_a_second_run_of_an_iteration_hides_nothing_more(loop: SmallLoop) -> None:
    assert loop.run(Job.CURATE, "0000").success
    before = loop.queue("0000")
    config = {"review_queue": {"mode": "RESELECT"}}
    run = loop.run(Job.CURATE, "0000", selection=["review_queue"], config=config)
    assert run.success, failure(run)
    after = loop.queue("0000")
    assert after.filter(reason="gold").equals(before.filter(reason="gold"))


def test_an_answer_to_gold_after_the_report_calls_for_no_other(loop: SmallLoop) -> None:
    assert loop.run(Job.CURATE, "0000").success
    votes = answers(loop, {row["item_id"]: [1.0, 1.0, 1.0] for row in GOLD})
    loop.answer("0000", votes)
    with loop.loop.ledger() as ledger:
        last = ledger.expert_labels()["seq"].to_list()[-1]
    report = stored_report([{"figure": "labels", "scope": "loop"}], verdict="parity", watermark=last)
    loop.root.write_table(loop.root.table_path("kappa_report", "0000"), report)
    golden = loop.queue("0000").filter(reason="gold")["item_id"].to_list()
    changed = {**votes, **{item: votes[item] * 0 for item in golden}}
    loop.answer("0000", changed)
    with loop.loop.ledger() as ledger:
        assert ledger.watermark() > last
    state = observe(loop.instance, loop.loop, look_at_pool=False).current
    assert state is not None
    assert state.labels.late == 0


def test_a_text_that_gold_holds_is_not_asked_for_a_label(make_loop: MakeLoop) -> None:
    made = make_loop(selection=SELECTION)
    twin = made.texts.row(0, named=True)
    rows = [*GOLD, {"item_id": "twin", "text": f" {twin['text'].upper()} ", "label": "no", "why": ""}]
    (made.policy_file.parent / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pool = made.texts.select("item_id", "text")
    assert not_to_ask(made.loop, "0000", pool) == [twin["item_id"]]


def test_nothing_is_hidden_in_a_queue_without_questions(loop: SmallLoop) -> None:
    assert hidden_items(loop.loop, "0000", 0).height == 0
    assert hidden_items(loop.loop, "0000", 10).height == 1
