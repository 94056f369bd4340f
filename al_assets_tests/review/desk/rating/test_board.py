from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.review.desk.rating.board import IDLE
from al_assets.review.desk.rating.round import QuestionId
from al_assets.review.questions import MIN_GAP, blind_order
from al_assets.storage.ledger.progress import count_progress
from al_assets_tests.support.desk.boards import NOON, Play, round_of
from al_assets_tests.support.ledger import items, paired_queue, queue_frame

CROWD = ("anna", "ben", "cleo", "dora", "emil")
ACTS = st.tuples(
    st.sampled_from(CROWD), st.sampled_from(["look", "answer", "answer", "answer", "undo", "skip", "sign out", "leave"])
)


def act(play: Play, rater: str, what: str, present: set[str], shown: dict[str, QuestionId], votes: int) -> None:
    if rater not in present:
        return
    if what == "look":
        shown.pop(rater, None)
        if question := play.look(rater):
            shown[rater] = question
    elif what == "answer" and (question := shown.pop(rater, None) or play.look(rater)):
        play.put(rater, question)
    elif what == "undo" and (question := play.take_back(rater)):
        shown[rater] = question
    elif what == "skip" and (question := shown.pop(rater, None)):
        play.board.skip(rater, question)
    elif what == "sign out":
        shown.pop(rater, None)
        play.board.give_up(rater)
    elif what == "leave" and len(present) > votes:
        shown.pop(rater, None)
        present.discard(rater)
        play.board.set_raters(present)


@given(
    st.lists(ACTS, max_size=120), st.integers(0, 4), st.integers(1, 6), st.integers(0, 3), st.integers(2, 3),
    st.integers(3, 5),
)  # fmt: skip
@settings(max_examples=100)
def test_whatever_raters_do(
    acts: list[tuple[str, str]], pairs: int, singles: int, repeated: int, votes: int, crowd: int
) -> None:
    queue = pl.concat([paired_queue(pairs, singles), queue_frame(items(repeated, "again"))])
    before = {item: frozenset(CROWD[number : number + votes]) for number, item in enumerate(items(repeated, "again"))}
    play = Play(round_of(queue, asked_again=before), raters=CROWD[:crowd], votes=votes)
    present, shown = set(CROWD[:crowd]), dict[str, QuestionId]()
    for rater, what in acts:
        act(play, rater, what, present, shown, votes)
    while any([play.answer(rater) for rater in sorted(present)]):
        pass

    answers = play.answers()
    assert all(len(raters) <= votes for raters in answers.values())
    for item, raters in before.items():
        assert set(answers.get(QuestionId("0000", item), {})) <= raters
    cast = [
        (question.item_id, rater, label, NOON) for question, each in answers.items() for rater, label in each.items()
    ]
    queued = [(item_id, NOON) for item_id in queue["item_id"]]
    assert count_progress("0000", votes, queued, cast, present, 0, before).is_complete
    given_once = [(row.item_id, row.rater) for row in play.rows]
    for place in set(given_once):
        labels = [row.label for row in play.rows if (row.item_id, row.rater) == place]
        # An answer is asked for again only after it was taken back.
        assert all(one != other for one, other in zip(labels, labels[1:], strict=False))


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 99))
@settings(max_examples=30)
def test_alone_a_rater_goes_through_the_queue_in_their_own_order(pairs: int, singles: int, seed: int) -> None:
    if pairs + singles == 0:
        return
    play, rater = Play(round_of(paired_queue(pairs, singles)), raters=(f"r{seed}", "ben")), f"r{seed}"
    own = blind_order(play.board.rounds["0000"].queue, "spam", "0000", rater)["item_id"].to_list()
    order = play.answer_all(rater)
    assert sorted(order) == sorted(own)
    # In a shorter queue partners cannot be far apart in any order.
    if pairs == 0 or pairs + singles > 2 * MIN_GAP:
        assert order == own


def gaps(order: list[str]) -> list[tuple[int, int]]:
    """How far apart partners are, each with how many questions were left then."""
    groups = [item[1:] if item[0] in "pn" else item for item in order]
    last: dict[str, int] = {}
    found = []
    for at, group in enumerate(groups):
        if group in last:
            found.append((at - last[group] - 1, len(order) - at))
        last[group] = at
    return found


@pytest.mark.parametrize("speed", [1, 2, 5])
def test_partners_stay_apart_however_fast_the_others_are(speed: int) -> None:
    for seed in range(5):
        play = Play(round_of(paired_queue(25, 20)), raters=(f"fast{seed}", f"slow{seed}"))
        orders: dict[str, list[str]] = {rater: [] for rater in play.board.raters}
        busy = True
        while busy:
            busy = False
            for rater, times in ((f"fast{seed}", speed), (f"slow{seed}", 1)):
                for _ in range(times):
                    if question := play.answer(rater):
                        orders[rater].append(question.item_id)
                        busy = True
        for order in orders.values():
            assert len(order) == 70
            # Only where hardly anything else is left may partners come close.
            assert all(gap >= MIN_GAP or left <= MIN_GAP for gap, left in gaps(order))


def test_items_that_others_answered_come_first() -> None:
    play = Play(round_of(queue_frame(items(30))), raters=CROWD[:3])
    first = [play.answer("anna") for _ in range(4)]
    assert {play.answer("ben") for _ in range(4)} == set(first)
    assert play.answer("cleo") not in first


def test_a_repeat_that_needs_one_vote_does_not_come_first() -> None:
    firsts = set()
    for number in range(12):
        queue = pl.concat([queue_frame(items(20)), queue_frame(["again"])])
        again = {"again": frozenset({f"r{number}", "left long ago"})}
        play = Play(round_of(queue, asked_again=again), raters=(f"r{number}", "ben"))
        firsts.add(play.look(f"r{number}") == QuestionId("0000", "again"))
    assert False in firsts


def test_what_lies_before_one_rater_is_given_to_no_third() -> None:
    play = Play(round_of(queue_frame(["a"])), raters=CROWD[:3])
    assert play.look("anna") == play.look("ben") == ("0000", "a")
    assert play.look("cleo") is None
    play.now += IDLE - timedelta(seconds=1)
    assert play.look("anna") == ("0000", "a")
    play.now += timedelta(seconds=1)
    # Ben has been idle for too long, Anna has not.
    assert play.look("cleo") == ("0000", "a")
    assert play.look("ben") is None


@pytest.mark.parametrize("away", ["skip", "sign out", "leave"])
def test_what_a_rater_gives_up_goes_to_others(away: str) -> None:
    play = Play(round_of(queue_frame(["a"])), raters=CROWD[:3])
    play.look("anna"), play.look("ben")
    if away == "skip":
        play.board.skip("ben", QuestionId("0000", "a"))
    elif away == "sign out":
        play.board.give_up("ben")
    else:
        play.board.set_raters(("anna", "cleo"))
    assert play.look("cleo") == ("0000", "a")


def test_looking_without_claiming_changes_nothing() -> None:
    play = Play(round_of(queue_frame(["a"])), raters=CROWD[:3])
    for rater in CROWD[:3]:
        assert play.board.view(rater, play.now, claim=False).question == ("0000", "a")
    assert play.look("cleo") == ("0000", "a")


def test_the_same_question_until_it_is_answered() -> None:
    play = Play(round_of(queue_frame(items(20))))
    shown = play.look("anna")
    for _ in range(5):
        play.answer("ben")
        assert play.look("anna") == shown
    restarted = Play(round_of(queue_frame(items(20))))
    restarted.board.apply(play.rows)
    assert restarted.look("anna") is not None


def test_undo_goes_back_as_often_as_wanted_and_forward_again() -> None:
    play = Play(round_of(queue_frame(items(10))))
    first, second, third = (play.answer("anna") for _ in range(3))
    fourth = play.look("anna")
    assert [play.take_back("anna"), play.look("anna")] == [third, third]
    assert [play.take_back("anna"), play.look("anna")] == [second, second]
    assert [play.take_back("anna"), play.look("anna")] == [first, first]
    assert play.take_back("anna") is None
    assert [play.answer("anna") for _ in range(4)] == [first, second, third, fourth]


def test_undo_survives_a_restart() -> None:
    play = Play(round_of(queue_frame(items(10))))
    play.answer("anna")
    second = play.answer("anna")
    play.take_back("anna")
    restarted = Play(round_of(queue_frame(items(10))))
    restarted.board.apply(play.rows)
    assert restarted.look("anna") == second


def test_skipped_questions_come_at_the_end_in_the_order_they_were_skipped() -> None:
    play = Play(round_of(queue_frame(items(6))))
    skipped = []
    for _ in range(2):
        question = play.look("anna")
        assert question is not None
        play.board.skip("anna", question)
        skipped.append(question)
    assert [QuestionId("0000", item) for item in play.answer_all("anna")][-2:] == skipped


def test_the_newest_iteration_first_then_older_ones_until_they_are_due() -> None:
    old, new = round_of(queue_frame(items(3, "old")), "0000"), round_of(queue_frame(items(3, "new")), "0001", hour=10)
    play = Play(old, new, deadline=24)
    order = play.answer_all("anna")
    assert [item[:3] for item in order] == ["new"] * 3 + ["old"] * 3
    play.now += timedelta(hours=24)
    view = play.board.view("ben", play.now)
    assert view.waiting == 3
    assert {item[:3] for item in play.answer_all("ben")} == {"new"}
    late = Play(round_of(queue_frame(items(3))), deadline=1)
    late.now += timedelta(hours=2)
    # The loop waits for the newest round whether it is late or not.
    assert len(late.answer_all("anna")) == 3


def test_a_reselect_joins_behind_and_what_was_answered_stays_answered() -> None:
    play = Play(round_of(queue_frame(items(3))))
    first = play.answer_all("anna")
    queue = pl.concat([queue_frame(items(3)), queue_frame(items(2, "more"))])
    play.board.publish(round_of(queue))
    assert sorted(first + play.answer_all("anna")) == sorted(queue["item_id"])


def test_votes_on_what_was_published_a_moment_ago_do_no_harm() -> None:
    play = Play(round_of(queue_frame(items(3))))
    for question in (QuestionId("0001", "new"), QuestionId("0000", "added")):
        play.put("anna", question)
        play.put("anna", question, "withdrawn")
        play.put("anna", question)
    assert play.look("anna") is not None
    play.board.publish(round_of(queue_frame(["new"]), "0001"))
    play.board.publish(round_of(queue_frame([*items(3), "added"])))
    assert sorted(play.answer_all("anna")) == items(3)
    order = play.answer_all("ben")
    # What Anna had answered alone comes before what nobody had.
    assert (order[0], sorted(order)) == ("new", sorted([*items(3), "added", "new"]))


def test_the_survey_counts_what_is_likely_to_be_ones_own() -> None:
    play = Play(round_of(queue_frame(items(30))), raters=CROWD[:3])
    view = play.board.view("anna", play.now)
    assert (view.answered, view.waiting) == (0, 30)
    assert view.share == pytest.approx(20)
    for _ in range(10):
        play.answer("ben")
    assert play.board.view("anna", play.now).share == pytest.approx(20 * 2 / 3 + 10 / 2)
    for _ in range(10):
        play.answer("cleo")
    view = play.board.view("anna", play.now)
    assert view.waiting == 20
    assert view.share == pytest.approx(20 * 2 / 3)
    stranger = play.board.view("zoe", play.now)
    assert (stranger.question, stranger.waiting) == (None, 0)
