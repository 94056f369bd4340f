"""Raters who are faster than the connection, click twice, or stay longer than their session."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser, Route, expect

from al_assets.review.desk.people import changes
from al_assets.review.desk.shell.access import Role
from al_assets_tests.support.browser.desk_ui import PHONE, RaterUi
from al_assets_tests.support.browser.served_desk import Served, remarks, serving
from al_assets_tests.support.browser.window import STEP_SECONDS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A desk with enough questions for a rater of each test's own."""
    # Somebody who joined a moment ago would wait for the desk to look.
    raters = ("anna", "ben", "cleo", "dora")
    with serving(browser, tmp_path_factory.mktemp("haste"), remarks(30), raters) as made:
        yield made


def hold(rater: RaterUi, path: str) -> list[Route]:
    """Keep what the page sends to a path until it is let go."""
    held: list[Route] = []
    rater.page.route(f"**/{path}", lambda route: held.append(route))
    return held


def let_go(rater: RaterUi, held: list[Route]) -> None:
    """Send on what is held, as soon as the page has sent it."""
    for _ in range(STEP_SECONDS * 50):
        if held:
            break
        rater.page.wait_for_timeout(20)
    held[0].continue_()


def kept(rater: RaterUi) -> list[str]:
    """Return the comments that the page keeps for this window alone."""
    found = rater.page.evaluate("({...sessionStorage})")
    return [words for name, words in found.items() if name.startswith("desk.comment.")]


def comments(served: Served, rater: str) -> list[str | None]:
    return list(served.desk.ledger.history().filter(pl.col("rater") == rater)["comment"])


def test_what_is_typed_while_an_answer_is_on_its_way_answers_nothing(served: Served) -> None:
    anna = served.join("anna")
    held = hold(anna, "answer")
    anna.press("y", "k")
    anna.page.keyboard.type("not mine")
    let_go(anna, held)
    anna.expect_number(2)
    assert anna.focused == "comment-text"
    anna.page.keyboard.type(", yes")
    anna.page.unroute("**/answer")
    anna.press("Escape", "n")
    anna.expect_number(3)
    assert comments(served, "anna") == [None, "not mine, yes"]


def test_what_is_typed_meanwhile_stands_there_once_when_the_same_question_comes_again(
    browser: Browser, tmp_path: Path
) -> None:
    with serving(browser, tmp_path, remarks(1)) as served:
        anna = served.join("anna")
        held = hold(anna, "skip")
        anna.press("k")
        anna.page.keyboard.type("first,")
        anna.press("Escape", "s", "k")
        anna.page.keyboard.type(" then")
        let_go(anna, held)
        expect(anna.page.locator("#said")).to_contain_text("Skipped")
        anna.expect_number(1)
        assert anna.page.locator("#comment-text").input_value() == "first, then"
        assert anna.focused == "comment-text"


def test_a_comment_is_gone_on_with_and_a_tap_opens_no_other(browser: Browser, tmp_path: Path) -> None:
    with serving(browser, tmp_path, remarks(2)) as served:
        anna = served.join("anna")
        anna.press("k")
        anna.page.keyboard.type("of the")
        # Gone on with, it takes no key for an answer.
        anna.press("Escape", "k")
        anna.page.keyboard.type(" first, only")
        # A tap on a telephone does so.
        anna.page.evaluate("document.querySelector('.choice').click()")
        anna.expect_number(2)
        assert anna.focused == "heading"
        assert comments(served, "anna") == ["of the first, only"]


def test_the_second_half_of_a_double_click_answers_nothing(served: Served) -> None:
    ben = served.join("ben")
    choice = ben.page.locator("button.choice").first
    choice.click()
    ben.expect_number(2)
    # A slow one, when the next question takes answers already.
    choice.dispatch_event("click", {"detail": 2})
    # And one that falls just behind the swap.
    ben.page.evaluate(
        "document.addEventListener('htmx:afterSettle', () => document.querySelector('.choice').click(), {once: true})"
    )
    ben.press("n")
    ben.expect_number(3)
    ben.press("n")
    ben.expect_number(4)
    assert sorted(served.answers("ben").values()) == ["negative", "negative", "positive"]


def test_a_comment_outlives_the_session_and_no_sign_out(served: Served) -> None:
    cleo = served.join("cleo")
    cleo.press("k")
    cleo.page.keyboard.type("typed at length")
    cleo.page.context.clear_cookies()
    cleo.press("Escape", "y")
    expect(cleo.page.locator("#said")).to_contain_text("Your comment stays in this window.")
    token = changes.invite(served.desk.people, served.desk.ledger, "cleo", (Role.RATER,), "the tests")
    cleo.page.goto(f"{served.address}/join/{token}")
    cleo.page.locator("main button[type=submit]").click()
    cleo.expect_number(1)
    expect(cleo.page.locator("#comment-text")).to_have_value("typed at length")
    cleo.press("y")
    cleo.expect_number(2)
    assert (comments(served, "cleo"), kept(cleo)) == (["typed at length"], [])
    cleo.press("k")
    cleo.page.keyboard.type("for nobody else")
    assert kept(cleo) == ["for nobody else"]
    cleo.page.get_by_role("button", name="Sign out").click()
    expect(cleo.page.get_by_role("button", name="Sign out")).to_have_count(0)
    assert kept(cleo) == []


def test_a_desk_that_does_not_answer_is_not_waited_for_without_end(served: Served) -> None:
    dora = served.join("dora")
    page = dora.page.locator("#desk")
    assert page.get_attribute("hx-request") == '{"timeout": 25000}'
    page.evaluate("""each => each.setAttribute("hx-request", '{"timeout": 200}')""")
    hold(dora, "answer")
    dora.page.set_viewport_size({"width": PHONE[0], "height": 320})
    dora.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    dora.press("y")
    said = dora.page.locator("#said.failed")
    expect(said).to_contain_text("The desk does not answer")
    expect(said).to_be_in_viewport(ratio=1)
    assert dora.violations() == []
    dora.page.unroute("**/answer")
    page.evaluate("each => each.setAttribute('hx-request', '{}')")
    dora.expect_number(1)
    dora.press("y")
    dora.expect_number(2)
    expect(said).to_have_count(0)
    assert len(served.answers("dora")) == 1


def test_late_news_does_not_take_a_question_away_and_a_lost_session_is_told(browser: Browser, tmp_path: Path) -> None:
    with serving(browser, tmp_path, remarks(1)) as served:
        anna = served.join("anna")
        anna.page.clock.install()
        anna.press("y")
        anna.expect_done()
        held = hold(anna, "questions/wait*")
        anna.page.clock.fast_forward(10_000)
        anna.press("u")
        anna.expect_number(1)
        with anna.page.expect_response("**/questions/wait*") as news:
            let_go(anna, held)
        news.value.finished()
        assert news.value.status == 200
        anna.expect_number(1)
        anna.page.unroute("**/questions/wait*")
        anna.press("n")
        anna.expect_done()
        cookies = anna.page.context.cookies()
        anna.page.context.clear_cookies()
        anna.page.clock.fast_forward(10_000)
        expect(anna.page.locator("#said")).to_contain_text("You are not signed in")
        anna.page.context.add_cookies(
            [{"name": each["name"], "value": each["value"], "url": served.address} for each in cookies]
        )
        anna.page.clock.fast_forward(10_000)
        expect(anna.page.locator("#said")).to_have_text("")
        assert served.answers("anna") == {"Remark number 0": "negative"}
