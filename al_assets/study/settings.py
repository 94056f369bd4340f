"""The study file: what is run, as a grid of data sets, strategies, students, embeddings, budgets and seeds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from al_assets.config import (
    OPERATIONAL,
    CausalLMSettings,
    ClassifierSettings,
    CombinationSettings,
    EmbeddingSettings,
    FunctionsSettings,
    KeywordsSettings,
    OpenAISettings,
    Positive,
    Section,
    Share,
    Shares,
    StrategyName,
    StudentSettings,
    Text,
    VLLMSettings,
    load_sections,
    semantic,
)
from al_assets.curation.settings import DEFAULTS
from al_assets.study.loop import LoopSettings
from al_assets.study.panel import PanelSettings

ALL: Literal["all"] = "all"
_Section = TypeVar("_Section", bound=Section)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._%+-]*$")]


class SimilarityLabeler(Section):
    """LLM-0 is the cosine between a text and the policy in one sentence: weak, and free of any label."""

    kind: Literal["similarity"]
    sentence: Text


class OracleLabeler(Section):
    """LLM-0 is simulated: the truth under noise, with that area under the ROC curve."""

    kind: Literal["oracle"]
    auc: Annotated[float, Field(ge=0.5, lt=1)]


FirstLabeler = Annotated[
    SimilarityLabeler
    | OracleLabeler
    | CombinationSettings
    | FunctionsSettings
    | KeywordsSettings
    | ClassifierSettings
    | CausalLMSettings
    | OpenAISettings
    | VLLMSettings,
    Field(discriminator="kind"),
]


class DatasetSettings(Section):
    """Texts whose labels are known but hidden, who plays the experts, and what labels first.

    :param kind: ``vader``: the demo's texts, fetched from PyPI; ``file``: JSONL of id, text and judgments, or label.
    :param positive_source: of ``sources``: texts of this source are positive; None asks for strongly negative remarks.
    :param pool: items of the pool; None is all that are left when the held-out items have been drawn. What is left
        beside the pool only the crowd's baseline learns from.
    :param held_out: items that are never in the pool: the population that kappa is measured on.
    :param boundary_items: those of the held-out items that LLM-0's boundary pairs pick: the curated evaluation set.
    :param prevalence: the positive share to thin the texts to; None leaves them as they are.
    :param question: what an LLM is asked, with ``guideline``; of use to labelers with a prompt alone.
    :param scores: Parquet file in which ``al study scores`` keeps what the labeler says: it is not asked once that is
        there.
    """

    kind: Literal["vader", "file"]
    path: Text | None = None
    sources: tuple[Text, ...] = ("tweet", "product_review")
    positive_source: Text | None = None
    question: Text = "Does this text violate the policy?"
    guideline: Text = "See the question."
    near_duplicate_similarity: Annotated[float, Field(gt=0.3, le=1)] = 0.8
    pool: Positive | None = None
    held_out: Positive = 2_000
    boundary_items: Annotated[int, Field(ge=2)] = 300
    prevalence: Annotated[float, Field(gt=0, lt=1)] | None = None
    panel: PanelSettings = PanelSettings()
    labeler: FirstLabeler
    scores: Annotated[Text | None, OPERATIONAL] = None

    @property
    def wording(self) -> dict[str, str]:
        """The question and the guideline, as the section ``policy`` of a policy file has them."""
        return {"question": self.question, "guideline": self.guideline}

    @property
    def asked(self) -> dict[str, Any]:
        """What decides LLM-0's score of a text."""
        return {**semantic(self.labeler), **self.wording}

    @model_validator(mode="after")
    def _a_file_has_a_path(self) -> Self:
        if (self.kind == "file") != (self.path is not None):
            raise ValueError(f"path: {self.path!r} with kind {self.kind!r}; a file needs a path, other kinds have none")
        return self


class LoopSection(Section):
    """A loop's settings but for its budget; the defaults are the policy file's.

    :param promising: the part of the boundary pairs' share that goes to top-scored items; None asks the cold start.
    :param closeness: pairs are ranked by closeness to the threshold too, not by mixing alone.
    :param promotion: where a student must be no worse to label the next round: in the pool, on all evaluation items, on
        those of the audit alone, or nowhere: LLM-0 labels every round.
    """

    shares: Shares = Shares()
    target_positive_share: Share = DEFAULTS.target_positive_share
    promising: Share | None = None
    teacher: Literal["llm0", "promoted"] = LoopSettings.teacher
    evaluation: Literal["crossfit", "held_out"] = LoopSettings.evaluation
    evaluation_share: Annotated[float, Field(gt=0, lt=1)] = LoopSettings.evaluation_share
    folds: Annotated[int, Field(ge=2)] = LoopSettings.folds
    neighbours: Positive = DEFAULTS.neighbours
    min_mixing: Share = DEFAULTS.min_mixing
    exploration: Share = DEFAULTS.exploration
    audit_strata: Positive = DEFAULTS.audit_strata
    items_per_cell: Positive = DEFAULTS.clusters.items_per_cell
    closeness: bool = DEFAULTS.closeness
    promotion: Literal["pool", "evaluation", "audit", "never"] = LoopSettings.promotion

    def loop_settings(self, budget: int, rounds: int) -> LoopSettings:
        """Return the settings of a loop of that many rounds, each of that many labels."""
        return LoopSettings(
            budget=budget,
            rounds=rounds,
            shares=(self.shares.boundary, self.shares.audit, self.shares.control),
            target=self.target_positive_share,
            **self.model_dump(exclude={"shares", "target_positive_share", "promising"}),
        )


class Control(Section):
    """One thing done otherwise than in the base, to see what it is worth.

    :param loop: settings of the loop in place of the base's.
    :param panel: settings of the panel that labels; kappa is still measured with the base's experts.
    :param student: settings of the student in place of the base's.
    """

    loop: Mapping[str, Any] = {}
    panel: Mapping[str, Any] = {}
    student: Mapping[str, Any] = {}

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.loop or self.panel or self.student):
            raise ValueError("a control changes nothing; set something under loop, panel or student")
        return self


class Study(Section):
    """A whole study file.

    :param seeds: pools drawn anew, with panel, held-out items, split and student of their own; seeds from ``seed`` on.
    :param embeddings: what selection looks at; students of kind linear name their own.
    :param strategies: by name, or mixtures with a name of their own and the shares of their parts.
    :param default: the strategy that controls are applied to and that is held against all others.
    :param crowd_sizes: crowd labels that the baseline learns from, one vote each; ``all`` is all there are.
    :param controls: by name; run with the first student, the first embedding and the first budget.
    :param probes: fit a linear head on the frozen embedding and on the student's own hidden states each round.
    """

    name: Name
    seed: int = 0
    seeds: Positive = 5
    datasets: Annotated[dict[Name, DatasetSettings], Field(min_length=1)]
    embeddings: Annotated[dict[Name, EmbeddingSettings], Field(min_length=1)]
    students: Annotated[dict[Name, StudentSettings], Field(min_length=1)]
    strategies: Annotated[tuple[StrategyName | dict[Name, dict[StrategyName, Share]], ...], Field(min_length=1)]
    default: Name = "boundary_pairs"
    budgets: Annotated[tuple[Annotated[int, Field(ge=4)], ...], Field(min_length=1)] = (60,)
    rounds: Positive = 6
    loop: LoopSection = LoopSection()
    crowd_sizes: tuple[Positive | Literal["all"], ...] = ()
    controls: dict[Name, Control] = {}
    probes: bool = True
    base_dir: Annotated[Path, OPERATIONAL] = Path()

    @field_validator("strategies")
    @classmethod
    def _one_name_each(cls, strategies: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [name for name, _ in _named(strategies)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} is there twice; give each mixture a name of its own")
        if any(not isinstance(each, str) and len(each) != 1 for each in strategies):
            raise ValueError(
                "a mixture is one name and its parts, such as {half random: {boundary_pairs: 0.5, random: 0.5}}"
            )
        return strategies

    @model_validator(mode="after")
    def _controls_fit(self) -> Self:
        if self.default not in self.strategy_choices:
            raise ValueError(
                f"default: {self.default!r} is not among the strategies {', '.join(self.strategy_choices)}; add it, or "
                "name another default"
            )
        for name, control in self.controls.items():
            try:
                self.controlled(control)
            except ValidationError as error:
                first = error.errors()[0]
                field = ".".join(map(str, first["loc"])) or "settings"
                raise ValueError(f"controls.{name}: {field}: {first['msg']} (found {first['input']!r})") from error
        return self

    @property
    def strategy_choices(self) -> dict[str, str | dict[str, float]]:
        """Every strategy by its name in the report: a known name, or the shares of a mixture."""
        return dict(_named(self.strategies))

    def controlled(self, control: Control) -> tuple[LoopSection, list[PanelSettings], StudentSettings]:
        """Return loop, panels (one a data set) and first student under a control.

        :raises ValidationError: a setting is unknown or out of range.
        """
        student = next(iter(self.students.values()))
        return (
            updated(self.loop, control.loop),
            [updated(each.panel, control.panel) for each in self.datasets.values()],
            updated(student, control.student),
        )


def _named(strategies: tuple[Any, ...]) -> list[tuple[str, Any]]:
    return [(each, each) if isinstance(each, str) else next(iter(each.items())) for each in strategies]


def load_study(path: str | Path) -> Study:
    """Read and check a study file; ``${NAME}`` in a value is replaced by the environment variable.

    :raises PolicyError: missing, unreadable or wrong; one line per mistake.
    """
    return load_sections(path, Study, "study file", "copy one of the files in studies/")


def updated(settings: _Section, changes: Mapping[str, Any]) -> _Section:
    """Return settings with some of them changed, checked again.

    :raises ValidationError: a setting is unknown or out of range.
    """
    return type(settings).model_validate({**settings.model_dump(), **changes})
