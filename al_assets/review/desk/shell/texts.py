"""Texts made ready for a page: what hides in items and comments becomes visible; the guideline comes in paragraphs."""

import re
import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

from al_assets.config import PolicyText

_LIST_ITEM = re.compile(r"\s*(?:[-*\u2022]|\d+[.)])\s+")
FOLD_CHARACTERS = 800
FOLD_LINES = 12
_SLACK = 200
# What joins and marks without end is no character any more.
_LONGEST_CHARACTER = 40
_LINE_ENDS = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_KEPT = frozenset("\n\t")
# Letters and blanks without any ink, which no category tells from others.
_BLANK = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u034f")
# Both directions' marks move nothing but the punctuation beside them, and right-to-left texts need them.
_MARKS = frozenset("\u200e\u200f\u061c")
_ZWNJ, _ZWJ, _BLACK_FLAG, _END_OF_TAGS = "\u200c", "\u200d", "\U0001f3f4", "\U000e007f"
_JOINING = ("ARABIC", "SYRIAC", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL", "TELUGU", "KANNADA",
            "MALAYALAM", "SINHALA", "KHMER", "MYANMAR", "TIBETAN", "MONGOLIAN", "NKO", "THAANA")  # fmt: skip


class Piece(NamedTuple):
    """A run of text as it is, or one hidden character.

    :param hidden: the name of the hidden character whose number ``text`` holds; None for a run of text.
    """

    text: str
    hidden: str | None = None


@dataclass(frozen=True)
class Shown:
    """A text ready for a page.

    :param head: what is shown folded; empty when the text is short and shown whole.
    :param characters: how long the text is.
    """

    whole: tuple[Piece, ...]
    head: tuple[Piece, ...]
    characters: int


def shown(text: str) -> Shown:
    """Return a text in pieces, with a head of it where it is long."""
    lines = _LINE_ENDS.sub("\n", text)
    cut = _fold_at(lines)
    whole = pieces(lines)
    return Shown(whole, pieces(lines[:cut].rstrip()) if cut < len(lines) else (), len(text))


def pieces(text: str) -> tuple[Piece, ...]:
    """Divide a text into runs and hidden characters: controls, direction overrides, and all that has no ink.

    What joins emoji, flags or letters of scripts that need it stays as it is, as do single variation selectors.
    """
    divided: list[Piece] = []
    start = 0
    for at, character in enumerate(text):
        if _is_hidden(text, at):
            if start < at:
                divided.append(Piece(text[start:at]))
            divided.append(Piece(f"U+{ord(character):04X}", unicodedata.name(character, "control character").lower()))
            start = at + 1
    if start < len(text):
        divided.append(Piece(text[start:]))
    return tuple(divided)


def _is_hidden(text: str, at: int) -> bool:
    character = text[at]
    if character < "\u0300":
        # Most of most texts; the soft hyphen is the only format character here.
        return character not in _KEPT and (unicodedata.category(character) == "Cc" or character == "\u00ad")
    if character in _BLANK:
        return True
    if _is_selector(character):
        return at == 0 or text[at - 1].isspace() or _is_selector(text[at - 1])
    if unicodedata.category(character) != "Cf" or character in _MARKS:
        return False
    if character in (_ZWJ, _ZWNJ):
        return not _joins(text, at)
    if "\U000e0020" <= character <= _END_OF_TAGS:
        return not _in_flag(text, at)
    # Signs such as the Arabic number sign are format characters with ink.
    return not unicodedata.name(character, "").endswith(("SIGN", "SIGN ABOVE", "SIGN BELOW", "AYAH", "FOOTNOTE MARKER"))


def _is_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _joins(text: str, at: int) -> bool:
    """Whether a joiner stands between two emoji, or beside a letter of a script that shapes its letters."""
    near = text[max(0, at - 4) : at]
    before = near.rstrip("\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")[-1:]
    after = text[at + 1 : at + 2]
    if not before or not after:
        return False
    if unicodedata.name(before, "").startswith(_JOINING):
        return True
    return text[at] == _ZWJ and unicodedata.category(before) == "So" and unicodedata.category(after) in ("So", "Sm")


def _in_flag(text: str, at: int) -> bool:
    """Whether a tag belongs to a flag such as Scotland's: a black flag, a few tags, and their end."""
    start = text.rfind(_BLACK_FLAG, max(0, at - 8), at)
    end = text.find(_END_OF_TAGS, at, at + 8)
    return start >= 0 and end >= 0 and all("\U000e0020" <= each <= _END_OF_TAGS for each in text[start + 1 : end])


def _fold_at(text: str) -> int:
    """Return where the head of a text ends: at a gap between words near the limit, never inside a character."""
    limit = FOLD_CHARACTERS
    lines = [match.start() for match in re.finditer("\n", text)]
    if len(lines) >= FOLD_LINES:
        limit = min(limit, lines[FOLD_LINES - 1])
    # Folding away a few words would be of no use.
    if len(text) <= limit + _SLACK and len(lines) < FOLD_LINES + 3:
        return len(text)
    gap = max(text.rfind(" ", limit - _SLACK, limit + 1), text.rfind("\n", limit - _SLACK, limit + 1))
    if gap > 0:
        return gap
    last = min(len(text), limit + _LONGEST_CHARACTER)
    while limit < last and _continues(text[limit - 1], text[limit]):
        limit += 1
    return limit


def _continues(before: str, character: str) -> bool:
    is_mark = unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf") or _is_selector(character)
    return is_mark or before == _ZWJ or "\U0001f3fb" <= character <= "\U0001f3ff"


@dataclass(frozen=True)
class GuidelineBlock:
    """A paragraph of one entry, or a list."""

    entries: tuple[str, ...]
    is_list: bool


@dataclass(frozen=True)
class ShownExample:
    """A worked example with the name of its label."""

    text: Shown
    label: str
    why: str


@dataclass(frozen=True)
class Guideline:
    """What lies beside every question.

    :param seen: names this state of the text; another one means that it has changed.
    """

    question: str
    version: str
    blocks: tuple[GuidelineBlock, ...]
    examples: tuple[ShownExample, ...]
    seen: str


def guideline(policy: PolicyText) -> Guideline:
    """Return the policy ready for a page."""
    names = {"positive": policy.labels.positive, "negative": policy.labels.negative}
    examples = tuple(ShownExample(shown(each.text), names[each.label], each.why) for each in policy.examples)
    return Guideline(policy.question, policy.version, blocks(policy.guideline), examples, policy.text_fingerprint())


def blocks(text: str) -> tuple[GuidelineBlock, ...]:
    """Divide a guideline into paragraphs and lists; lines that were broken for an editor's sake are joined."""
    divided: list[GuidelineBlock] = []
    for part in re.split(r"\n\s*\n", text.strip()):
        lines: list[tuple[bool, str]] = []
        for line in part.splitlines():
            if _LIST_ITEM.match(line):
                lines.append((True, _LIST_ITEM.sub("", line, count=1).strip()))
            elif lines:
                lines[-1] = (lines[-1][0], f"{lines[-1][1]} {line.strip()}")
            else:
                lines.append((False, line.strip()))
        for is_list in (False, True):
            if entries := tuple(entry for listed, entry in lines if listed == is_list):
                divided.append(GuidelineBlock(entries, is_list))
    return tuple(divided)
