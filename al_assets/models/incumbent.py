"""The labeler of an iteration: LLM-0 at first, then whichever student was last promoted."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.figures import estimate_of
from al_assets.agreement.stopping.conclusion import LLM_0, conclusion_of
from al_assets.config import Policy
from al_assets.models.labelers import Labeler, make_labeler
from al_assets.models.labelers.combination import CombinationLabeler, LabelModelLabeler
from al_assets.models.labelers.protocol import Closing
from al_assets.models.scoring import score_texts
from al_assets.models.students import load_student
from al_assets.partitions import FIRST_KEY, previous_key
from al_assets.storage.content_store import ContentStore
from al_assets.storage.root import RunRoot, text_hash


@dataclass(frozen=True)
class Incumbent:
    """Who labels an iteration.

    :param threshold: p_positive at or above it is called positive; None: match the expected prevalence.
    :param promoted_from: the iteration whose student this is; None for LLM-0.
    """

    kind: Literal["llm0", "checkpoint"]
    uri: str
    fingerprint: str
    threshold: float | None = None
    promoted_from: str | None = None

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Self:
        """Read the one row of an ``incumbent_model`` table."""
        return cls(**frame.row(0, named=True))

    def frame(self) -> pl.DataFrame:
        """Return the one row of an ``incumbent_model`` table."""
        return pl.DataFrame([asdict(self)], schema_overrides={"threshold": pl.Float64, "promoted_from": pl.String})


def llm0(policy: Policy) -> Incumbent:
    """Return LLM-0: the labeler that the policy names."""
    settings = policy.labeler
    name: Any = getattr(settings, "model", None) or ", ".join(getattr(settings, "functions", ()))
    with make_labeler(settings, policy) as labeler:
        return Incumbent("llm0", f"{settings.kind}: {name}" if name else settings.kind, labeler.fingerprint)


def incumbent_of(policy: Policy, root: RunRoot, key: str) -> Incumbent:
    """Return the labeler of an iteration from what the iteration before it left.

    :raises FileNotFoundError: the iteration before has no report.
    """
    before = previous_key(key)
    if before is None:
        return llm0(policy)
    return successor(root, before, root.read_table("kappa_report", before))


def successor(root: RunRoot, key: str, report: pl.DataFrame) -> Incumbent:
    """Return who labels the iteration after ``key``: its student if the report promotes it, else the same as before.

    Either at the threshold that the report matched to the prevalence as it is known now.
    """
    if conclusion_of(report).promoted:
        return replace(student_of(root, key), threshold=estimate_of(report, "threshold", "pool"))
    # Whoever labels next decides by what is known now, LLM-0 too.
    threshold = estimate_of(report, "incumbent_threshold", "pool")
    return replace(Incumbent.of(root.read_table("incumbent_model", key)), threshold=threshold)


def student_of(root: RunRoot, key: str) -> Incumbent:
    """Return an iteration's student as a labeler; its threshold is left open."""
    checkpoint = root.read_table("sft_checkpoint", key).row(0, named=True)
    return Incumbent("checkpoint", checkpoint["uri"], checkpoint["fingerprint"], None, key)


def recommended_of(root: RunRoot, key: str) -> tuple[str, Incumbent]:
    """Return the model that was recommended before an iteration's student was judged, and what it is called.

    :return: LLM-0, or the iteration whose student it is; and the model as a labeler.
    """
    before = previous_key(key)
    name = LLM_0 if before is None else conclusion_of(root.read_table("kappa_report", before)).recommended
    if name == LLM_0:
        return name, Incumbent.of(root.read_table("incumbent_model", FIRST_KEY))
    return name, student_of(root, name)


def open_incumbent(incumbent: Incumbent, policy: Policy, root: RunRoot) -> Labeler:
    """Return the incumbent as a labeler; use it as a context manager.

    A combination keeps its members' votes under the root, and its label model, if it has one, is read from there.
    """
    if incumbent.kind == "llm0":
        labeler = make_labeler(policy.labeler, policy)
        if isinstance(labeler, CombinationLabeler):
            labeler.keep_in(root.scores)
        if isinstance(labeler, LabelModelLabeler):
            labeler.read_model(root.label_model_path(labeler.fingerprint))
        return labeler
    return open_student(incumbent.fingerprint, policy, root)


def open_student(fingerprint: str, policy: Policy, root: RunRoot) -> Labeler:
    """Return a kept student, or a head start, as a labeler; use it as a context manager."""
    return load_student(root.local_checkpoint(fingerprint), policy.student, policy, KeptLLM0(policy, root))


class KeptLLM0(Closing):
    """LLM-0 asked for scores that are not kept under the root yet; opened when first needed, until it is closed."""

    def __init__(self, policy: Policy, root: RunRoot) -> None:
        """Open nothing."""
        self._policy, self._root = policy, root
        self._labeler: Labeler | None = None

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return p_positive of each text, shape (n,)."""
        if self._labeler is None:
            self._labeler = open_incumbent(llm0(self._policy), self._policy, self._root)
        return kept_scores(self._labeler, texts, self._root.scores(self._labeler.fingerprint))

    def close(self) -> None:
        """Free its models and processes."""
        if self._labeler is not None:
            self._labeler.close()
            self._labeler = None


def kept_scores(
    labeler: Labeler, texts: Sequence[str], store: ContentStore, progress: Callable[[int, int], None] | None = None
) -> NDArray[np.float64]:
    """Return p_positive of texts by their hashes, see ``score_texts``."""
    return score_texts(labeler, [text_hash(text) for text in texts], texts, store, progress)
