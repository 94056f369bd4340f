"""How students learn in a study: a linear head on frozen vectors, or a language model fine-tuned as in the loop."""

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from upath import UPath

from al_assets.agreement.core.kappa import Floats
from al_assets.config import LinearStudent, SFTStudent, fingerprint_of
from al_assets.models.students import load_student, student_fingerprint, train_student
from al_assets.models.students.linear import fit_linear
from al_assets.models.students.sft import SFTLabeler
from al_assets.storage.atomic import write_bytes
from al_assets.study.loop import Learn, Scores
from al_assets.study.trial import Trial
from al_assets.study.workshop import Tell, Workshop, model_location, policy_of

_BATCH = 2_048


def make_recipe(
    workshop: Workshop,
    dataset: str,
    trial: Trial,
    student: SFTStudent | LinearStudent,
    seed: int,
    say: Tell = lambda _: None,
) -> Learn:
    """Return how a student learns; each is trained from the base model and with the seed of its trial.

    :param seed: takes the place of the student's own.
    :param say: told how a long training goes.
    """
    settings = student.model_copy(update={"seed": student.seed + seed})
    if isinstance(settings, LinearStudent):
        vectors = workshop.vectors(dataset, settings.embedding)
        features, others = vectors[trial.lessons], vectors[trial.held_out]
        known = settings.model_dump(include={"regularisation", "balanced", "seed"})
        return lambda rows, labels: linear_scores(features[rows], labels, features[: len(trial.pool)], others, **known)
    texts = workshop.texts(dataset)
    lessons, held_out = ([texts.texts[row] for row in rows] for rows in (trial.lessons, trial.held_out))
    asked = lessons[: len(trial.pool)], held_out
    return SFTRecipe(settings, lessons, asked, workshop.study.base_dir, workshop.folder / "cache" / "students", say)


class SFTRecipe:
    """A language model fine-tuned in a process of its own; what it said is kept, so no training is done twice.

    Beside its scores it gives those of a linear head on its own last hidden states, trained on the same labels.
    """

    def __init__(
        self,
        settings: SFTStudent,
        lessons: list[str],
        asked: tuple[list[str], list[str]],
        base_dir: Path,
        kept: Path,
        say: Tell,
    ) -> None:
        """Remember what to learn from.

        :param lessons: texts of the pool, then those that only a baseline learns from.
        :param asked: texts of the pool and of the held-out items, which the student is asked about.
        :param base_dir: where the base model is looked up.
        :param kept: the folder of what students said.
        """
        self._settings, self._lessons, (self._pool, self._held_out) = settings, lessons, asked
        self._base_dir, self._kept, self._say = base_dir, kept, say
        self._scored = fingerprint_of(asked)

    def __call__(self, rows: NDArray[np.int64], labels: Floats) -> Scores:
        """Return what a student says that learnt from these lessons."""
        texts = [self._lessons[row] for row in rows]
        # Whatever their order, the same texts give the same student.
        name = fingerprint_of([student_fingerprint(self._settings, texts, labels.tolist()), self._scored])
        path = self._kept / f"{name}.npz"
        if not path.exists():
            self._train(path, rows, labels, texts)
        with np.load(path) as kept:
            probe = Scores(kept["probe_pool"], kept["probe_held_out"]) if "probe_pool" in kept else None
            return Scores(kept["pool"], kept["held_out"], probe)

    def _train(self, path: Path, rows: NDArray[np.int64], labels: Floats, texts: list[str]) -> None:
        located = model_location(self._settings.base_model, self._base_dir)
        settings = self._settings.model_copy(update={"base_model": located})
        # Training looks at where models are alone, and they are located already.
        policy = policy_of({}, student=settings)

        def tell(done: int, total: int) -> None:
            self._say(f"training on {len(texts)} labels, step {done} of {total}")

        with tempfile.TemporaryDirectory(prefix="al-study-") as folder:
            train_student(settings, policy, texts, labels.tolist(), Path(folder), tell)
            with load_student(Path(folder), settings, policy) as student:
                assert isinstance(student, SFTLabeler)
                scores, states = self._ask(student)
        pool = len(self._pool)
        said = {"pool": scores[:pool], "held_out": scores[pool:]}
        # Lessons beside the pool are not asked about, and so have no states.
        if rows.max() < pool:
            probe = linear_scores(states[rows], labels, states[:pool], states[pool:], seed=settings.seed)
            said |= {"probe_pool": probe.pool, "probe_held_out": probe.held_out}
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **said)
        write_bytes(UPath(path), stream.getvalue())

    def _ask(self, student: SFTLabeler) -> tuple[Floats, NDArray[np.float32]]:
        texts = [*self._pool, *self._held_out]
        scores, states = [], []
        for start in range(0, len(texts), _BATCH):
            self._say(f"asking the student, {start:,} of {len(texts):,} texts")
            said, seen = student.score_with_states(texts[start : start + _BATCH])
            scores.append(said)
            states.append(seen)
        return np.concatenate(scores), np.concatenate(states)


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
