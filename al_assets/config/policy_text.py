"""What raters read: the question, the guideline, the names of the answers and the examples."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from al_assets.config.section import Section, Text, fingerprint_of, semantic
from al_assets.curation.settings import DEFAULTS


class LabelNames(Section):
    """What the experts' answers are called in files and on the desk."""

    positive: Text = "yes"
    negative: Text = "no"
    undecided: Text = "cannot decide"

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len({self.positive, self.negative, self.undecided}) < 3:
            raise ValueError(f"labels: {self.positive!r}, {self.negative!r}, {self.undecided!r} must differ")
        return self


class Example(Section):
    """A worked example of the policy."""

    text: Text
    label: Literal["positive", "negative"]
    why: str = ""


class PolicyText(Section):
    """What is asked of an item, and how often the answer is expected to be yes."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    version: Text = "1"
    question: Text
    guideline: Text
    labels: LabelNames = LabelNames()
    examples: tuple[Example, ...] = ()
    expected_prevalence: Annotated[float, Field(gt=0, lt=1)] = DEFAULTS.expected_prevalence

    @field_validator("version", mode="before")
    @classmethod
    def _version_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, (int, float)) else value

    def fill(self, prompt: str, **more: str) -> str:
        """Return a prompt with the question for ``{question}``, the guideline for ``{guideline}`` and more by name.

        In one pass, so that braces inside the guideline or an example are never taken for a placeholder.
        """
        values = {"guideline": self.guideline.strip(), "question": self.question.strip(), **more}
        return re.sub(r"\{(\w+)\}", lambda match: values.get(match.group(1), match.group()), prompt)

    def read_by_raters(self) -> dict[str, Any]:
        """Return what raters read before they answer: question, guideline, label names and examples."""
        return {name: semantic(getattr(self, name)) for name in ("question", "guideline", "labels", "examples")}

    def text_fingerprint(self) -> str:
        """Return 12 hex digits that change when, and only when, what raters read does; the version has no part in it.

        ``fingerprint`` also covers the name, the version and the expected prevalence.
        """
        return fingerprint_of(self.read_by_raters())
