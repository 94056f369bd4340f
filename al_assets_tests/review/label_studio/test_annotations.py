from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from al_assets.review.label_studio.annotations import Reader, annotation_of
from al_assets.review.label_studio.project import Asked
from al_assets_tests.support.label_studio.server import result
from al_assets_tests.support.policies import make_policy

POLICY = make_policy("sqlite://")
TEXT = POLICY.policy
TASK = {"id": 5, "data": {"text": "t", "code": "q0"}}


def reader(asked: Asked | None = None) -> Reader:
    emails = {1: "admin@example.org", 2: "anna@example.org"}
    return Reader(7, POLICY, {"anna@example.org": "anna"}, emails, {"q0": ("0000", "item000")}, asked)


def annotation(label: str = "positive", reason: str = "", comment: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "id": 11, "completed_by": 2, "updated_by": 2, "was_cancelled": False, "parent_prediction": None,
        "updated_at": "2026-05-01T12:00:00.000123Z", "result": result(label, reason, comment), **fields,
    }  # fmt: skip


def test_an_annotation_is_a_vote_with_a_key_of_its_own() -> None:
    vote = reader().vote(TASK, annotation("undecided", "missing context", "which one?"))
    assert (vote.item_id, vote.iteration, vote.rater, vote.label) == ("item000", "0000", "anna", "undecided")
    assert (vote.undecided_reason, vote.comment, vote.blind) == ("missing context", "which one?", True)
    assert vote.voted_at == datetime(2026, 5, 1, 12, 0, 0, 123, UTC)
    assert vote.vote_key == "label-studio:7:11:2026-05-01T12:00:00.000123+00:00"
    assert annotation_of(vote.vote_key, 7) == 11
    assert annotation_of(vote.vote_key, 8) is None
    later = reader().vote(TASK, annotation(updated_at="2026-05-01T12:00:01Z"))
    assert later.vote_key != vote.vote_key
    assert later.policy_fingerprint == TEXT.fingerprint()


def test_a_reason_left_from_an_answer_that_was_changed_is_dropped() -> None:
    assert reader().vote(TASK, annotation("positive", "missing context")).undecided_reason is None


def test_an_answer_under_the_text_pushed_last_carries_its_version() -> None:
    vote = reader(Asked("spam", "0", "0" * 12)).vote(TASK, annotation())
    assert (vote.policy_version, vote.policy_fingerprint) == ("0", None)


def test_an_annotation_made_from_another_is_not_blind() -> None:
    assert not reader().vote(TASK, annotation(parent_annotation=10)).blind
    assert not reader().vote(TASK, annotation(parent_prediction=3)).blind


@pytest.mark.parametrize(
    ("task", "fields", "reason"),
    [
        ({"id": 5, "data": {"text": "t"}}, {}, "code: None of task 5 is no question of policy 'spam'; only tasks"),
        (TASK, {"completed_by": 1, "updated_by": 1}, "admin@example.org is no rater here; add a line to label_studio."),
        (TASK, {"completed_by": 9, "updated_by": 9}, "user 9 is no rater here"),
        (TASK, {"updated_by": 1}, "anna@example.org was last changed by admin@example.org, so it is nobody's own"),
        (TASK, {"result": []}, "answer: nothing was chosen, expected one; submit it again"),
        (TASK, {"result": result("positive") + result("negative")}, "answer: positive, negative was chosen"),
        (TASK, {"result": result("spam")}, "answer: 'spam' is unknown; expected one of positive, negative, undecided"),
        (TASK, {"result": result("undecided", "hm")}, "undecided_reason: 'hm' is unknown"),
        (TASK, {"result": result("positive", "", "x" * 10_001)}, "comment: 10001 characters"),
        (
            TASK,
            {"updated_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()},
            "lies in the future; set the clock",
        ),
    ],
)
def test_what_is_no_vote_is_refused_by_name(task: dict[str, Any], fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        reader().vote(task, annotation(**fields))
    assert reader().row(task, annotation(**fields)).values["user"]
