import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.review.desk.shell.texts import FOLD_CHARACTERS, FOLD_LINES, GuidelineBlock, Piece, blocks, pieces, shown

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
HEART_ON_FIRE = "\u2764\ufe0f\u200d\U0001f525"
SCIENTIST = "\U0001f9d1\U0001f3fd\u200d\U0001f52c"
HEBREW = "\u05e9\u05dc\u05d5\u05dd\u200f!"
PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


@pytest.mark.parametrize(
    "text",
    [
        "plain <b>text</b> & more", "line\none\ttab", "e\u0301 n\u0303", FAMILY, SCOTLAND, HEART_ON_FIRE, SCIENTIST,
        HEBREW, PERSIAN, "\u0915\u094d\u200d\u0937", "\u06dd\u0661", "", "https://evil.example/win?a=1&b=2",
    ],
)  # fmt: skip
def test_what_belongs_to_a_text_stays(text: str) -> None:
    assert pieces(text) == ((Piece(text),) if text else ())


@pytest.mark.parametrize(
    ("hidden", "name"),
    [
        ("\u202e", "right-to-left override"), ("\u2066", "left-to-right isolate"), ("\u200b", "zero width space"),
        ("\ufeff", "zero width no-break space"), ("\u00ad", "soft hyphen"), ("\u2060", "word joiner"),
        ("\x07", "control character"), ("\x1b", "control character"), ("\u200d", "zero width joiner"),
        ("\u200c", "zero width non-joiner"), ("\u3164", "hangul filler"), ("\u034f", "combining grapheme joiner"),
        ("\U000e0041", "tag latin capital letter a"),
    ],
)  # fmt: skip
def test_what_hides_becomes_visible(hidden: str, name: str) -> None:
    assert pieces(f"fr{hidden}ee") == (Piece("fr"), Piece(f"U+{ord(hidden):04X}", name), Piece("ee"))


def test_a_message_smuggled_in_variation_selectors_becomes_visible() -> None:
    found = pieces("\U0001f600\ufe0f\ufe01\U000e0102 \ufe00x")
    assert [piece.text for piece in found if piece.hidden] == ["U+FE01", "U+E0102", "U+FE00"]
    assert "".join(piece.text for piece in found if not piece.hidden) == "\U0001f600\ufe0f x"


@given(st.text(max_size=60))
def test_every_character_is_shown_once(text: str) -> None:
    back = "".join(chr(int(piece.text[2:], 16)) if piece.hidden else piece.text for piece in pieces(text))
    assert back == text
    runs = "".join(piece.text for piece in pieces(text) if not piece.hidden)
    assert not set(runs) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\0\x07")


def test_line_ends_of_all_kinds() -> None:
    assert shown("a\r\nb\rc\u2028d\x85e").whole == (Piece("a\nb\nc\nd\ne"),)


def test_a_short_text_is_not_folded_and_a_long_one_between_words() -> None:
    assert shown("word " * 180).head == ()
    (head,) = shown("word " * 2_000).head
    assert FOLD_CHARACTERS - 10 < len(head.text) <= FOLD_CHARACTERS
    assert head.text.endswith("word")
    (lines,) = shown("line\n" * 60).head
    assert lines.text.count("\n") == FOLD_LINES - 1
    assert shown("x" * 5_000).head == (Piece("x" * FOLD_CHARACTERS),)


def test_a_fold_cuts_no_character() -> None:
    accented = "x" * (FOLD_CHARACTERS - 1) + "e\u0301" + "y" * 900
    assert shown(accented).head == (Piece(accented[: FOLD_CHARACTERS + 1]),)
    joined = "x" * (FOLD_CHARACTERS - 1) + FAMILY + "y" * 900
    assert shown(joined).head == (Piece(joined[: FOLD_CHARACTERS - 1] + FAMILY),)


@pytest.mark.parametrize(
    "unit",
    ["\u200d", "\u200b", "e" + "\u0301" * 90, "a\u200d", "\U0001f3fd", "\U000e0041"],
    ids=["joiner", "space", "accents", "joined letters", "skin tone", "tag"],
)
def test_a_text_that_joins_without_end_is_folded(unit: str) -> None:
    text = "x" * (FOLD_CHARACTERS - 1) + unit * (20_000 // len(unit))
    head = shown(text).head
    assert head
    assert sum(1 if each.hidden else len(each.text) for each in head) <= FOLD_CHARACTERS + 40


@given(st.text(alphabet="ab \n\u0301\u200d\U0001f3fd\u202e", min_size=900, max_size=1_300))
@settings(max_examples=30)
def test_a_head_is_the_beginning_of_the_text(text: str) -> None:
    found = shown(text)
    assert "".join(each.text for each in found.whole).startswith("".join(each.text for each in found.head))


def test_guidelines_in_paragraphs_and_lists() -> None:
    text = "Spam sells\nsomething.\n\nIt is spam when\n- it offers\n  a price\n- it links\n\n1. One\n2) Two"
    assert blocks(text) == (
        GuidelineBlock(("Spam sells something.",), False),
        GuidelineBlock(("It is spam when",), False),
        GuidelineBlock(("it offers a price", "it links"), True),
        GuidelineBlock(("One", "Two"), True),
    )
