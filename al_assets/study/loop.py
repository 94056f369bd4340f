"""The loop's curation on a pool whose labels are known but hidden, through the same functions as the assets."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.core.kappa import Floats, cohen_kappa
from al_assets.agreement.core.labelled_items import RANDOM_REASONS
from al_assets.agreement.population.pool_design import PoolDesign
from al_assets.agreement.population.thresholds import PRIOR_STRENGTH, prevalence_threshold
from al_assets.agreement.stopping.conclusion import sign
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.queue.cold_start import ColdStartEvidence
from al_assets.curation.round import CuratedRound, History, curate_round
from al_assets.curation.runner import Threads
from al_assets.curation.settings import DEFAULTS, ClusterSettings, RoundSettings
from al_assets.curation.split import FINE_TUNING, split_labels
from al_assets.curation.strategies.base import Candidates, Strategy
from al_assets.models.students.crossfit import TooFewGroups, with_folds
from al_assets.models.students.record import one_sided
from al_assets.partitions import FIRST_KEY, iteration_key
from al_assets.study.learner import Learn, Scores
from al_assets.study.pool_estimates import design_of, gains_in_pool, pool_prevalence, tuned_threshold

# Loops run side by side in processes, and their pools are small.
ALONE = Threads(1)
_SPLIT = pl.Schema(
    {"item_id": pl.String, "iteration": pl.String, "reason": pl.String, "teaches": pl.Boolean, "label": pl.Boolean}
)


@dataclass(frozen=True)
class LoopSettings:
    """The settings of a loop; the defaults are the policy file's but for the size of a round.

    :param target: the positive share wanted of the boundary share.
    :param closeness: pairs are ranked by closeness to the threshold too, not by mixing alone.
    :param teacher: of the head start: LLM-0, or whoever was last promoted.
    :param evaluation: by cross-fitting, so that every label teaches and measures, or on items held out for it.
    :param folds: students of a cross-fitting.
    :param promotion: what decides on it: the gain in the pool, kappa on all evaluation items or on those of the audit,
        each counting once, or nothing: never.
    :param prior_strength: labels that the expected prevalence is worth; infinite where it is known.
    """

    budget: int = 60
    rounds: int = 6
    shares: tuple[float, float, float] = DEFAULTS.shares
    target: float = DEFAULTS.target_positive_share
    teacher: Literal["llm0", "promoted"] = "llm0"
    evaluation: Literal["crossfit", "held_out"] = "crossfit"
    evaluation_share: float = 0.3
    folds: int = 5
    neighbours: int = DEFAULTS.neighbours
    min_mixing: float = DEFAULTS.min_mixing
    exploration: float = DEFAULTS.exploration
    audit_strata: int = DEFAULTS.audit_strata
    items_per_cell: int = DEFAULTS.clusters.items_per_cell
    closeness: bool = DEFAULTS.closeness
    promotion: Literal["pool", "evaluation", "audit", "never"] = "pool"
    prior_strength: float = PRIOR_STRENGTH

    def round_settings(self, expected_prevalence: float) -> RoundSettings:
        """Return how a round is curated; regions only name things, so none is looked for."""
        return RoundSettings(
            budget=self.budget,
            shares=self.shares,
            target_positive_share=self.target,
            exploration=self.exploration,
            neighbours=self.neighbours,
            min_mixing=self.min_mixing,
            closeness=self.closeness,
            audit_strata=self.audit_strata,
            expected_prevalence=expected_prevalence,
            clusters=ClusterSettings(regions=None, items_per_cell=self.items_per_cell),
        )


@dataclass(frozen=True)
class LoopPool:
    """A pool whose labels answer only when asked.

    :param vectors: what selection looks at, shape (items, dimensions), of length one.
    :param votes: what each expert answers: 1, 0 or NaN, shape (items, experts).
    :param scores: LLM-0's p_positive, shape (items,), and in ``held_out`` of the items that are never asked for.
    :param prevalence: the positive share that the policy expects.
    """

    vectors: NDArray[np.float32]
    votes: Floats
    scores: Floats
    held_out: Floats
    prevalence: float


@dataclass(frozen=True)
class Situation:
    """What may be looked at when a round's strategy is chosen.

    :param boundary_labels: labels that the boundary share got so far, shape (any,).
    :param two_views: whether there is another model to compare the labeler with.
    """

    evidence: ColdStartEvidence
    target: float
    boundary_labels: NDArray[np.bool_]
    two_views: bool


ChooseStrategy = Callable[[Situation], Strategy]


@dataclass(frozen=True)
class RoundLabeler:
    """Who labels a round; ``learnt`` is the last round whose fine-tuning items it was trained on, -1 for LLM-0."""

    scores: Scores
    threshold: float
    learnt: int = -1

    def matched(self, prevalence: float) -> "RoundLabeler":
        """Return the same model with its threshold matched to a positive share of the pool."""
        return replace(self, threshold=prevalence_threshold(self.scores.pool, prevalence))

    def labels(self, rows: NDArray[np.int64]) -> Floats:
        """Return what it says of these items of the pool, 1 or 0."""
        return (self.scores.honest[rows] >= self.threshold).astype(np.float64)


@dataclass(frozen=True)
class Judgement:
    """What the loop makes of a round's student by its own labels; all thresholds are matched to one positive share.

    :param labeler: who labelled the round; ``recommended``: the model to take, by what was known before.
    :param gain: student minus recommended, kappa with the experts in the pool, with its 95 % interval.
    """

    labeler: RoundLabeler
    recommended: RoundLabeler
    gain: Interval

    @property
    def better(self) -> bool:
        """Whether the student is surely better in the pool, and so the model to take."""
        return sign(self.gain) > 0


@dataclass(frozen=True)
class LoopRound:
    """One round of a loop, when its student has learnt.

    :param candidates: what could be picked; ``queue`` what was.
    :param split: all labelled items so far, as ``split_labels`` returns them.
    :param student: None if all it could learn from was of one kind and it had no head start; then there is no
        ``judgement`` of it either.
    :param taught: the items it learnt from.
    :param incumbent: who labels the next round: the student, if it is no worse.
    :param prevalence: the pool's positive share by what is known so far, which thresholds are matched to.
    :param tuned: the student's threshold by the votes instead, see ``tuned_threshold``; NaN without a student, and
        where it learnt from labels that nothing else judges.
    """

    number: int
    evidence: ColdStartEvidence
    candidates: Candidates
    queue: pl.DataFrame
    split: pl.DataFrame
    taught: pl.DataFrame
    student: RoundLabeler | None
    judgement: Judgement | None
    incumbent: RoundLabeler
    prevalence: float
    tuned: float
    curation_seconds: float
    training_seconds: float

    @property
    def picked(self) -> pl.DataFrame:
        """What the strategy picked: the queue without audit and control."""
        return self.queue.filter(~pl.col("reason").is_in(RANDOM_REASONS))


class OfflineLoop:
    """A loop between two rounds: curate, let the hidden labels answer, train a student, promote it or not."""

    def __init__(self, pool: LoopPool, learn: Learn, settings: LoopSettings, seed: int) -> None:
        """Begin before the first round."""
        self._pool, self._learn, self._settings, self._seed = pool, learn, settings, seed
        self._ids = pl.Series("item_id", [f"{row:07d}" for row in range(len(pool.votes))])
        self._vectors = Vectors.of(pool.vectors)
        self._asked: list[pl.DataFrame] = []
        self._split = pl.DataFrame(schema=_SPLIT)
        first = Scores(pool.scores, pool.held_out)
        self._incumbent = RoundLabeler(first, prevalence_threshold(pool.scores, pool.prevalence))
        self._recommended = self._incumbent
        self._newest: Scores | None = None
        self._known_prevalence = pool.prevalence

    def next_round(self, choose: ChooseStrategy) -> LoopRound:
        """Run a round.

        The student is promoted if its kappa with the experts in the pool is estimated to be no lower than the
        incumbent's; where no random item tells of the pool, on the evaluation items.
        """
        started = time.perf_counter()
        number = len(self._asked)
        curated = self._curate(choose, 1_000 * self._seed + number)
        self._asked.append(curated.queue)
        done = time.perf_counter()
        answers = pl.concat([self._answers(queue, asked) for asked, queue in enumerate(self._asked)])
        split = self._split = self._divided(answers)
        design = design_of(self._asked, self._ids)
        prevalence = self._known_prevalence = self._prevalence(split, design)
        taught = split.filter("teaches")
        student = self._train(taught, prevalence, number)
        trained = time.perf_counter()
        self._newest = student.scores if student else None
        judged = split.filter(pl.col("split") != FINE_TUNING)
        judgement = None if student is None else self._judge(judged, student, prevalence, design)
        return LoopRound(
            number, curated.evidence, curated.candidates, curated.queue, split, taught, student, judgement,
            self._incumbent, prevalence, _tuned(student, split, design), done - started, trained - done,
        )  # fmt: skip

    def _answers(self, queue: pl.DataFrame, number: int) -> pl.DataFrame:
        """Return one row for each item and expert."""
        asked = queue.select("item_id", "reason", "group_id", iteration=pl.lit(iteration_key(number)))
        votes = self._pool.votes[rows_of(queue)]
        answer = np.where(np.isnan(votes), "undecided", np.where(votes == 1, "positive", "negative"))
        columns = [asked.with_columns(pl.Series("label", column.tolist(), dtype=pl.String)) for column in answer.T]
        return pl.concat(columns)

    def _prevalence(self, split: pl.DataFrame, design: PoolDesign) -> float:
        """Return the pool's positive share as the loop knows it."""
        expected, strength = self._pool.prevalence, self._settings.prior_strength
        return expected if np.isinf(strength) else pool_prevalence(design, split, expected, strength)

    def _curate(self, choose: ChooseStrategy, seed: int) -> CuratedRound:
        split, incumbent = self._split, self._incumbent
        scores = incumbent.scores.pool
        labels, reference = _boundary_labels(split), self._reference()
        known, unseen = split, incumbent.scores.unseen
        if unseen is not None:
            # Of what the labeler learnt from, what others say in its stead.
            known = split.with_columns(out_of_fold=pl.Series(unseen[rows_of(split)]))
        return curate_round(
            self._ids.to_frame().with_columns(text=pl.lit("")),
            scored(self._ids, scores, prevalence_threshold(scores, self._known_prevalence)),
            self._vectors,
            History(
                split["item_id"].to_list(),
                known.drop_nulls("label"),
                None if incumbent.learnt < 0 else iteration_key(incumbent.learnt),
            ),
            self._settings.round_settings(self._pool.prevalence),
            seed,
            reference=None if reference is None else self._ids.to_frame().with_columns(p_positive=pl.Series(reference)),
            choose=lambda evidence: choose(Situation(evidence, self._settings.target, labels, reference is not None)),
            runner=ALONE,
        )

    def _reference(self) -> Floats | None:
        """Return what the other view says of the pool: LLM-0 of a student's, the newest student of LLM-0's."""
        if self._incumbent.learnt >= 0:
            return self._pool.scores
        newest = self._newest or self._learn.start
        return newest.pool if newest else None

    def _divided(self, answers: pl.DataFrame) -> pl.DataFrame:
        """Return the labelled items with what they are for and, if all teach and measure, their folds."""
        settings = self._settings

        def divide(crossfit: bool) -> pl.DataFrame:
            return split_labels(
                answers, evaluation_share=settings.evaluation_share, seed=self._seed, panel_iteration=FIRST_KEY,
                crossfit=crossfit,
            )  # fmt: skip

        if settings.evaluation == "crossfit":
            with contextlib.suppress(TooFewGroups):
                return with_folds(divide(True), settings.folds, self._seed)
        return divide(False).with_columns(fold=pl.lit(None, pl.Int64))

    def _train(self, taught: pl.DataFrame, prevalence: float, number: int) -> RoundLabeler | None:
        """Return the round's student, None if it was shown one kind only and had no head start."""
        labels, folds = taught["positive_share"].to_numpy(), taught["fold"]
        if one_sided(labels) and self._learn.start is None:
            return None
        fold_of = None if folds.null_count() else folds.to_numpy()
        learn = self._learn
        if self._settings.teacher == "promoted" and self._incumbent.learnt >= 0:
            learn = learn.taught_by(self._incumbent.scores.pool, prevalence)
        return RoundLabeler(learn(rows_of(taught), labels, fold_of), 0.0, number).matched(prevalence)

    def _judge(self, held_out: pl.DataFrame, student: RoundLabeler, prevalence: float, design: PoolDesign) -> Judgement:
        """Hold a student against the incumbent and the model recommended so far; it takes their place if it may.

        :param held_out: labelled items of which every model can be asked what it says without having learnt them.
        """
        # Whoever labels decides by what is known now.
        incumbent, recommended = self._incumbent.matched(prevalence), self._recommended.matched(prevalence)
        rows = rows_of(held_out)
        others = {"incumbent": incumbent.labels(rows), "recommended": recommended.labels(rows)}
        gains = gains_in_pool(design, held_out, self._pool.votes[rows], student.labels(rows), others)
        judgement = Judgement(incumbent, recommended, gains["recommended"])
        promoted = self._promoted(held_out.drop_nulls("label"), student, incumbent, gains["incumbent"].estimate)
        self._incumbent = student if promoted else incumbent
        self._recommended = student if judgement.better else recommended
        return judgement

    def _promoted(
        self, judged: pl.DataFrame, student: RoundLabeler, incumbent: RoundLabeler, gain: float | None
    ) -> bool:
        if self._settings.promotion == "never":
            return False
        if self._settings.promotion == "pool" and gain is not None:
            return gain >= 0
        if self._settings.promotion == "audit":
            judged = judged.filter(pl.col("reason") == "audit")
        rows, truth = rows_of(judged), judged["label"].cast(pl.Float64).to_numpy()
        # Undefined is NaN, which is not promoted.
        return cohen_kappa(student.labels(rows), truth) >= cohen_kappa(incumbent.labels(rows), truth)


def _tuned(student: RoundLabeler | None, split: pl.DataFrame, design: PoolDesign) -> float:
    if student is None or student.scores.unseen is None:
        return float("nan")
    return tuned_threshold(design, split, student.scores.unseen[rows_of(split)])


def scored(ids: pl.Series, scores: Floats, threshold: float) -> pl.DataFrame:
    """Return the scores as curation takes them: item_id, p_positive, label."""
    return pl.DataFrame({"item_id": ids, "p_positive": scores, "label": scores >= threshold})


def rows_of(items: pl.DataFrame) -> NDArray[np.int64]:
    """Return the rows of the pool that items stand for."""
    return np.asarray(items["item_id"].cast(pl.Int64).to_numpy(), dtype=np.int64)


def _boundary_labels(split: pl.DataFrame) -> NDArray[np.bool_]:
    chosen = split.drop_nulls("label").filter(~pl.col("reason").is_in(RANDOM_REASONS))
    return np.asarray(chosen["label"].to_numpy(), dtype=np.bool_)
