import re
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from al_assets.review.desk.rating import pages
from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.app import make_app
from al_assets.review.desk.shell.desk import Desk
from al_assets_tests.support.desk.clients import SignIn, client_of, open_desk
from al_assets_tests.support.desk.rater_pages import Rater, ScriptedRater, Seen
from al_assets_tests.support.ledger import items, labels, queue_frame, vote


def votes(desk: Desk) -> list[tuple[Any, ...]]:
    return desk.ledger.history().select("rater", "item_id", "label", "comment").rows()


def item_of(page: Seen) -> str:
    return page.text.removeprefix("text of ")


@pytest.fixture
def anna(sign_in: SignIn) -> Rater:
    return Rater(sign_in("anna"))


def test_a_rater_answers_everything(desk: Desk, anna: Rater) -> None:
    page = anna.look()
    given = {}
    for number, answer in enumerate(["positive", "negative", "undecided:ambiguous policy"] * 2):
        assert f"Question {number + 1} –" in page.html
        given[item_of(page)] = answer
        page = anna.send(page, answer, comment="  hm\r\nwell " if number == 0 else "")
        assert page.said == "Saved."
    assert set(given) == set(items(6))
    assert "Nothing waits for you" in page.html
    assert "6 questions of this round" in page.html
    history = desk.ledger.history()
    assert dict(history.select("item_id", "label").iter_rows()) == {
        item: answer.split(":")[0] for item, answer in given.items()
    }
    assert history["comment"].drop_nulls().to_list() == ["hm\nwell"]
    assert set(history["source"]) == {"desk"}
    assert set(history["policy_fingerprint"]) == {desk.policy.policy.fingerprint()}
    reasons = [row.undecided_reason for row in desk.ledger.votes_since(0)]
    assert reasons == [None, None, "ambiguous policy"] * 2


def test_on_either_database(tmp_path: Path, ledger_url: str) -> None:
    review = {"raters": ["anna", "ben"], "deadline_hours": 50}
    with open_desk(tmp_path, ledger_url, review=review) as desk:
        rater = Rater(client_of(make_app(desk), desk, "anna"))
        page = rater.undo(rater.answer("undecided:other", comment="\U0001f914"))
        assert "due in 2 days" in page.html
        assert rater.send(page, "negative").said == "Saved."
        assert [label for _, _, label, _ in votes(desk)] == ["undecided", "withdrawn", "negative"]


def test_an_answer_is_durable_before_the_page_says_so(tmp_path: Path, desk: Desk, anna: Rater) -> None:
    page = anna.look()
    response = anna.client.submit(f"/questions/{page.code}/answer", answer="positive", turn="0", seen=page.seen)
    assert (response.status_code, response.headers["location"]) == (303, "/questions?after=saved")
    with sqlite3.connect(tmp_path / "ledger.sqlite") as other:
        assert other.execute("select item_id, label from votes").fetchall() == [(item_of(page), "positive")]


def test_the_same_question_after_a_refresh_and_in_a_second_tab(anna: Rater) -> None:
    assert len({anna.look().text for _ in range(3)}) == 1


def test_a_form_sent_twice_counts_once(desk: Desk, anna: Rater) -> None:
    page = anna.look()
    assert [anna.send(page, comment="why").said for _ in range(3)] == ["Saved."] * 3
    assert votes(desk) == [("anna", item_of(page), "positive", "why")]


def test_yes_and_then_no_to_the_same_question_keeps_the_first_and_says_so(desk: Desk, anna: Rater) -> None:
    page = anna.look()
    anna.send(page)
    assert anna.send(page, "negative").said.startswith("You had answered that question before: the first answer stays")
    assert anna.send(page, "positive", comment="more").said.startswith("You had answered that question before")
    assert votes(desk) == [("anna", item_of(page), "positive", None)]


def test_undo_shows_the_question_again_twice_and_thrice(desk: Desk, anna: Rater) -> None:
    asked = []
    for number in range(3):
        asked.append(anna.look().text)
        anna.answer("negative", comment=f"remark {number}")
    page = anna.look()
    assert page.undo is not None
    for text in reversed(asked):
        page = anna.undo(page)
        assert page.text == text
        assert "You had answered “no”" in page.html
        assert page.comment == f"remark {asked.index(text)}"
    assert page.undo is None
    assert labels(desk.ledger) == {}
    assert [anna.look().text, anna.answer().text, anna.answer().text] == asked
    assert labels(desk.ledger) == {(text.removeprefix("text of "), "anna"): "positive" for text in asked[:2]}


def test_undo_sent_twice_takes_one_answer_back(desk: Desk, anna: Rater) -> None:
    anna.answer()
    page = anna.answer()
    first, second = anna.undo(page), anna.undo(page)
    assert first.text == second.text
    assert len(labels(desk.ledger)) == 1
    assert [label for *_, label, _ in votes(desk)] == ["positive", "positive", "withdrawn"]


def test_an_undone_answer_given_again_counts_and_its_old_form_does_not(desk: Desk, anna: Rater) -> None:
    page = anna.look()
    after = anna.undo(anna.send(page, "negative"))
    # The browser's back button brings the first form back.
    old = anna.send(page, "negative")
    assert labels(desk.ledger) == {}
    assert old.text == after.text
    assert anna.send(after, "negative").said == "Saved."
    assert labels(desk.ledger) == {(item_of(page), "anna"): "negative"}


def test_skipped_comes_back_at_the_end(anna: Rater) -> None:
    page = anna.look()
    skipped = page.text
    page = anna.skip(page)
    assert page.said == "Skipped. It comes back at the end."
    order = []
    while page.code:
        order.append(page.text)
        page = anna.send(page)
    assert len(order) == 6
    assert order[-1] == skipped


def test_two_raters_finish_an_item_and_not_three(desk: Desk, sign_in: SignIn) -> None:
    raters = [Rater(sign_in(name)) for name in ("anna", "ben", "cleo")]
    pages = [rater.look() for rater in raters]
    while any(page.code for page in pages):
        pages = [rater.send(page) if page.code else rater.look() for rater, page in zip(raters, pages, strict=True)]
    counts = desk.ledger.votes().group_by("item_id").len()["len"].to_list()
    assert counts == [2] * 6
    assert desk.ledger.progress("0000", 2).is_complete


def test_another_raters_question_is_not_found(desk: Desk, sign_in: SignIn, anna: Rater) -> None:
    ben, page = Rater(sign_in("ben")), anna.look()
    for act in ("answer", "skip", "withdraw"):
        response = ben.client.submit(f"/questions/{page.code}/{act}", answer="positive", turn="0", seen=page.seen)
        assert response.status_code == 404
    assert votes(desk) == []


def test_others_have_no_questions(sign_in: SignIn) -> None:
    client = sign_in("olga", Role.ADMIN, Role.ADJUDICATOR, Role.POLICY_OWNER)
    assert [client.get(path).status_code for path in ("/questions", "/questions/wait")] == [404, 404]


def test_forms_that_no_page_made_are_refused(desk: Desk, anna: Rater) -> None:
    page = anna.look()
    wrong = [{"answer": each} for each in ("undecided", "undecided:boredom", "withdrawn", "")]
    wrong += [{"turn": each} for each in ("-1", "x", "9" * 30, "\u0663", "")]
    for fields in wrong:
        values = {"answer": "positive", "turn": "0", "seen": page.seen, **fields}
        assert anna.client.submit(f"/questions/{page.code}/answer", **values).status_code == 400, fields
    assert votes(desk) == []


def test_a_comment_that_cannot_be_kept_stays_in_the_form(desk: Desk, anna: Rater) -> None:
    page = anna.look()
    for comment, says in (("x" * 10_001, "at most 10,000"), ("a\0b", "cannot be stored")):
        again = anna.send(page, "negative", comment=comment)
        assert again.notice.startswith("Not saved.")
        assert says in again.notice
        assert "You had chosen “no”" in again.notice
        assert again.text == page.text
        assert again.comment.replace("\ufffd", "\0") == comment
    assert votes(desk) == []


def test_text_is_shown_as_text(tmp_path: Path) -> None:
    texts = [
        "<script>alert(1)</script>\n  <img src=x onerror=alert(1)>", "see https://evil.example/?a=1&b=2",
        "{{ 7 * 7 }} ' onclick=\"x\"", "pay \u202eelgoog\u202c now\u200b!",
    ]  # fmt: skip
    queue = queue_frame(items(4)).with_columns(text=pl.Series(texts))
    with open_desk(tmp_path, f"sqlite:///{tmp_path}/l.sqlite", queue) as desk:
        rater = Rater(client_of(make_app(desk), desk, "anna"))
        shown = {}
        for _ in texts:
            page = rater.look()
            shown[page.text] = page.html
            rater.send(page, comment=texts[0])
    assert set(shown) >= set(texts[:3])
    hidden = [re.sub(r"<[^>]+>", "", text) for text in shown if "elgoog" in text]
    assert hidden == ["pay U+202Eelgoog\u202c now".replace("\u202c", "U+202C") + "U+200B!"]
    for html in shown.values():
        stage = html[html.index('<div class="item">') : html.index('<form id="answer"')]
        assert set(re.findall(r"<(\w+)", stage)) <= {"div", "bdi"}
        assert "\u202e" not in html


def test_a_long_text_is_folded_without_a_script(tmp_path: Path) -> None:
    queue = queue_frame(["a"], text="word " * 900 + "end.")
    with open_desk(tmp_path, f"sqlite:///{tmp_path}/l.sqlite", queue) as desk:
        page = Rater(client_of(make_app(desk), desk, "anna")).look()
    assert "Show all 4,504 characters" in page.html
    assert page.text.endswith("word")
    assert page.html.count("end.") == 1


def test_waiting_claims_nothing_and_finds_new_questions(
    desk: Desk, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("al_assets.review.desk.rating.room._LOOK_SECONDS", 0.0)
    anna, scripted = Rater(sign_in("anna")), {"HX-Request": "true"}
    while anna.look().code:
        anna.answer()
    assert anna.client.get("/questions/wait", headers=scripted).status_code == 204
    desk.ledger.publish("0001", queue_frame(["new"]), {})
    for name in ("anna", "ben", "cleo"):
        response = Rater(sign_in(name)).client.get("/questions/wait", headers=scripted)
        assert response.status_code == 200
        assert "New questions are here" in response.text
        assert "text of" not in response.text
    assert anna.look().text == "text of new"


def test_a_reselect_is_seen_without_a_restart(desk: Desk, anna: Rater, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("al_assets.review.desk.rating.room._LOOK_SECONDS", 0.0)
    while anna.look().code:
        anna.answer()
    desk.ledger.publish("0000", queue_frame(["new"]), {}, append=True)
    assert anna.look().text == "text of new"


def test_votes_that_came_in_otherwise_are_seen_at_once(desk: Desk, anna: Rater) -> None:
    anna.look()
    desk.ledger.record([vote(item, rater) for item in items(6)[:5] for rater in ("ben", "cleo")])
    # What lay before her may be complete now; nobody needs a third vote on it.
    assert anna.look().text == "text of item005"
    desk.ledger.record([vote("item005", "anna", source="file:x.csv")])
    page = anna.look()
    assert page.code is None
    # An answer from a file is not undone on the desk.
    assert page.undo is None


def test_a_rater_who_left_is_told_so_and_their_items_go_on(
    desk: Desk, anna: Rater, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("al_assets.review.desk.rating.room._LOOK_SECONDS", 0.0)
    page = anna.look()
    desk.ledger.change_rater("anna", "left", "olga")
    again = anna.send(page)
    assert "you are not among the raters now" in again.notice
    assert "ben" not in again.html
    assert "No questions are meant for you" in anna.look().html
    assert votes(desk) == []


def test_a_guideline_that_changed_meanwhile_is_read_before_the_answer_counts(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/l.sqlite"
    with open_desk(tmp_path, url) as desk:
        client = client_of(make_app(desk), desk, "anna")
        anna = Rater(client)
        page = anna.answer()
        cookies = dict(client.cookies)
    text = {**desk.policy.policy.model_dump(), "version": "2", "guideline": "Spam sells, or begs."}
    with open_desk(tmp_path, url, policy=text) as desk:
        client = client_of(make_app(desk), desk, "anna")
        (read,) = [name for name in cookies if name.startswith("desk_read_")]
        client.cookies.set(read, cookies[read], path="/questions")
        anna = Rater(client)
        assert "The guideline has changed since your last answer. It is now version 2" in anna.look().notice
        again = anna.send(page, "negative", comment="as before")
        assert again.notice.startswith("Not saved: the guideline has changed.")
        assert (again.comment, again.text) == ("as before", page.text)
        assert len(votes(desk)) == 1
        scripted = ScriptedRater(client, page.seen)
        status, part, headers = scripted.post(again, "answer", answer="negative")
        assert (status, headers["hx-retarget"], headers["x-desk"]) == (409, "#desk", "stage")
        assert "Spam sells, or begs." in part.html
        assert anna.send(again, "negative").said == "Saved."
        assert anna.look().notice == ""
        assert desk.ledger.history()["policy_version"].to_list() == ["1", "2"]


def test_htmx_gets_the_stage_alone(desk: Desk, anna: Rater) -> None:
    page = anna.look()
    scripted = ScriptedRater(anna.client, page.seen)
    status, part, headers = scripted.post(page, "answer", answer="positive")
    assert (status, headers["x-desk"], headers["cache-control"]) == (200, "stage", "no-store")
    assert part.said == "Saved."
    assert "<title>Question 2 – Review desk" in part.html
    assert "Spam sells." not in part.html
    status, skipped, _ = scripted.post(part, "skip")
    assert (status, skipped.said) == (200, "Skipped. It comes back at the end.")
    status, undone, _ = scripted.post(skipped, "withdraw")
    assert (status, undone.text, undone.turn) == (200, page.text, "2")


def test_when_the_ledger_cannot_be_written_the_answer_stays_in_the_form_and_counts_once_later(
    tmp_path: Path, desk: Desk, anna: Rater, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PATIENCE_SECONDS", 0.2)
    page = anna.look()
    other = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    other.execute("begin immediate")
    stuck = anna.send(page, "negative", comment="typed at length")
    assert stuck.notice.startswith("Not saved: the desk cannot write now. Your answer is still here")
    assert "Send “no” again" in stuck.notice
    assert "sqlite" not in stuck.html
    assert (stuck.comment, stuck.turn, stuck.text) == ("typed at length", "0", page.text)
    assert votes(desk) == []
    other.execute("rollback")
    other.close()
    monkeypatch.setattr(pages, "PATIENCE_SECONDS", 10.0)
    # The first try may get through after all, before or after this one.
    assert anna.send(stuck, "negative", comment=stuck.comment).said == "Saved."
    assert votes(desk) == [("anna", item_of(page), "negative", "typed at length")]


def test_votes_that_wait_for_the_disk_keep_nobody_else_waiting(
    tmp_path: Path, desk: Desk, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PATIENCE_SECONDS", 60.0)
    anna, ben = Rater(sign_in("anna")), Rater(sign_in("ben"))
    page = anna.look()
    form = {"answer": "negative", "turn": page.turn, "seen": page.seen, "comment": ""}
    other = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None, check_same_thread=False)
    with closing(other), ThreadPoolExecutor(60) as crowd:
        other.execute("begin immediate")
        try:
            sent = [crowd.submit(anna.client.submit, f"/questions/{page.code}/answer", **form) for _ in range(60)]
            # More than Starlette would have threads for.
            until = time.monotonic() + 20
            while time.monotonic() < until and sum("AnyIO" in each.name for each in threading.enumerate()) < 60:
                time.sleep(0.05)
            start = time.monotonic()
            assert ben.look().code is not None
            assert time.monotonic() - start < 20
        finally:
            other.execute("rollback")
        assert {each.result().status_code for each in sent} == {303}
    assert [(rater, label) for rater, _, label, _ in votes(desk)] == [("anna", "negative")]


def test_deadline_and_pace_in_words(tmp_path: Path) -> None:
    queue = queue_frame(items(30))
    review = {"raters": ["anna", "ben"], "deadline_hours": 50}
    with open_desk(tmp_path, f"sqlite:///{tmp_path}/l.sqlite", queue, review=review) as desk:
        rater = Rater(client_of(make_app(desk), desk, "anna"))
        page = rater.look()
        assert "30 left for you" in page.html
        assert "about 30" not in page.html
        assert "due in 2 days" in page.html
        assert "at your pace" not in page.html
        for _ in range(7):
            page = rater.answer()
        assert "less than a minute<" in page.html
        assert "7 answered by you" in page.html


def test_what_lay_before_a_rater_who_signs_out_is_handed_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    with open_desk(tmp_path, url, queue_frame(items(1))) as desk:
        app = make_app(desk)
        anna, ben, cleo = (Rater(client_of(app, desk, name)) for name in ("anna", "ben", "cleo"))
        assert all(item_of(each.look()) == "item000" for each in (anna, ben))
        assert "Nothing waits for you" in cleo.look().html
        assert anna.client.submit("/sign-out").status_code == 303
        assert item_of(cleo.look()) == "item000"
