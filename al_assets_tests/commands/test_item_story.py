"""``al why`` over a small run made by hand: two iterations, of which 0001 has not published its queue in full."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from al_assets.cli import app
from al_assets.commands.item_story import nearest_ids
from al_assets.config import load_policy
from al_assets.curation.queue.explain import explain_queue
from al_assets.storage.ledger import Ledger
from al_assets.storage.root import RunRoot
from al_assets.tables import TABLES
from al_assets_tests.support.command_line import al
from al_assets_tests.support.ledger import queue_frame, vote
from al_assets_tests.support.policies import policy_content

TEXTS = {
    "i0001": "[red]buy[/red] \x1b[2Jnow :thumbs_up:", "i0002": "a reply", "i0003": "a question", "i0004": "an offer",
    "i0005": "a greeting", "i0006": "a greeting!", "i0007": "known to all", "i0008": "another greeting",
}  # fmt: skip


def table(root: RunRoot, name: str, key: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=TABLES[name].schema)
    root.write_table(root.table_path(name, key), TABLES[name].check(frame))
    return frame


def pair(positive: str, negative: str, rank: int | None, mixing: float, **columns: Any) -> dict[str, Any]:
    values = {
        "pair_id": f"{positive}|{negative}", "positive_item": positive, "negative_item": negative, "similarity": 0.83,
        "mixing": mixing, "positive_region": 3, "negative_region": 4, "positive_cell": 4, "negative_cell": 5,
        "rank": rank, "selected": rank == 0, "inclusion_probability": 0.25, "promising_share": 0.0,
    }  # fmt: skip
    return {**values, **columns}


@pytest.fixture(scope="module")
def policy_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("why")
    gold = '{"item_id": "g1", "text": "known  TO all", "label": "yes"}\n{"item_id": "g2", "text": "x", "label": "no"}\n'
    (folder / "gold.jsonl").write_text(gold)
    content = policy_content(selection={"gold": "gold.jsonl", "gold_share": 0.1}, storage={"root": "runs"})
    (folder / "policy.yaml").write_text(yaml.safe_dump(content))
    policy = load_policy(folder / "policy.yaml")
    root = RunRoot(policy.root)
    for key in ("0000", "0001"):
        tables = write_tables(root, key)
    with Ledger.of(policy) as ledger:
        publish(ledger, tables)
    return str(folder / "policy.yaml")


def write_tables(root: RunRoot, key: str) -> dict[str, pl.DataFrame]:
    pool = [
        {"item_id": item, "text": text, "text_hash": item, "duplicate_of": "i0005" if item == "i0006" else None}
        for item, text in TEXTS.items()
    ]
    table(root, "pool", key, pool)
    table(root, "quarantine", key, [
        {"row": 9, "item_id": "i0099", "reason": "text: empty"},
        {"row": 17, "item_id": "i0002", "reason": "item_id: repeats row 2"},
    ])  # fmt: skip
    scores = [
        {"item_id": item, "p_positive": at / 10, "label": at > 5, "threshold": 0.55, "labeler_fingerprint": "f"}
        for at, item in enumerate(reversed(TEXTS), start=1)
    ]
    clusters = [
        {"item_id": item, "side": "positive" if at < 3 else "negative", "region": 3 if at < 3 else 4,
         "cell": at, "distance": 0.1}
        for at, item in enumerate(TEXTS) if item != "i0006"
    ]  # fmt: skip
    pairs = [
        pair("i0001", "i0004", 0, 0.9), pair("i0002", "i0005", 11, 0.5), pair("i0002", "i0004", None, 1.0),
        pair("i0003", "i0004", None, 0.4), pair("i0007", "i0008", 20, 0.1),
    ]  # fmt: skip
    regions = [{"region": 3, "name": "3: liar, thief", "typical_items": [], "direction": [0.0], "offset": 0.0}]
    table(root, "regions", key, regions)
    return {
        "scores": table(root, "pseudo_labels", key, scores),
        "clusters": table(root, "cluster_assignments", key, clusters),
        "pairs": table(root, "boundary_pairs", key, pairs),
    }


def publish(ledger: Ledger, tables: dict[str, pl.DataFrame]) -> None:
    bare: dict[str, Any] = {"stratum": None, "stratum_size": None, "inclusion_probability": None}
    queue = pl.concat(
        [
            queue_frame(
                ["i0001", "i0004"], **{**bare, "reason": "boundary", "pair_id": "i0001|i0004", "rank": 0,
                                       "inclusion_probability": 1.0},
            ),
            queue_frame(["i0008"], stratum="score 1/5, negative", stratum_size=4, inclusion_probability=0.5),
            queue_frame(["g2"], **{**bare, "reason": "gold"}),
        ]
    ).with_columns(text=pl.col("item_id").replace(TEXTS))  # fmt: skip
    ledger.publish("0000", explain_queue(queue, **tables), {})
    ledger.publish("0001", queue_frame(["i0008", "late"], **{**bare, "reason": "repeat"}), {})
    ledger.record([vote("i0001"), vote("i0001", "ben"), vote("i0004")])


def story(policy_file: str, item: str, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(al("why", item, "-p", policy_file, *arguments, "--json"))
    return found


def test_a_queued_item_shows_its_text_as_it_is_and_why(policy_file: str) -> None:
    shown = al("why", "i0001", "-p", policy_file)
    assert shown.splitlines() == [
        r"[red]buy[/red] \x1b[2Jnow :thumbs_up:",
        "",
        "i0001, iteration 0000, boundary:",
        "  Half of a boundary pair: two items near each other that the incumbent calls by different labels.",
        "  Its pair was 1st in the order of boundary pairs.",
        "  Given that order and what earlier parts of the queue had taken, it was certain to be picked.",
        "  Called positive (p 0.8), in region 3: liar, thief, cell 0.",
        "  Its partner i0004 of region 4, called negative, is at cosine 0.83.",
        "  Of the items nearest to the two, 45 % are called by the label that is rarer there "
        "(mixing 0.9, where 1 is half and half).",
    ]


def test_every_iteration_that_queued_it_is_told_or_the_one_asked_for(policy_file: str) -> None:
    found = story(policy_file, "i0008")
    assert [(each["iteration"], each["reason"]) for each in found["chapters"]] == [
        ("0000", "audit"),
        ("0001", "repeat"),
    ]
    assert (
        "2 of the 4 items of stratum 'score 1/5, negative', so each had a chance of 0.5"
        in found["chapters"][0]["why"][1]
    )
    assert found["chapters"][0]["known"]["p_positive"] == pytest.approx(0.1)
    (later,) = story(policy_file, "i0008", "--iteration", "0001")["chapters"]
    assert "Its score and label then are not recorded." in later["why"]


def test_hidden_gold_is_told(policy_file: str) -> None:
    (only,) = story(policy_file, "g2")["chapters"]
    assert only["reason"] == "gold"
    assert len(only["why"]) == 1


def sentences(policy_file: str, item: str, *arguments: str) -> list[str]:
    (only,) = story(policy_file, item, *arguments)["chapters"]
    assert only["reason"] is None
    return list(only["why"])


def test_an_item_that_was_not_queued_says_what_is_known(policy_file: str) -> None:
    found = story(policy_file, "i0002")
    assert found["text"] == "a reply"
    (only,) = found["chapters"]
    assert only["iteration"] == "0001"
    assert only["known"] == {
        "item_id": "i0002", "pair_id": "i0002|i0005", "p_positive": 0.7, "called": "positive", "region": 3, "cell": 1,
        "partner_item": "i0005", "partner_region": 4, "similarity": 0.83, "mixing": 0.5, "rank": 11,
        "duplicate_of": None,
    }  # fmt: skip
    assert only["why"] == [
        "It is not in the queue of iteration 0001.",
        "It could have been asked: neither chance nor a strategy picked it within the budget.",
        "Called positive (p 0.7), in region 3: liar, thief, cell 1.",
        "Its partner i0005 of region 4, called negative, is at cosine 0.83.",
        "Of the items nearest to the two, 25 % are called by the label that is rarer there "
        "(mixing 0.5, where 1 is half and half).",
        "Its pair was 12th in the order of boundary pairs.",
        "It is in 2 candidate pairs; this is the first of them.",
        "Row 17 of the source was left out: item_id: repeats row 2.",
    ]


def test_a_pair_without_a_place_says_so(policy_file: str) -> None:
    assert (
        sentences(policy_file, "i0003")[-1] == "The pair has no place in the order: a better pair took one of the two."
    )


def test_a_pair_whose_partner_chance_took_says_so(policy_file: str) -> None:
    assert sentences(policy_file, "i0007", "--iteration", "0000")[-2:] == [
        "Its pair was 21st in the order of boundary pairs.",
        "Its partner was queued for another reason, audit, so the pair was passed over.",
    ]


def test_copies_and_originals_name_each_other(policy_file: str) -> None:
    assert "It is a near-duplicate of i0005, which stands for it and was not queued either." in sentences(
        policy_file, "i0006"
    )
    assert not [each for each in sentences(policy_file, "i0005") if "near-duplicate" in each]


def test_what_was_asked_before_or_later_is_said(policy_file: str) -> None:
    earlier = "It was queued in 0000 and has 2 votes that count; no item is asked for a label twice."
    assert sentences(policy_file, "i0001", "--iteration", "0001")[:2] == [
        "It is not in the queue of iteration 0001.", earlier,
    ]  # fmt: skip
    assert "has 1 vote that" in sentences(policy_file, "i0004", "--iteration", "0001")[1]


def test_gold_and_quarantine_are_told(policy_file: str) -> None:
    assert "The gold file tells its answer, so nobody is asked for a label." in sentences(policy_file, "i0007")
    assert sentences(policy_file, "i0099") == ["Row 9 of the source was left out: text: empty."]
    assert al("why", "i0099", "-p", policy_file).startswith("\ni0099, iteration 0001, not queued:")


def refused(policy_file: str, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["why", *arguments, "-p", policy_file])
    assert result.exit_code == 1
    assert isinstance(result.exception, ValueError)
    return str(result.exception)


def test_an_unknown_item_or_iteration_is_refused_with_the_way_out(policy_file: str) -> None:
    assert refused(policy_file, "I0O01").startswith(
        "item: 'I0O01' is in no pool, queue or quarantine; the nearest ids are"
    )
    assert "ids look like g2, i0001, i0002" in refused(policy_file, "zzzzzz")
    assert "iteration: 0007 has no pool; there are pools of 0000, 0001" in refused(
        policy_file, "i0001", "--iteration", "0007"
    )
    assert "'7' is not an iteration key" in refused(policy_file, "i0001", "--iteration", "7")
    gone = refused(policy_file, "late", "--iteration", "0000")
    assert gone == "item: 'late' is not in the pool of iteration 0000; it was queued in 0001"


def test_an_unpublished_queue_and_missing_tables_are_said(policy_file: str, tmp_path: Path) -> None:
    moved = tmp_path / "policy.yaml"
    content = yaml.safe_load(Path(policy_file).read_text())
    del content["selection"]
    moved.write_text(yaml.safe_dump(content))
    assert "no iteration under" in refused(str(moved), "i0001")
    root = RunRoot(load_policy(moved).root)
    table(root, "pool", "0000", [{"item_id": "i1", "text": "hello", "text_hash": "h"}])
    assert sentences(str(moved), "i1") == [
        "The queue of iteration 0000 is not published yet.",
        "Its score and label then are not recorded.",
    ]


def test_the_nearest_ids_are_found_among_many() -> None:
    known = pl.Series([f"comment-{number:07d}" for number in range(200_000)])
    assert nearest_ids("comment-012345", known)[0].startswith("comment-012345")
    assert nearest_ids("omment-0123456", known)[0] == "comment-0123456"
    assert nearest_ids("COMMENT-0123456", known, 1) == ["comment-0123456"]
    assert nearest_ids("comment-9123456", known)[0] == "comment-0123456"
    assert nearest_ids("", known) == nearest_ids("?" * 5_000, known) == []
