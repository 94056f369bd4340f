from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.storage.ledger import WITHDRAWN, Ledger, LedgerError, VoteError
from al_assets.storage.ledger.votes import Known, Place, plan_votes
from al_assets.tables import EXPERT_LABELS
from al_assets_tests.support.ledger import (
    RATERS,
    SELECTED_BY,
    START,
    items,
    labels,
    open_ledger,
    queue_frame,
    vote,
)


def test_a_vote_comes_back_with_everything_it_was_given(ledger: Ledger) -> None:
    voted_at = datetime.fromisoformat("2026-05-01T14:00:00.123456+02:00")
    given_vote = vote(
        "item001", voted_at=voted_at, comment="näja 🤷", policy_fingerprint="f00", source="desk", blind=True
    )
    result = ledger.record([given_vote])
    assert (result.new, result.repeated, result.superseding, result.outdated, result.watermark) == (1, 0, 0, (), 1)
    row = ledger.votes().row(0, named=True)
    assert row["voted_at"] == voted_at
    assert row["voted_at"].utcoffset() == timedelta(0)
    assert row["comment"] == "näja 🤷"
    assert (row["policy_fingerprint"], row["blind"], row["source"]) == ("f00", True, "desk")
    assert (row["inclusion_probability"], row["selected_by"]) == (0.25, '{"embedder": "bbb", "labeler": "aaa"}')
    assert row["supersedes"] is None


def test_the_same_vote_counts_once(ledger: Ledger) -> None:
    one = vote("item001")
    assert ledger.record([one, one]).repeated == 1
    assert ledger.record([one]).repeated == 1
    assert ledger.record([vote("item001", minute=5)]).repeated == 1
    assert ledger.history().height == 1


def test_a_key_sent_again_counts_once_even_after_the_answer_changed(ledger: Ledger) -> None:
    first = vote("item001", vote_key="click-1")
    ledger.record([first])
    ledger.record([vote("item001", label="negative", minute=1, vote_key="click-2")])
    assert ledger.record([first]).repeated == 1
    assert labels(ledger) == {("item001", "anna"): "negative"}


def test_a_key_used_for_another_answer_is_refused(ledger: Ledger) -> None:
    ledger.record([vote("item001", vote_key="click-1")])
    with pytest.raises(VoteError, match="vote 1: vote_key: 'click-1' is on record for another answer"):
        ledger.record([vote("item003"), vote("item002", vote_key="click-1")])
    assert ledger.history().height == 1


def test_another_answer_supersedes_and_both_stay(ledger: Ledger) -> None:
    ledger.record([vote("item001"), vote("item001", "ben")])
    result = ledger.record([vote("item001", label="negative", minute=1)])
    assert (result.new, result.superseding, result.watermark) == (0, 1, 3)
    assert labels(ledger) == {("item001", "anna"): "negative", ("item001", "ben"): "positive"}
    assert ledger.history()["supersedes"].to_list() == [None, None, 1]


def test_going_back_to_the_first_answer_is_a_third_vote(ledger: Ledger) -> None:
    answers = [vote("item001", label=label, minute=at) for at, label in enumerate(["positive", "negative", "positive"])]
    result = ledger.record(answers)
    assert (result.new, result.superseding) == (1, 2)
    assert labels(ledger) == {("item001", "anna"): "positive"}
    assert ledger.history()["supersedes"].to_list() == [None, 1, 2]


def test_a_new_remark_or_policy_version_is_kept(ledger: Ledger) -> None:
    ledger.record([vote("item001")])
    assert ledger.record([vote("item001", comment="quoted speech", minute=1)]).superseding == 1
    assert ledger.record([vote("item001", minute=2)]).repeated == 1
    assert ledger.record([vote("item001", policy_version="2", minute=3)]).superseding == 1


def test_an_earlier_vote_that_arrives_late_supersedes_only_where_asked(ledger: Ledger) -> None:
    ledger.record([vote("item001", minute=10)])
    late = vote("item001", label="negative", minute=1)
    result = ledger.record([vote("item002"), late], skip_outdated=True)
    assert (result.new, result.outdated) == (1, (1,))
    assert labels(ledger)["item001", "anna"] == "positive"
    assert ledger.record([late]).superseding == 1


def test_a_withdrawal_takes_an_answer_back_and_stays_on_record(ledger: Ledger) -> None:
    ledger.record([vote("item001"), vote("item001", "ben", "negative")])
    back = vote("item001", label=WITHDRAWN, minute=1, vote_key="undo-1")
    result = ledger.record([back])
    assert (result.new, result.superseding, result.watermark) == (0, 1, 3)
    assert ledger.record([back]).repeated == 1
    assert labels(ledger) == {("item001", "ben"): "negative"}
    for read in (ledger.answers, ledger.asked_votes, ledger.expert_labels):
        assert read()["rater"].to_list() == ["ben"]
    assert ledger.history().select("label", "supersedes").rows()[-1] == (WITHDRAWN, 1)
    assert labels(ledger, watermark=2) == {("item001", "anna"): "positive", ("item001", "ben"): "negative"}


def test_the_same_answer_after_a_withdrawal_is_a_new_one(ledger: Ledger) -> None:
    first = vote("item001", vote_key="click-1")
    ledger.record([first, vote("item001", label=WITHDRAWN, minute=1)])
    # What arrives late from before the withdrawal does not undo it.
    assert ledger.record([first]).repeated == 1
    assert ledger.record([vote("item001", minute=0, label="negative")], skip_outdated=True).outdated == (0,)
    assert labels(ledger) == {}
    result = ledger.record([vote("item001", minute=2)])
    assert (result.new, result.superseding) == (1, 0)
    assert labels(ledger) == {("item001", "anna"): "positive"}
    assert ledger.history()["supersedes"].to_list() == [None, 1, 2]


def test_withdrawing_nothing_is_refused(ledger: Ledger) -> None:
    ledger.record([vote("item001", "ben")])
    back = vote("item001", label=WITHDRAWN, minute=1)
    with pytest.raises(VoteError, match="no answer of 'anna' about item 'item001' of iteration 0000 counts") as caught:
        ledger.record([vote("item002"), back])
    assert [position for position, _ in caught.value.reasons] == [1]
    ledger.record([vote("item001"), back])
    with pytest.raises(VoteError, match="none to take back"):
        ledger.record([vote("item001", label=WITHDRAWN, minute=2)])
    assert ledger.history().height == 3


def test_why_a_rater_could_not_decide_is_kept_and_another_reason_is_another_answer(ledger: Ledger) -> None:
    one = vote("item001", label="undecided", undecided_reason="missing context")
    ledger.record([one, vote("item002")])
    assert ledger.record([one, vote("item001", label="undecided", minute=1)]).repeated == 2
    other = vote("item001", label="undecided", minute=1, undecided_reason="ambiguous policy")
    assert ledger.record([other]).superseding == 1
    for frame in (ledger.votes(), ledger.answers()):
        assert dict(frame.select("item_id", "undecided_reason").iter_rows()) == {
            "item001": "ambiguous policy",
            "item002": None,
        }
    assert ledger.history()["undecided_reason"].to_list() == ["missing context", None, "ambiguous policy"]
    # Keys of answers without a reason are those of earlier releases.
    assert vote("item001").key == "c06045620d4d74d081a1daf32b49448b"
    assert one.key != vote("item001", label="undecided").key


def test_votes_are_tailed_without_a_gap(ledger_url: str) -> None:
    ledger, other = open_ledger(ledger_url), open_ledger(ledger_url, policy_name="scam")
    ledger.record([vote("item001", comment="näja"), vote("item002", label="undecided", undecided_reason="other")])
    other.record([vote("item001")])
    ledger.record([vote("item001", label=WITHDRAWN, minute=1, vote_key="undo")])
    rows = ledger.votes_since(0)
    assert [(row.seq, row.item_id, row.label) for row in rows] == [
        (1, "item001", "positive"),
        (2, "item002", "undecided"),
        (4, "item001", WITHDRAWN),
    ]
    assert (rows[0].comment, rows[1].undecided_reason, rows[2].vote_key) == ("näja", "other", "undo")
    assert rows[0].voted_at == START
    assert rows[0].recorded_at.utcoffset() == timedelta(0)
    assert [row.seq for row in ledger.votes_since(2)] == [4]
    assert ledger.votes_since(4) == []


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (vote("item001", "mallory"), "rater: 'mallory' may not vote; known are anna, ben, cleo"),
        (vote("other"), "item_id: 'other' is not in the queue of iteration 0000; it is in none"),
        (vote("item001", iteration="0003"), "not in the queue of iteration 0003; it is in that of 0000"),
    ],
)
def test_nobody_is_let_in(ledger: Ledger, wrong: object, reason: str) -> None:
    batch = [vote("item002"), wrong]
    with pytest.raises(VoteError) as caught:
        ledger.record(batch)  # type: ignore[arg-type]
    assert reason in str(caught.value)
    assert [position for position, _ in caught.value.reasons] == [1]
    assert ledger.history().is_empty()
    assert ledger.refusals(batch) == [None, caught.value.reasons[0][1]]  # type: ignore[arg-type]


def test_a_ledger_opened_without_raters_records_nothing(ledger_url: str) -> None:
    open_ledger(ledger_url)
    with pytest.raises(VoteError, match="known are nobody"):
        Ledger(ledger_url, "spam").record([vote("item001")])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"label": "maybe"}, "label: 'maybe' is unknown; expected one of positive, negative, undecided"),
        ({"iteration": "3"}, "iteration: '3' is not an iteration key"),
        ({"voted_at": datetime(2026, 5, 1)}, "voted_at: 2026-05-01T00:00:00 has no time zone"),
        (
            {"voted_at": datetime.fromisoformat("0001-01-01T00:00:00+14:00")},
            r"voted_at: 0001-01-01T00:00:00\+14:00 is not of the years 1970 to 9998; correct it",
        ),
        ({"comment": "x" * 10_001}, "comment: 10001 characters"),
        ({"comment": "a\0b"}, "comment: 'a.x00b' holds a character no database stores"),
        ({"comment": "\ud800"}, "comment: .* holds a character no database stores"),
        ({"policy_version": " "}, "policy_version: empty"),
        ({"label": "undecided", "undecided_reason": "tired"}, "undecided_reason: 'tired' is unknown; expected one of"),
        ({"undecided_reason": "other"}, "undecided_reason: 'other' with label 'positive'; only undecided has one"),
    ],
)
def test_a_malformed_vote_cannot_be_made(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(VoteError, match=reason):
        vote("item001", **fields)  # type: ignore[arg-type]


def test_point_in_time_reads_stay_the_same(ledger: Ledger) -> None:
    assert ledger.watermark() == 0
    ledger.record([vote("item001"), vote("item002")])
    then = ledger.watermark()
    before = ledger.votes(watermark=then)
    ledger.record([vote("item001", label="negative", minute=1), vote("item003")])
    assert ledger.votes(watermark=then).equals(before)
    assert ledger.votes(watermark=1)["item_id"].to_list() == ["item001"]
    assert ledger.votes(watermark=0).is_empty()
    assert ledger.history(watermark=3).height == 3
    with pytest.raises(LedgerError, match="watermark: 9 lies ahead of the ledger, whose last vote"):
        ledger.votes(watermark=9)


def test_an_item_asked_again_later_has_a_vote_in_each_iteration(ledger: Ledger) -> None:
    ledger.publish("0002", queue_frame(["item001"], reason="control"), SELECTED_BY)
    ledger.record([vote("item001")])
    result = ledger.record([vote("item001", iteration="0002", minute=9)])
    assert (result.new, result.superseding) == (1, 0)
    ledger.record([vote("item001", iteration="0002", label="negative", minute=10)])
    assert labels(ledger, iterations=["0000"]) == {("item001", "anna"): "positive"}
    assert labels(ledger, iterations=["0002"]) == {("item001", "anna"): "negative"}
    assert labels(ledger) == {("item001", "anna"): "negative"}
    assert ledger.votes(iterations=[]).is_empty()
    assert ledger.asked_in(["item001", "item002", "x", "a\0"]) == {"item001": ["0000", "0002"], "item002": ["0000"]}


def test_expert_labels_join_the_question(ledger: Ledger) -> None:
    ledger.publish("0001", queue_frame(["item001"], reason="boundary", group_id="g", stratum=None), SELECTED_BY)
    ledger.record([vote("item001"), vote("item001", iteration="0001"), vote("item002", "ben", "undecided")])
    found = EXPERT_LABELS.check(ledger.expert_labels())
    assert found.select("seq", "item_id", "reason", "group_id", "stratum").rows() == [
        (2, "item001", "boundary", "g", None),
        (3, "item002", "audit", "item002", "high"),
    ]
    assert ledger.expert_labels(["0000"])["seq"].to_list() == [1, 3]
    assert EXPERT_LABELS.check(ledger.expert_labels(["0009"])).is_empty()


def test_policies_of_one_database_do_not_see_each_other(ledger_url: str) -> None:
    spam, scam = open_ledger(ledger_url), open_ledger(ledger_url, policy_name="scam")
    key = "same-key"
    assert spam.record([vote("item001", vote_key=key)]).watermark == 1
    assert scam.record([vote("item001", label="negative", vote_key=key)]).new == 1
    assert labels(spam) == {("item001", "anna"): "positive"}
    assert labels(scam) == {("item001", "anna"): "negative"}
    assert (spam.watermark(), scam.watermark()) == (1, 2)


def test_thousands_of_votes_in_one_batch(ledger_url: str) -> None:
    names = items(2_500)
    ledger = Ledger(ledger_url, "spam", RATERS)
    ledger.publish("0000", queue_frame(names), SELECTED_BY)
    batch = [vote(name, rater) for name in names for rater in RATERS[:2]]
    assert ledger.record(batch).new == 5_000
    assert ledger.record(batch).repeated == 5_000
    assert ledger.history()["seq"].to_list() == list(range(1, 5_001))


answers = st.lists(
    st.tuples(
        st.sampled_from(["i", "j"]),
        st.sampled_from(RATERS),
        st.sampled_from(["positive", "negative", "undecided"]),
        st.integers(0, 3),
    ),
    max_size=12,
)


@given(answers, st.integers(0, 12))
@settings(max_examples=200)
def test_the_plan_does_not_depend_on_how_votes_are_batched(
    given_answers: list[tuple[str, str, str, int]], cut: int
) -> None:
    votes = [vote(*answer) for answer in given_answers]
    whole = plan_votes(votes, {}, {}, 1)
    first = plan_votes(votes[:cut], {}, {}, 1)
    current = {
        Place(row["iteration"], row["item_id"], row["rater"]): Known(
            row["seq"], row["label"], row["policy_version"], row["comment"], row["voted_at"]
        )
        for row in first.rows
    }
    keys = {
        row["vote_key"]: (Place(row["iteration"], row["item_id"], row["rater"]), row["label"]) for row in first.rows
    }
    second = plan_votes(votes[cut:], current, keys, first.next_seq)
    assert first.rows + second.rows == whole.rows
    assert whole.new + whole.superseding == len(whole.rows)
    assert whole.new + whole.superseding + whole.repeated == len(votes)
    assert whole.new == len({(row["item_id"], row["rater"]) for row in whole.rows})
