"""What was edited in a text, word by word, so that a person can read it."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any, Literal

from al_assets.config import PolicyText
from al_assets.formatting import count

Kind = Literal["same", "inserted", "deleted"]
_WORD = re.compile(r"\s*\S+|\s+")
_MOST_WORDS = 2_000
_ALIKE = 0.3


@dataclass(frozen=True)
class TextPart:
    """A piece of text that is in both texts, only in the newer, or only in the older."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class PolicyChange:
    """An edited part of the policy: question, guideline, labels or examples."""

    part: str
    parts: tuple[TextPart, ...]

    @property
    def counted(self) -> str:
        """How many words came and went, in words."""
        inserted, deleted = (
            sum(len(part.text.split()) for part in self.parts if part.kind == kind) for kind in ("inserted", "deleted")
        )
        return f"{count(inserted, 'word')} inserted, {count(deleted, 'word')} deleted"


def edits(before: str, after: str) -> tuple[TextPart, ...]:
    """Return both texts as one: lines are matched first, then the words of lines that differ.

    The parts that are not inserted make up ``before``, those that are not deleted ``after``.
    """
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    parts: list[TextPart] = []
    for tag, start, end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            parts.append(TextPart("same", "".join(old[start:end])))
        else:
            for left, right in _matched(old[start:end], new[new_start:new_end]):
                parts += _words_of(left, right)
    # Neighbours of one kind are one part.
    runs = groupby(parts, key=lambda part: part.kind)
    return tuple(TextPart(kind, "".join(part.text for part in run)) for kind, run in runs)


def policy_changes(before: dict[str, Any], after: dict[str, Any]) -> list[PolicyChange]:
    """Return what differs between two states of the policy, as ``PolicyText.read_by_raters`` gives them."""
    changes = []
    for part in after:
        old, new = _readable(before.get(part)), _readable(after[part])
        if old != new:
            changes.append(PolicyChange(part, edits(old, new)))
    return changes


def changes_between(before: PolicyText, after: PolicyText) -> list[PolicyChange]:
    """Return what raters would read differently."""
    return policy_changes(before.read_by_raters(), after.read_by_raters())


def _matched(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield old lines with the new ones they became, in order; "" where a line came or went.

    Each old line takes the most similar of the new lines that are left, so that an inserted line does not draw words
    out of its neighbours.
    """
    start = 0
    for line in old:
        likeness = [_likeness(line, other) for other in new[start:]]
        best = max(range(len(likeness)), key=likeness.__getitem__, default=0)
        if not likeness or likeness[best] < _ALIKE:
            yield line, ""
            continue
        yield from (("", other) for other in new[start : start + best])
        yield line, new[start + best]
        start += best + 1
    yield from (("", other) for other in new[start:])


def _likeness(one: str, other: str) -> float:
    matcher = SequenceMatcher(None, one.split(), other.split(), autojunk=False)
    # An upper bound first: the ratio itself takes time with the square of the words.
    return matcher.ratio() if matcher.quick_ratio() >= _ALIKE else 0.0


def _words_of(before: str, after: str) -> list[TextPart]:
    old, new = _WORD.findall(before), _WORD.findall(after)
    if max(len(old), len(new)) > _MOST_WORDS:
        # Matching takes time with the square of the words: a text so long and so new is shown whole.
        return _replaced(before, after)
    parts: list[TextPart] = []
    for tag, start, end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        left, right = "".join(old[start:end]), "".join(new[new_start:new_end])
        parts += [TextPart("same", left)] if tag == "equal" else _replaced(left, right)
    return parts


def _replaced(before: str, after: str) -> list[TextPart]:
    # White space that both begin with is in both.
    same = len(os.path.commonprefix([before, after]))
    start = next((place for place in range(same) if not before[place].isspace()), same)
    parts = (TextPart("same", before[:start]), TextPart("deleted", before[start:]), TextPart("inserted", after[start:]))
    return [part for part in parts if part.text]


def _readable(value: Any) -> str:
    """Return a part of the policy as lines of text."""
    if isinstance(value, list):
        return "".join(f"{each['label']}: {each['text']}{_because(each)}\n" for each in value)
    if isinstance(value, dict):
        return "".join(f"{name}: {text}\n" for name, text in sorted(value.items()))
    return str(value or "")


def _because(example: dict[str, Any]) -> str:
    return f" (why: {example['why']})" if example.get("why") else ""
