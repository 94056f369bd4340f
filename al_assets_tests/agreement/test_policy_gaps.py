import numpy as np
import polars as pl
import pytest

from al_assets.agreement.policy_gaps import policy_gaps
from al_assets.tables import POLICY_GAPS
from al_assets_tests.support.votes import votes_frame


def _votes() -> pl.DataFrame:
    rows = [
        ("split", "ann", "undecided", "0001", "audit", " is satire hate? ", "1"),
        ("split", "bob", "positive", "0001", "audit", None, "1"),
        ("split", "zoe", "negative", "0001", "audit", "clear to me", "2"),
        ("split", "zoe", "undecided", "0002", "repeat", None, "2"),
        ("clear", "ann", "positive", "0000", "boundary", "easy", "1"),
        ("twice", "zoe", "undecided", "0000", "boundary", "", "2"),
        ("twice", "ann", "undecided", "0000", "boundary", "quote without context", "1"),
        ("agreed", "ann", "undecided", "0000", "control", None, "1"),
        ("agreed", "bob", "positive", "0000", "control", None, "1"),
    ]
    columns = ["item_id", "rater", "label", "iteration", "reason", "comment", "policy_version"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def test_the_most_undecided_and_then_the_most_split_items_come_first() -> None:
    found = policy_gaps(_votes())
    assert found.schema == POLICY_GAPS.schema
    assert found.select("iteration", "item_id").rows() == [
        ("0000", "twice"), ("0000", "agreed"), ("0001", "split"), ("0002", "split"),
    ]  # fmt: skip
    assert found.row(0, named=True) == {
        "iteration": "0000",
        "item_id": "twice",
        "text": None,
        "reason": "boundary",
        "undecided_votes": 2,
        "ambiguous_policy_votes": 0,
        "missing_context_votes": 0,
        "other_votes": 0,
        "positive_votes": 0,
        "negative_votes": 0,
        "undecided_raters": ["ann", "zoe"],
        "comments": [{"rater": "ann", "label": "undecided", "text": "quote without context"}],
        "policy_versions": ["1", "2"],
    }
    split = found.row(2, named=True)
    assert split["comments"] == [
        {"rater": "ann", "label": "undecided", "text": "is satire hate?"},
        {"rater": "zoe", "label": "negative", "text": "clear to me"},
    ]
    assert (split["iteration"], split["reason"]) == ("0001", "audit")
    assert (split["positive_votes"], split["negative_votes"], split["policy_versions"]) == (1, 1, ["1"])


def test_the_order_of_rows_does_not_matter() -> None:
    assert policy_gaps(_votes().reverse()).equals(policy_gaps(_votes()))


def test_comments_and_versions_may_be_unknown() -> None:
    found = policy_gaps(_votes().drop("comment", "policy_version"))
    assert found["comments"].to_list() == [[], [], [], []]
    assert found["policy_versions"].to_list() == [[], [], [], []]


def test_items_that_were_adjudicated_a_gap_are_listed_too() -> None:
    also = pl.DataFrame({"iteration": ["0000", "0001", "0009"], "item_id": ["clear", "split", "unseen"]})
    found = policy_gaps(_votes(), also)
    assert found.filter(iteration="0000")["item_id"].to_list() == ["twice", "agreed", "clear"]
    assert found.height == policy_gaps(_votes()).height + 1
    clear = found.row(2, named=True)
    assert (clear["undecided_votes"], clear["policy_versions"]) == (0, ["1"])
    assert clear["comments"] == [{"rater": "ann", "label": "positive", "text": "easy"}]


def test_votes_that_all_decide_leave_no_gap() -> None:
    found = policy_gaps(votes_frame(np.ones((3, 2))))
    assert found.height == 0
    assert found.schema == POLICY_GAPS.schema
    with pytest.raises(ValueError, match="votes: columns label are missing"):
        policy_gaps(_votes().drop("label"))
