"""A whole review in a real browser: raters who came by a link, their keyboards, and what they see."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from al_assets.review.desk.people import changes
from al_assets.review.desk.shell.access import Role
from al_assets_tests.support.browser.desk_ui import DESKTOP, PHONE, RaterUi
from al_assets_tests.support.browser.served_desk import remarks, serving
from al_assets_tests.support.ledger import queue_frame

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

COUNT = 30
LONG = "A long remark that goes on and on. " * 90 + "The end."
MARKUP = "<img src=https://evil.example/x onerror=alert(1)> <script>alert(2)</script> https://evil.example/win"
HIDDEN = "\u0634\u0631\u0627\u0621 \u0633\u064a\u0621 \u202emoc.live\u202c now\u200b!"


def test_two_raters_do_a_whole_review_by_keyboard_at_once(browser: Browser, tmp_path: Path) -> None:
    with serving(browser, tmp_path, [LONG, MARKUP, HIDDEN, *remarks(COUNT - 3)]) as served:
        anna, ben = served.join("anna"), served.join("ben", PHONE)
        for number in range(1, COUNT + 1):
            if number == COUNT:
                anna.page.clock.install()
            answer_one(anna, number)
            ben.press("n" if number % 2 else "2")
            for rater in (anna, ben):
                if number < COUNT:
                    rater.expect_number(number + 1)
                    assert rater.focused == "heading"
                    assert rater.said == "Saved."
        for rater in (anna, ben):
            rater.expect_done()
            assert (rater.noise, rater.strangers) == ([], [])
        # By their texts, which all differ.
        assert len(served.answers("anna")) == COUNT
        assert served.desk.ledger.progress("0000", 2).is_complete
        assert set(served.answers("ben").values()) == {"negative"}
        assert list(served.answers("anna").values()).count("undecided") == 1
        assert served.desk.ledger.answers()["comment"].drop_nulls().to_list() == ["Is y meant?\nSo it seems."]

        # New questions are found while the page lies open.
        served.desk.ledger.publish("0001", queue_frame(["new"], text="A new remark"), {})
        anna.page.clock.fast_forward(10_000)
        anna.take_new_questions()
        expect(anna.page.locator("#item-text")).to_have_text("A new remark")


def answer_one(anna: RaterUi, number: int) -> None:
    """Answer a question in one of the ways there are."""
    if number == 5:
        anna.press("c", "a")
    elif number == 7:
        anna.press("k")
        expect(anna.page.locator("#comment-text")).to_be_focused()
        anna.page.keyboard.type("Is y meant?")
        anna.press("Enter")
        anna.page.keyboard.type("So it seems.")
        anna.press("Escape", "y")
    elif number == 9:
        # Twice back, and forward again.
        for key, then in (("u", 8), ("u", 7), ("y", 8), ("1", 9)):
            anna.press(key)
            anna.expect_number(then)
        anna.press("y")
    elif number == 11:
        before = anna.text
        anna.page.reload()
        anna.expect_number(11)
        assert anna.text == before
        anna.press("y")
    else:
        anna.press("y" if number % 2 else "1")


def test_a_skipped_question_comes_back_at_the_end(browser: Browser, tmp_path: Path) -> None:
    with serving(browser, tmp_path, remarks(3)) as served:
        anna = served.join("anna")
        skipped = anna.text
        anna.press("s")
        expect(anna.page.locator("#said")).to_have_text("Skipped. It comes back at the end.")
        expect(anna.page.locator("#item-text")).not_to_have_text(skipped)
        for number in (1, 2):
            anna.expect_number(number)
            anna.press("n")
        anna.expect_number(3)
        assert anna.text == skipped


def test_keys_answer_only_where_they_should(browser: Browser, tmp_path: Path) -> None:
    with serving(browser, tmp_path, remarks(6)) as served:
        anna = served.join("anna")
        # Reasons count once they are on the screen, and a held key counts once.
        anna.press("a", "m", "o", "Control+y", "x")
        anna.page.keyboard.down("y")
        for _ in range(5):
            anna.page.keyboard.down("y")
        anna.page.keyboard.up("y")
        anna.expect_number(2)
        anna.press("/")
        anna.page.keyboard.type("yncus123")
        expect(anna.page.locator("#comment-text")).to_have_value("yncus123")
        anna.press("Escape", "?")
        anna.page.get_by_label("Use these keys").uncheck()
        anna.page.locator("#heading").focus()
        anna.press("y", "n", "1")
        expect(anna.page.locator("kbd.key").first).to_be_hidden()
        anna.page.reload()
        anna.expect_number(2)
        anna.press("y", "n", "1")
        # Without the keys it works as any page does.
        anna.page.get_by_role("button", name="not spam").focus()
        anna.press("Enter")
        anna.expect_number(3)
        assert sorted(served.answers("anna").values()) == ["negative", "positive"]
        assert anna.noise == []


def test_nothing_is_lost_while_the_connection_is(browser: Browser, tmp_path: Path) -> None:
    with serving(browser, tmp_path, remarks(3)) as served:
        anna = served.join("anna")
        anna.press("k")
        anna.page.keyboard.type("typed at length")
        anna.page.context.set_offline(True)
        anna.press("Escape", "y")
        expect(anna.page.locator("#said")).to_contain_text("Not saved: no connection to the desk.")
        expect(anna.page.locator("#comment-text")).to_have_value("typed at length")
        anna.page.context.set_offline(False)
        anna.expect_number(1)
        anna.press("y")
        anna.expect_number(2)
        assert served.desk.ledger.history()["comment"].to_list() == ["typed at length"]


def test_without_a_script_all_of_it_works(browser: Browser, tmp_path: Path) -> None:
    with serving(browser, tmp_path, remarks(3)) as served:
        token = changes.invite(served.desk.people, served.desk.ledger, "anna", (Role.RATER,), "the tests")
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(f"{served.address}/join/{token}")
        page.locator("main button[type=submit]").click()
        page.get_by_role("button", name="spam, clearly so").click()
        expect(page.locator("#said")).to_have_text("Saved.")
        page.locator("summary.choice").click()
        page.get_by_role("button", name="Context is missing").click()
        expect(page.locator(".number-of")).to_have_text("Question 3")
        page.get_by_role("button", name="Undo my last answer").click()
        expect(page.locator(".earlier")).to_have_text("You had answered “cannot decide”.")
        assert list(served.answers("anna").values()).count("positive") == 1
        context.close()


def test_everyone_can_use_it(browser: Browser, tmp_path: Path) -> None:
    with serving(browser, tmp_path, [LONG, HIDDEN]) as served:
        anna = served.join("anna")
        while "long remark" not in anna.text:
            anna.press("s")
            expect(anna.page.locator("#item-text")).to_contain_text("long remark")
        check(anna)
        anna.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        choices = anna.page.locator(".choices")
        # The answers stay in sight above a text that is longer than the screen.
        expect(choices).to_be_in_viewport(ratio=1)
        anna.press("f")
        expect(anna.page.locator(".fold .text")).to_be_visible()
        expect(choices).to_be_in_viewport(ratio=1)
        anna.press("c", "?", "k")
        check(anna)
        anna.press("Escape", "o")
        anna.expect_number(2)
        expect(anna.page.locator(".hidden-character")).to_have_text(["U+202E", "U+202C", "U+200B"])
        anna.press("y")
        expect(anna.page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
        check(anna)
        assert (anna.noise, anna.strangers) == ([], [])


def check(rater: RaterUi) -> None:
    """Look at the page as it is now in light and dark, wide and narrow."""
    for width, height in (DESKTOP, PHONE):
        rater.page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            rater.page.emulate_media(color_scheme=scheme)
            assert rater.violations() == []
            assert rater.overflow() == 0


@pytest.mark.parametrize("size", [(320, 256), (640, 450)], ids=["400 %", "200 %"])
def test_it_can_be_enlarged(browser: Browser, tmp_path: Path, size: tuple[int, int]) -> None:
    with serving(browser, tmp_path, ["word " * 30 + "x" * 200]) as served:
        anna = served.join("anna", size, forced_colors="active", reduced_motion="reduce")
        anna.press("c", "k", "?")
        assert anna.overflow() == 0
        # On a low screen the answers do not lie on top of the text.
        assert anna.page.locator(".choices").evaluate("each => getComputedStyle(each).position") == "static"
