"""The policy as raters read it: the guideline in paragraphs and lists, the examples as untrusted text."""

import re
from dataclasses import dataclass

from al_assets.config import PolicyText
from al_assets.review.desk.shell.untrusted_text import Shown, shown

_ITEM = re.compile(r"\s*(?:[-*\u2022]|\d+[.)])\s+")


@dataclass(frozen=True)
class Block:
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
    blocks: tuple[Block, ...]
    examples: tuple[ShownExample, ...]
    seen: str


def guideline(policy: PolicyText) -> Guideline:
    """Return the policy ready for a page."""
    names = {"positive": policy.labels.positive, "negative": policy.labels.negative}
    examples = tuple(ShownExample(shown(each.text), names[each.label], each.why) for each in policy.examples)
    return Guideline(policy.question, policy.version, blocks(policy.guideline), examples, policy.text_fingerprint())


def blocks(text: str) -> tuple[Block, ...]:
    """Divide a guideline into paragraphs and lists; lines that were broken for an editor's sake are joined."""
    found: list[Block] = []
    for part in re.split(r"\n\s*\n", text.strip()):
        lines: list[tuple[bool, str]] = []
        for line in part.splitlines():
            if _ITEM.match(line):
                lines.append((True, _ITEM.sub("", line, count=1).strip()))
            elif lines:
                lines[-1] = (lines[-1][0], f"{lines[-1][1]} {line.strip()}")
            else:
                lines.append((False, line.strip()))
        for is_list in (False, True):
            if entries := tuple(entry for listed, entry in lines if listed == is_list):
                found.append(Block(entries, is_list))
    return tuple(found)
