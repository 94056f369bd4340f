"""How students learn in a study: a linear head on frozen vectors, or a model fine-tuned as in the loop."""

import io
import tempfile
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from upath import UPath

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.thresholds import prevalence_threshold
from al_assets.config import LinearStudent, StudentSettings, fingerprint_of
from al_assets.models.students import Start, load_student, student_fingerprint, train_student
from al_assets.models.students.head_start import HeadStartSample, head_start_recipe, head_start_sample
from al_assets.models.students.linear import LinearHead, fit_linear
from al_assets.models.students.record import RECORD, one_sided
from al_assets.models.students.sft import SFTLabeler
from al_assets.storage.atomic import new_directory, write_bytes
from al_assets.study.learner import Learn, Scores
from al_assets.study.trial import Trial
from al_assets.study.workshop import Tell, Workshop, model_location, policy_of

_BATCH = 2_048


def make_recipe(
    workshop: Workshop,
    dataset: str,
    trial: Trial,
    student: StudentSettings,
    seed: int,
    say: Tell = lambda _: None,
) -> Learn:
    """Return how a student learns; each is trained from the base model or head start, with the seed of its trial.

    :param seed: takes the place of the student's own.
    :param say: told how a long training goes.
    """
    about, texts = workshop.study.datasets[dataset], workshop.texts(dataset)
    # A language model's prompt may hold the question and the guideline.
    settings = policy_of(about.wording, student=student.model_copy(update={"seed": student.seed + seed})).student
    lessons, held_out = ([texts.texts[row] for row in rows] for rows in (trial.lessons, trial.held_out))
    sample = None if settings.head_start == "none" else _sample(settings, lessons, trial.first.pool, trial.prevalence)
    if isinstance(settings, LinearStudent):
        vectors = workshop.vectors(dataset, settings.embedding)
        return LinearRecipe(settings, (vectors[trial.lessons], vectors[trial.held_out]), trial, sample)
    asked = lessons[: len(trial.pool)], held_out
    kept = workshop.folder / "cache" / "students"
    return FineTunedRecipe(settings, lessons, asked, workshop.study.base_dir, kept, sample, say)


def _sample(settings: StudentSettings, lessons: list[str], scores: Floats, prevalence: float) -> HeadStartSample:
    """Return what the head start learns from; an item's id is its row of the pool.

    :param lessons: texts of the pool first.
    :param scores: the teacher's, of the pool.
    """
    ids = [f"{row:07d}" for row in range(len(scores))]
    scored = pl.DataFrame({"item_id": ids, "text": lessons[: len(scores)], "p_positive": scores})
    return head_start_sample(scored, settings, prevalence_threshold(scores, prevalence), settings.seed)


class LinearRecipe:
    """A linear head on frozen vectors."""

    def __init__(
        self,
        settings: LinearStudent,
        vectors: tuple[NDArray[Any], NDArray[Any]],
        trial: Trial,
        sample: HeadStartSample | None,
    ) -> None:
        """Learn the head start.

        :param vectors: of the pool's items, then of those that only a baseline learns from; and of the held-out ones.
        """
        self._settings, (self._lessons, self._held_out), self._trial = settings, vectors, trial
        self._how = settings.model_dump(include={"regularisation", "balanced", "seed"})
        self._head: LinearHead | None = None
        self._llm0: tuple[Floats, Floats] | None = None
        if sample:
            self._head = fit_linear(self._lessons[[int(item) for item in sample.item_ids]], sample.labels, **self._how)
            if settings.with_llm0:
                scale = sample.scale
                self._llm0 = scale.log_odds(trial.lesson_scores), scale.log_odds(trial.first.held_out)

    @cached_property
    def start(self) -> Scores | None:
        """What the head start says; None without one."""
        return self._said(self._head) if self._head else None

    def __call__(self, rows: NDArray[np.int64], labels: Floats, folds: NDArray[np.int64] | None = None) -> Scores:
        """Return what a student says that learnt from these rows, see ``Learn``."""
        if self.start and one_sided(labels):
            return self.start
        head = self._fit(rows, labels, self._settings.strength)
        said = self._said(head)
        if folds is None:
            return said
        unseen = said.pool.copy()
        for fold in range(int(folds.max()) + 1):
            left_out = folds == fold
            # The strength is the student's own, or choosing it would take most of a study's time.
            other = self._fit(rows[~left_out], labels[~left_out], head.strength)
            unseen[rows[left_out]] = self._ask(other, rows[left_out])
        return Scores(said.pool, said.held_out, unseen=unseen)

    def taught_by(self, scores: Floats, prevalence: float) -> "LinearRecipe":
        """Return the same with a head start that another model teaches, see ``Learn``."""
        sample = _sample(self._settings, [""] * len(scores), scores, prevalence)
        return LinearRecipe(self._settings, (self._lessons, self._held_out), self._trial, sample)

    def _fit(self, rows: NDArray[np.int64], labels: Floats, strength: float | None) -> LinearHead:
        llm0 = None if self._llm0 is None else self._llm0[0][rows]
        how = {**self._how, "start": self._head, "strength": strength, "llm0": llm0}
        return fit_linear(self._lessons[rows], labels, **how)

    def _ask(self, head: LinearHead, rows: NDArray[np.int64]) -> Floats:
        return head.probability(self._lessons[rows], 0.0 if self._llm0 is None else self._llm0[0][rows])

    def _said(self, head: LinearHead) -> Scores:
        held_out = head.probability(self._held_out, 0.0 if self._llm0 is None else self._llm0[1])
        return Scores(self._ask(head, np.arange(len(self._trial.pool))), held_out)


class FineTunedRecipe:
    """A model fine-tuned in a process of its own; what it said is kept, so no training is done twice.

    Beside a language model's scores it gives those of a linear head on its own last hidden states, trained on the same
    labels.
    """

    def __init__(
        self,
        settings: StudentSettings,
        lessons: list[str],
        asked: tuple[list[str], list[str]],
        base_dir: Path,
        kept: Path,
        sample: HeadStartSample | None,
        say: Tell,
    ) -> None:
        """Remember what to learn from.

        :param lessons: texts of the pool, then those that only a baseline learns from.
        :param asked: texts of the pool and of the held-out items, which the student is asked about.
        :param base_dir: where the base model is looked up.
        :param kept: the folder of what students said, and of their head starts.
        """
        assert not isinstance(settings, LinearStudent)
        self._settings, self._lessons, (self._pool, self._held_out) = settings, lessons, asked
        self._kept, self._sample, self._say = kept, sample, say
        self._scored = fingerprint_of(asked)
        self._located = model_location(settings.base_model, base_dir)

    @cached_property
    def start(self) -> Scores | None:
        """What the head start says; None without one."""
        begun = self.begun
        return self._said(begun.fingerprint, begun.directory) if begun else None

    @cached_property
    def begun(self) -> Start | None:
        """The head start, trained once for a seed."""
        sample = self._sample
        if sample is None:
            return None
        recipe, labels = head_start_recipe(self._settings), sample.labels.tolist()
        fingerprint = student_fingerprint(recipe, sample.texts, labels)
        directory = self._kept / f"start-{fingerprint}"
        if not (directory / RECORD).exists():
            with new_directory(directory) as unfinished:
                self._train(recipe, list(sample.texts), labels, unfinished, None)
        return Start(fingerprint, directory)

    def __call__(self, rows: NDArray[np.int64], labels: Floats, folds: NDArray[np.int64] | None = None) -> Scores:
        """Return what a student says that learnt from these lessons, see ``Learn``."""
        if self.begun and one_sided(labels):
            assert self.start
            return self.start
        said = self._taught(rows, labels)
        if folds is None:
            return said
        unseen = said.pool.copy()
        for fold in range(int(folds.max()) + 1):
            left_out = folds == fold
            asked = [self._lessons[row] for row in rows[left_out]]
            unseen[rows[left_out]] = self._taught(rows[~left_out], labels[~left_out], asked).pool
        return Scores(said.pool, said.held_out, said.probe, unseen)

    def taught_by(self, scores: Floats, prevalence: float) -> "FineTunedRecipe":
        """Return the same with a head start that another model teaches, see ``Learn``."""
        taught = copy(self)
        taught._sample = _sample(self._settings, self._lessons, scores, prevalence)
        for known in ("start", "begun"):
            taught.__dict__.pop(known, None)
        return taught

    def _taught(self, rows: NDArray[np.int64], labels: Floats, asked: list[str] | None = None) -> Scores:
        """Return what a student says of pool and held-out items, or of some texts alone."""
        texts = [self._lessons[row] for row in rows]
        begun = self.begun
        # Whatever their order, the same texts give the same student.
        name = student_fingerprint(self._settings, texts, labels.tolist(), begun.fingerprint if begun else None)
        path = self._path(name, asked)
        if not path.exists():
            with tempfile.TemporaryDirectory(prefix="al-study-") as folder:
                self._train(self._settings, texts, labels.tolist(), Path(folder), begun)
                self._ask(path, Path(folder), asked, rows, labels)
        return _read(path)

    def _said(self, name: str, directory: Path) -> Scores:
        path = self._path(name, None)
        if not path.exists():
            self._ask(path, directory, None, np.zeros(0, dtype=np.int64), np.zeros(0))
        return _read(path)

    def _path(self, name: str, asked: list[str] | None) -> Path:
        return self._kept / f"{fingerprint_of([name, self._scored if asked is None else asked])}.npz"

    def _train(
        self, settings: StudentSettings, texts: list[str], labels: list[float], folder: Path, begun: Start | None
    ) -> None:
        located = settings.model_copy(update={"base_model": self._located})
        # Training looks at where models are alone, and they are located already.
        policy = policy_of({}, student=located)

        def tell(done: int, total: int) -> None:
            self._say(f"training on {len(texts)} labels, step {done} of {total}")

        train_student(located, policy, texts, labels, folder, tell, start=begun)

    def _ask(
        self, path: Path, directory: Path, asked: list[str] | None, rows: NDArray[np.int64], labels: Floats
    ) -> None:
        """Ask a student and keep what it says."""
        texts = [*self._pool, *self._held_out] if asked is None else asked
        scores, states = [], []
        settings = self._settings.model_copy(update={"base_model": self._located})
        with load_student(directory, settings, policy_of({}, student=settings)) as student:
            for start in range(0, len(texts), _BATCH):
                self._say(f"asking the student, {start:,} of {len(texts):,} texts")
                batch = texts[start : start + _BATCH]
                if isinstance(student, SFTLabeler):
                    said, seen = student.score_with_states(batch)
                    states.append(seen)
                else:
                    said = student.score(batch)
                scores.append(said)
        every, pool = np.concatenate(scores), len(self._pool) if asked is None else len(texts)
        kept = {"pool": every[:pool], "held_out": every[pool:]}
        # Lessons beside the pool are not asked about, and so have no states.
        if states and asked is None and len(rows) and rows.max() < pool:
            seen = np.concatenate(states)
            probe = linear_scores(seen[rows], labels, seen[:pool], seen[pool:], seed=self._settings.seed)
            kept |= {"probe_pool": probe.pool, "probe_held_out": probe.held_out}
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **kept)
        write_bytes(UPath(path), stream.getvalue())


def _read(path: Path) -> Scores:
    with np.load(path) as kept:
        probe = Scores(kept["probe_pool"], kept["probe_held_out"]) if "probe_pool" in kept else None
        return Scores(kept["pool"], kept["held_out"], probe)


def linear_scores(
    lessons: NDArray[Any], labels: ArrayLike, pool: NDArray[Any], held_out: NDArray[Any], **settings: Any
) -> Scores:
    """Return what a linear head says of pool and held-out items.

    :param lessons: features it learns from, shape (lessons, features).
    :param labels: shares of positive votes, some above and some below a half.
    :param pool: features of the pool, shape (items, features), and of the held-out items.
    :param settings: see ``fit_linear``.
    """
    head = fit_linear(lessons, labels, **settings)
    return Scores(head.probability(pool), head.probability(held_out))
