from hypothesis import given
from hypothesis import strategies as st

from al_assets.config import PolicyText
from al_assets.review.desk.policy.text_diff import TextPart, changes_between, edits

TEXTS = st.text(alphabet="ab \n.", max_size=40)


@given(TEXTS, TEXTS)
def test_both_texts_can_be_read_back(before: str, after: str) -> None:
    parts = edits(before, after)
    assert "".join(part.text for part in parts if part.kind != "inserted") == before
    assert "".join(part.text for part in parts if part.kind != "deleted") == after


def test_words_are_marked_within_their_own_line() -> None:
    before, after = (
        "Spam sells.\nNews is no spam.\n",
        "Spam sells things.\nSatire may be rude.\nNews is no spam, ever.\n",
    )
    assert edits(before, after) == (
        TextPart("same", "Spam "), TextPart("deleted", "sells."), TextPart("inserted", "sells things."),
        TextPart("same", "\n"),
        TextPart("inserted", "Satire may be rude.\n"), TextPart("same", "News is no "), TextPart("deleted", "spam."),
        TextPart("inserted", "spam, ever."), TextPart("same", "\n"),
    )  # fmt: skip


def test_a_long_text_rewritten_whole_takes_no_time() -> None:
    before, after = (" ".join(f"{word}{number % 7}" for number in range(6_000)) for word in "ab")
    parts = edits(before, after)
    assert [part.kind for part in parts] == ["deleted", "inserted"]


def test_what_raters_would_read_differently_is_named_and_counted() -> None:
    before = PolicyText(name="spam", question="Spam?", guideline="Spam sells.")
    after = before.model_copy(update={"guideline": "Spam sells something.", "version": "2", "expected_prevalence": 0.3})
    assert [(change.part, change.counted) for change in changes_between(before, after)] == [
        ("guideline", "2 words inserted, 1 word deleted")
    ]
    example = {"text": "buy", "label": "positive", "why": "it sells"}
    after = PolicyText.model_validate({**before.model_dump(), "examples": [example]})
    (change,) = changes_between(before, after)
    assert change.parts == (TextPart("inserted", "positive: buy (why: it sells)\n"),)
