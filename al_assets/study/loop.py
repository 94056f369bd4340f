"""The loop's curation on a pool whose labels are known but hidden, through the same functions as the assets."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats, cohen_kappa
from al_assets.agreement.core.labelled_items import RANDOM_REASONS
from al_assets.agreement.population.pool_design import pool_design
from al_assets.agreement.population.thresholds import PRIOR_STRENGTH, estimate_prevalence, prevalence_threshold
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.queue.cold_start import ColdStartEvidence
from al_assets.curation.round import CuratedRound, History, curate_round
from al_assets.curation.runner import Threads
from al_assets.curation.settings import DEFAULTS, ClusterSettings, RoundSettings
from al_assets.curation.split import FINE_TUNING, split_labels
from al_assets.curation.strategies.base import Candidates, Strategy
from al_assets.models.students.record import one_sided
from al_assets.partitions import FIRST_KEY, iteration_key

# Loops run side by side in processes, and their pools are small.
ALONE = Threads(1)
_SPLIT = pl.Schema(
    {"item_id": pl.String, "iteration": pl.String, "reason": pl.String, "split": pl.String, "label": pl.Boolean}
)


@dataclass(frozen=True)
class LoopSettings:
    """The settings of a loop; the defaults are the policy file's but for the size of a round.

    :param target: the positive share wanted of the boundary share.
    :param closeness: pairs are ranked by closeness to the threshold too, not by mixing alone.
    :param promotion: the items that decide on it: all evaluation items, those of the audit, or none: never.
    :param prior_strength: labels that the expected prevalence is worth against the audit's; infinite where it is known.
    """

    budget: int = 60
    rounds: int = 6
    shares: tuple[float, float, float] = DEFAULTS.shares
    target: float = DEFAULTS.target_positive_share
    evaluation_share: float = 0.3
    neighbours: int = DEFAULTS.neighbours
    min_mixing: float = DEFAULTS.min_mixing
    exploration: float = DEFAULTS.exploration
    audit_strata: int = DEFAULTS.audit_strata
    items_per_cell: int = DEFAULTS.clusters.items_per_cell
    closeness: bool = DEFAULTS.closeness
    promotion: Literal["evaluation", "audit", "never"] = "evaluation"
    prior_strength: float = PRIOR_STRENGTH

    def round_settings(self, expected_prevalence: float) -> RoundSettings:
        """Return how a round is curated; macro clusters only name things, so none is looked for."""
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
            clusters=ClusterSettings(min_cluster_size=None, items_per_cell=self.items_per_cell),
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
class Scores:
    """What a model says: p_positive of the pool's items and of the held-out ones.

    :param probe: what a linear head on its own hidden states says; None where that is the model itself.
    """

    pool: Floats
    held_out: Floats
    probe: "Scores | None" = None


Learn = Callable[[NDArray[np.int64], Floats], Scores]
"""Trains a student: what it says that learnt from these rows (the pool's, then those that only a baseline learns from)
and their labels, shares of positive votes, some above and some below a half."""


@dataclass(frozen=True)
class Situation:
    """What may be looked at when a round's strategy is chosen.

    :param boundary_labels: labels that the boundary share got so far, shape (any,).
    """

    evidence: ColdStartEvidence
    target: float
    boundary_labels: NDArray[np.bool_]


ChooseStrategy = Callable[[Situation], Strategy]


@dataclass(frozen=True)
class RoundLabeler:
    """Who labels a round; ``learnt`` is the last round whose fine-tuning items it was trained on, -1 for LLM-0."""

    scores: Scores
    threshold: float
    learnt: int = -1


@dataclass(frozen=True)
class LoopRound:
    """One round of a loop, when its student has learnt.

    :param candidates: what could be picked; ``queue`` what was.
    :param split: all labelled items so far, as ``split_labels`` returns them.
    :param student: None if all it could learn from was of one kind.
    :param incumbent: who labels the next round: the student, if it is no worse.
    :param prevalence: the pool's positive share by what is known so far, which thresholds are matched to.
    """

    number: int
    evidence: ColdStartEvidence
    candidates: Candidates
    queue: pl.DataFrame
    split: pl.DataFrame
    student: RoundLabeler | None
    incumbent: RoundLabeler
    prevalence: float
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

    def next_round(self, choose: ChooseStrategy) -> LoopRound:
        """Run a round.

        The student is promoted if its kappa with the adjudicated labels on the evaluation items is no lower than the
        incumbent's.
        """
        started = time.perf_counter()
        number = len(self._asked)
        curated = self._curate(choose, 1_000 * self._seed + number)
        self._asked.append(curated.queue)
        done = time.perf_counter()
        answers = pl.concat([self._answers(queue, asked) for asked, queue in enumerate(self._asked)])
        split = self._split = split_labels(
            answers, evaluation_share=self._settings.evaluation_share, seed=self._seed, panel_iteration=FIRST_KEY
        )
        prevalence = self._prevalence(split)
        student = self._train(split, prevalence, number)
        return LoopRound(
            number, curated.evidence, curated.candidates, curated.queue, split, student, self._incumbent, prevalence,
            done - started, time.perf_counter() - done,
        )  # fmt: skip

    def _answers(self, queue: pl.DataFrame, number: int) -> pl.DataFrame:
        """Return one row for each item and expert."""
        asked = queue.select("item_id", "reason", "group_id", iteration=pl.lit(iteration_key(number)))
        votes = self._pool.votes[rows_of(queue)]
        answer = np.where(np.isnan(votes), "undecided", np.where(votes == 1, "positive", "negative"))
        columns = [asked.with_columns(pl.Series("label", column.tolist(), dtype=pl.String)) for column in answer.T]
        return pl.concat(columns)

    def _prevalence(self, split: pl.DataFrame) -> float:
        """Return the pool's positive share as the loop knows it: the audit's, shrunk towards the expected one."""
        expected, strength = self._pool.prevalence, self._settings.prior_strength
        if not self._asked or np.isinf(strength):
            return expected
        asked = [queue.with_columns(iteration=pl.lit(iteration_key(n))) for n, queue in enumerate(self._asked)]
        frame = self._ids.to_frame("item_id").with_columns(joined=pl.lit(FIRST_KEY))
        design = pool_design(pl.concat(asked), frame)
        votes = split["positive_votes"] + split["negative_votes"]
        decided = (votes > 0).to_numpy()
        sample = design.sample(split["item_id"].to_numpy().astype(np.str_), decided)
        share = (split["positive_votes"] / votes).to_numpy()[decided]
        return estimate_prevalence(sample, share, expected, strength)

    def _curate(self, choose: ChooseStrategy, seed: int) -> CuratedRound:
        split, incumbent = self._split, self._incumbent
        scores = incumbent.scores.pool
        target, labels = self._settings.target, _boundary_labels(split)
        first = self._ids.to_frame().with_columns(p_positive=pl.Series(self._pool.scores))
        return curate_round(
            self._ids.to_frame().with_columns(text=pl.lit("")),
            scored(self._ids, scores, prevalence_threshold(scores, self._prevalence(split))),
            self._vectors,
            History(
                split["item_id"].to_list(),
                split.drop_nulls("label"),
                None if incumbent.learnt < 0 else iteration_key(incumbent.learnt),
            ),
            self._settings.round_settings(self._pool.prevalence),
            seed,
            reference=None if incumbent.learnt < 0 else first,
            choose=lambda evidence: choose(Situation(evidence, target, labels)),
            runner=ALONE,
        )

    def _train(self, split: pl.DataFrame, prevalence: float, number: int) -> RoundLabeler | None:
        """Return the round's student, None if it was shown one kind only; promote it if it is no worse."""
        lesson, labels = lesson_of(split)
        if one_sided(labels):
            return None
        scores = self._learn(lesson, labels)
        student = RoundLabeler(scores, prevalence_threshold(scores.pool, prevalence), number)
        # Who labels next decides by what is known now, whoever it is.
        now = prevalence_threshold(self._incumbent.scores.pool, prevalence)
        self._incumbent = RoundLabeler(self._incumbent.scores, now, self._incumbent.learnt)
        if self._settings.promotion == "never":
            return student
        judged = split.drop_nulls("label").filter(pl.col("split") != FINE_TUNING)
        if self._settings.promotion == "audit":
            judged = judged.filter(pl.col("reason") == "audit")
        rows, truth = rows_of(judged), judged["label"].cast(pl.Float64).to_numpy()
        new, old = (
            cohen_kappa((each.scores.pool[rows] >= each.threshold).astype(np.float64), truth)
            for each in (student, self._incumbent)
        )
        # Undefined is NaN, which is not promoted.
        if new >= old:
            self._incumbent = student
        return student


def scored(ids: pl.Series, scores: Floats, threshold: float) -> pl.DataFrame:
    """Return the scores as curation takes them: item_id, p_positive, label."""
    return pl.DataFrame({"item_id": ids, "p_positive": scores, "label": scores >= threshold})


def lesson_of(split: pl.DataFrame) -> tuple[NDArray[np.int64], Floats]:
    """Return what a student learns from: rows of the pool and the share of positive among their votes."""
    lesson = split.drop_nulls("positive_share").filter(pl.col("split") == FINE_TUNING)
    return rows_of(lesson), lesson["positive_share"].to_numpy()


def rows_of(items: pl.DataFrame) -> NDArray[np.int64]:
    """Return the rows of the pool that items stand for."""
    return np.asarray(items["item_id"].cast(pl.Int64).to_numpy(), dtype=np.int64)


def _boundary_labels(split: pl.DataFrame) -> NDArray[np.bool_]:
    chosen = split.drop_nulls("label").filter(~pl.col("reason").is_in(RANDOM_REASONS))
    return np.asarray(chosen["label"].to_numpy(), dtype=np.bool_)
