"""A new version of the policy while it is being written: what the form holds, what is wrong with it, its YAML."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl
import yaml
from starlette.datastructures import FormData

from al_assets.config import Example, PolicyText
from al_assets.storage.ledger.votes import is_storable

MAX_EXAMPLES = 60
LONGEST = {"version": 40, "question": 1_000, "guideline": 30_000, "text": 10_000, "why": 2_000, "note": 5_000}
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_RARE_LINE_END = re.compile("[\x85\u2028\u2029]")
_NUMBER = re.compile(r"(.*?)(\d+)$")


class DraftError(ValueError):
    """A draft cannot be proposed; ``problems`` says for each field of the form what is wrong and the way out."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in self.problems.items()))


@dataclass(frozen=True)
class DraftExample:
    """An example as the form holds it; without a text it is none."""

    text: str = ""
    label: str = "positive"
    why: str = ""


@dataclass(frozen=True)
class PolicyDraft:
    """What the form holds.

    :param note: why the policy should change.
    """

    version: str
    question: str
    guideline: str
    examples: tuple[DraftExample, ...] = ()
    note: str = ""

    def with_empty_examples(self, count: int) -> "PolicyDraft":
        """Return the draft with so many empty examples at its end."""
        filled = tuple(example for example in self.examples if example.text or example.why)
        return replace(self, examples=filled + (DraftExample(),) * min(count, MAX_EXAMPLES - len(filled)))


@dataclass(frozen=True)
class KnownVersions:
    """The texts on record under each version, beside the present one.

    :param versions: version -> fingerprints of the texts it stood or is proposed to stand over.
    """

    current: PolicyText
    versions: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, current: PolicyText, texts: pl.DataFrame) -> "KnownVersions":
        """Take them from the ledger's policy texts."""
        pairs = [*texts.select("version", "text_fingerprint").rows(), (current.version, current.text_fingerprint())]
        return cls(current, {name: frozenset(text for each, text in pairs if each == name) for name, _ in pairs})

    def next_version(self) -> str:
        """Return a version that no text has had: the present one counted up."""
        number_at_end = _NUMBER.match(self.current.version)
        stem, digits = (number_at_end[1], number_at_end[2]) if number_at_end else (f"{self.current.version}.", "0")
        number = int(digits) + 1
        # Leading zeros stay, as in dates.
        while (version := f"{stem}{number:0{len(digits)}}") in self.versions:
            number += 1
        return version


def draft_of(known: KnownVersions) -> PolicyDraft:
    """Return the form as it is first shown: the present text under the next version."""
    now = known.current
    examples = tuple(DraftExample(example.text, example.label, example.why) for example in now.examples)
    return PolicyDraft(known.next_version(), now.question, now.guideline, examples)


def draft_from(fields: FormData) -> PolicyDraft:
    """Return what was submitted."""
    columns = [[_plain(each) for each in fields.getlist(f"example_{name}")] for name in ("text", "label", "why")]
    rows = zip(*columns, strict=False)
    return PolicyDraft(
        version=_plain(fields.get("version")).strip(),
        question=_plain(fields.get("question")),
        guideline=_plain(fields.get("guideline")),
        examples=tuple(DraftExample(text, label, why) for text, label, why in rows),
        note=_plain(fields.get("note")).strip(),
    )


def proposed_text(draft: PolicyDraft, known: KnownVersions) -> PolicyText:
    """Return the policy that a draft proposes.

    White space at the end of a part is no edit: browsers add and drop it.

    :raises DraftError: a field is empty, too long or not of its form; nothing was edited; the version is taken.
    """
    now = known.current
    problems = _malformed(draft)
    if problems:
        raise DraftError(problems)
    question, guideline = (_kept(getattr(now, name), getattr(draft, name)) for name in ("question", "guideline"))
    before = {example.text.rstrip(): example for example in now.examples}
    examples = tuple(_example(each, before) for each in draft.examples if each.text.strip())
    proposed = now.model_copy(
        update={"version": draft.version, "question": question, "guideline": guideline, "examples": examples}
    )
    if proposed.text_fingerprint() == now.text_fingerprint():
        raise DraftError(
            {"text": "question, guideline and examples are as they stand now; edit one of them before you propose"}
        )
    if taken := known.versions.get(draft.version, frozenset()) - {proposed.text_fingerprint()}:
        others = "another text" if len(taken) == 1 else f"{len(taken)} other texts"
        raise DraftError(
            {
                "version": f"{draft.version!r} already stands over {others}; an edited text needs a "
                f"version of its own, such as {known.next_version()!r}"
            }
        )
    return proposed


def yaml_section(text: PolicyText) -> str:
    """Return the policy as the section ``policy:`` of a policy file."""
    values = text.model_dump(mode="json", exclude_defaults=True) | {"version": text.version}
    order = [name for name in PolicyText.model_fields if name in values]
    return yaml.dump(
        {"policy": {name: values[name] for name in order}},
        Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100,
    )  # fmt: skip


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as lines."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Line ends that YAML would make blanks of, or lose; in double quotes they are escaped.
    style = '"' if _RARE_LINE_END.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _malformed(draft: PolicyDraft) -> dict[str, str]:
    problems = {}
    for name in ("version", "question", "guideline"):
        if not getattr(draft, name).strip():
            problems[name] = "empty; every version of the policy needs one"
    for name in ("version", "question", "guideline", "note"):
        if reason := _unusable(name, getattr(draft, name)):
            problems[name] = reason
    for number, example in enumerate(draft.examples, 1):
        if not example.text.strip() and example.why.strip():
            problems["examples"] = f"example {number} says why, but has no text; give it one or clear both"
        elif example.label not in ("positive", "negative"):
            problems["examples"] = f"example {number}: {example.label!r} is no label an example can have; choose one"
        elif reason := _unusable("text", example.text) or _unusable("why", example.why):
            problems["examples"] = f"example {number}: {reason}"
    return problems


def _unusable(name: str, text: str) -> str | None:
    if len(text) > LONGEST[name]:
        return f"{len(text):,} characters; at most {LONGEST[name]:,} are kept, shorten it"
    if not is_storable(text):
        return "holds a character no database stores; remove it"
    if variable := _VARIABLE.search(text) if name != "note" else None:
        return f"holds {variable[0]}, which a policy file takes for an environment variable; write it in another way"
    return None


def _kept(before: str, after: str) -> str:
    return before if before.rstrip() == after.rstrip() else after.rstrip()


def _example(draft: DraftExample, before: Mapping[str, Example]) -> Example:
    same = before.get(draft.text.rstrip())
    if same is not None and (same.label, same.why.rstrip()) == (draft.label, draft.why.rstrip()):
        return same
    return Example.model_validate({"text": draft.text.rstrip(), "label": draft.label, "why": draft.why.rstrip()})


def _plain(value: Any) -> str:
    # Browsers end lines as on paper tape, and a file in a text field is no text.
    return value.replace("\r\n", "\n").replace("\r", "\n") if isinstance(value, str) else ""
