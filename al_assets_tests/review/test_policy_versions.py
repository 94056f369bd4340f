from pathlib import Path
from typing import Any

import polars as pl
import pytest

from al_assets.config import Policy
from al_assets.review.policy_versions import (
    SECOND_LOOK_COLUMNS,
    policy_versions,
    second_look,
    second_look_now,
    version_notes,
)
from al_assets.storage.ledger import Ledger, Vote
from al_assets.storage.root import RunRoot
from al_assets_tests.support.ledger import SELECTED_BY, items, queue_frame, vote
from al_assets_tests.support.policies import make_policy


def opened(policy: Policy) -> Ledger:
    return Ledger.of(policy)


def published(url: str, **policy: Any) -> tuple[Ledger, Policy]:
    """A ledger whose queue was published under a policy: item000 and 001 boundary, the others audit."""
    written = make_policy(url, **policy)
    ledger = opened(written)
    queue = [queue_frame(items(6)[:2], reason="boundary"), queue_frame(items(6)[2:])]
    ledger.publish("0000", pl.concat(queue), SELECTED_BY)
    return ledger, written


def cast(policy: Policy, *rows: tuple[str, str, str]) -> list[Vote]:
    text = policy.policy
    return [
        vote(item, rater, label, minute, policy_version=text.version, policy_fingerprint=text.fingerprint())
        for minute, (item, rater, label) in enumerate(rows)
    ]


def test_no_vote_needs_a_second_look_before_an_edit(ledger_url: str) -> None:
    ledger, policy = published(ledger_url)
    ledger.record(cast(policy, ("item000", "anna", "positive")))
    assert second_look(ledger, policy).columns == list(SECOND_LOOK_COLUMNS)
    assert second_look(ledger, policy).height == 0
    assert version_notes(ledger, policy) == []
    assert policy_versions(ledger, policy).select("policy_version", "cast_under", "changed", "votes").rows() == [
        ("1", "current text", "", 1)
    ]


def test_after_an_edit_votes_in_doubt_come_first(ledger_url: str) -> None:
    ledger, old = published(ledger_url)
    ledger.record(
        cast(
            old,
            ("item005", "anna", "positive"), ("item005", "ben", "positive"),
            ("item004", "anna", "positive"),
            ("item003", "anna", "undecided"),
            ("item002", "anna", "positive"), ("item002", "ben", "negative"),
            ("item001", "anna", "positive"),
        )
    )  # fmt: skip
    new = make_policy(
        ledger_url, version="2", guideline="Spam sells or begs.", examples=[{"text": "x", "label": "positive"}]
    )
    ledger = opened(new)
    ledger.record(cast(new, ("item000", "anna", "positive"), ("item002", "cleo", "positive")))
    scores = pl.DataFrame({"item_id": ["item004", "item005", "item002"], "p_positive": [0.9, 0.65, 0.1]})
    found = second_look(ledger, new, scores=scores, threshold=0.6)
    assert found.select("rank", "item_id", "rater").rows() == [
        (1, "item002", "anna"), (1, "item002", "ben"),
        (2, "item003", "anna"),
        (3, "item001", "anna"),
        (4, "item005", "anna"), (4, "item005", "ben"),
        (5, "item004", "anna"),
    ]  # fmt: skip
    # The vote under the new text is not listed, but it tells how the item stands.
    first = found.row(0, named=True)
    assert (first["positive_votes"], first["negative_votes"], first["text"]) == (2, 1, "text of item002")
    assert (first["policy_version"], first["cast_under"], first["changed"]) == (
        "1",
        "older text",
        "examples, guideline",
    )
    assert found["distance"].to_list()[-3:] == pytest.approx([0.05, 0.05, 0.3])
    assert second_look(ledger, new)["distance"].null_count() == 7
    assert second_look(ledger, new, watermark=0).height == 0
    counted = policy_versions(ledger, new).select("policy_version", "cast_under", "votes", "items", "raters").rows()
    assert counted == [("1", "older text", 7, 5, 2), ("2", "current text", 2, 2, 2)]


def test_a_vote_given_again_under_the_new_version_is_settled(ledger_url: str) -> None:
    ledger, old = published(ledger_url)
    ledger.record(cast(old, ("item000", "anna", "positive"), ("item001", "anna", "positive")))
    new = make_policy(ledger_url, version="2", guideline="Spam begs.")
    ledger = opened(new)
    assert ledger.record(cast(new, ("item000", "anna", "positive"))).superseding == 1
    assert second_look(ledger, new)["item_id"].to_list() == ["item001"]


def test_a_version_raised_without_an_edit_is_noticed_and_asks_for_nothing(ledger_url: str) -> None:
    ledger, old = published(ledger_url)
    ledger.record(cast(old, ("item000", "anna", "positive")))
    new = make_policy(ledger_url, version="2")
    assert second_look(opened(new), new).height == 0
    assert version_notes(opened(new), new) == [
        "policy.version: '1' and '2' have one and the same text; votes under them are taken together, and none needs a "
        "second look"
    ]


def test_a_text_edited_without_raising_the_version_is_noticed(ledger_url: str) -> None:
    ledger, old = published(ledger_url)
    ledger.record(cast(old, ("item000", "anna", "positive")))
    new = make_policy(ledger_url, question="Scam?", labels={"positive": "ja", "negative": "nein"})
    # Noticed before anything was written under it, and still afterwards.
    for _ in range(2):
        (note,) = version_notes(opened(new), new)
        assert note.startswith("policy.version: '1' stood over 2 texts (labels, question edited); raise it with every")
        opened(new).record([])
    again = second_look(opened(new), new)
    assert again.select("item_id", "policy_version", "changed").rows() == [("item000", "1", "labels, question")]
    assert set(policy_versions(opened(new), new)["cast_under"]) == {"older text"}


def test_another_prevalence_is_no_edit_of_the_text(ledger_url: str) -> None:
    ledger, old = published(ledger_url)
    ledger.record(cast(old, ("item000", "anna", "positive")))
    new = make_policy(ledger_url, expected_prevalence=0.4)
    assert new.policy.fingerprint() != old.policy.fingerprint()
    assert second_look(opened(new), new).height == 0
    assert version_notes(opened(new), new) == []


def test_votes_without_a_text_on_record_are_judged_by_what_is_known(ledger_url: str) -> None:
    ledger, policy = published(ledger_url, version="3")
    ledger.record(
        [
            vote("item000", policy_version="2"),
            vote("item001", policy_version="3"),
            vote("item002", policy_version="3", policy_fingerprint="of another state"),
        ]
    )
    found = second_look(ledger, policy).select("item_id", "cast_under", "changed").rows()
    assert found == [("item000", "older text", ""), ("item002", "text not on record", "")]
    # Once the version stood over two texts, a vote that names only the version could be of either.
    edited = make_policy(ledger_url, version="3", guideline="Spam begs.")
    states = dict(second_look(opened(edited), edited).select("item_id", "cast_under").iter_rows())
    assert states == {"item000": "older text", "item001": "text not on record", "item002": "text not on record"}


def test_hidden_items_are_none_of_the_votes(ledger_url: str) -> None:
    ledger, old = published(ledger_url)
    ledger.record(cast(old, ("item000", "anna", "positive")))
    ledger.publish("0001", queue_frame(["item000"], reason="repeat"), SELECTED_BY)
    ledger.record([vote("item000", "anna", "negative", 99, iteration="0001")])
    new = make_policy(ledger_url, version="2", guideline="Spam begs.")
    assert second_look(opened(new), new)["iteration"].to_list() == ["0000"]


def test_the_list_of_now_takes_the_newest_scores(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    ledger, old = published(url)
    ledger.record(cast(old, ("item002", "anna", "positive"), ("item003", "anna", "positive")))
    new = make_policy(url, version="2", guideline="Spam begs.").model_copy(update={"base_dir": tmp_path})
    assert second_look_now(new)["item_id"].to_list() == ["item002", "item003"]
    root = RunRoot(new.root)
    scored = {"item_id": ["item002", "item003"], "threshold": [0.5, 0.5], "label": [True, True]}
    for key, scores in (("0000", [0.5, 0.9]), ("0001", [0.9, 0.6])):
        root.write_table(root.table_path("pseudo_labels", key), pl.DataFrame({**scored, "p_positive": scores}))
    found = second_look_now(new)
    assert found["item_id"].to_list() == ["item003", "item002"]
    assert found["p_positive"].to_list() == [0.6, 0.9]
