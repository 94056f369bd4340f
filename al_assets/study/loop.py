"""The loop's curation on a pool whose labels are known but hidden, through the same functions as the assets."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats, cohen_kappa
from al_assets.agreement.population.thresholds import PRIOR_STRENGTH, estimate_prevalence, prevalence_threshold
from al_assets.agreement.report.iteration_report import RANDOM_REASONS
from al_assets.curation.budget import divide_budget
from al_assets.curation.geometry.clusters import assign_clusters
from al_assets.curation.geometry.cross_label_pairs import cross_label_pairs
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.queue.cold_start import ColdStartEvidence, gather_evidence
from al_assets.curation.queue.review_queue import Evidence, build_queue
from al_assets.curation.runner import Threads
from al_assets.curation.split import FINE_TUNING, split_labels
from al_assets.curation.strategies.base import EXPLORATION, Candidates, Strategy
from al_assets.curation.strategies.ranked_pairs import rank_pairs
from al_assets.partitions import FIRST_KEY

# Loops run side by side in processes, and their pools are small.
_ALONE = Threads(1)
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
    shares: tuple[float, float, float] = (0.6, 0.25, 0.15)
    target: float = 0.4
    evaluation_share: float = 0.3
    neighbours: int = 8
    min_mixing: float = 0.2
    exploration: float = EXPLORATION
    audit_strata: int = 5
    items_per_cell: int = 20
    closeness: bool = True
    promotion: Literal["evaluation", "audit", "never"] = "evaluation"
    prior_strength: float = PRIOR_STRENGTH


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


class Learn(Protocol):
    """Trains a student."""

    def __call__(self, rows: NDArray[np.int64], labels: NDArray[np.bool_]) -> Scores:
        """Return what a student says that learnt from these lessons; both classes occur among the labels.

        :param rows: numbers of lessons: the pool's items, then those that only a baseline learns from.
        """
        ...


@dataclass(frozen=True)
class Situation:
    """What an arm may look at when it decides.

    :param boundary_labels: labels that the boundary share got so far, shape (any,).
    """

    evidence: ColdStartEvidence
    target: float
    boundary_labels: NDArray[np.bool_]


Arm = Callable[[Situation], Strategy]


@dataclass(frozen=True)
class Labeler:
    """Who labels a round; ``learnt`` is the last round whose fine-tuning items it was trained on, -1 for LLM-0."""

    scores: Scores
    threshold: float
    learnt: int = -1


@dataclass(frozen=True)
class Round:
    """One round of a loop, when its student has learnt.

    :param candidates: what could be picked; ``queue`` what was.
    :param split: all labelled items so far, as ``split_labels`` returns them.
    :param student: None if all it could learn from was of one class.
    :param incumbent: who labels the next round: the student, if it is no worse.
    :param prevalence: the pool's positive share by what is known so far, which thresholds are matched to.
    """

    number: int
    evidence: ColdStartEvidence
    candidates: Candidates
    queue: pl.DataFrame
    split: pl.DataFrame
    student: Labeler | None
    incumbent: Labeler
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
        self._incumbent = Labeler(first, prevalence_threshold(pool.scores, pool.prevalence))

    def next_round(self, arm: Arm) -> Round:
        """Run a round.

        The student is promoted if its kappa with the adjudicated labels on the evaluation items is no lower than the
        incumbent's.
        """
        started = time.perf_counter()
        number, split = len(self._asked), self._split
        seed = 1_000 * self._seed + number
        prevalence = self._prevalence(split)
        candidates = self._candidates(split, prevalence, seed)
        evidence = gather_evidence(
            candidates,
            _honest_labels(split, self._incumbent.learnt, len(self._ids)),
            budget=divide_budget(self._settings.budget, self._settings.shares).boundary,
            expected_prevalence=self._pool.prevalence,
            exploration=self._settings.exploration,
            seed=seed,
        )
        strategy = arm(Situation(evidence, self._settings.target, _boundary_labels(split)))
        queue = self._queue(candidates, split, strategy, seed)
        self._asked.append(queue)
        curated = time.perf_counter()
        split = self._split = self._split_labels()
        prevalence = self._prevalence(split)
        student = self._train(split, prevalence, number)
        return Round(
            number, evidence, candidates, queue, split, student, self._incumbent, prevalence,
            curated - started, time.perf_counter() - curated,
        )  # fmt: skip

    def _split_labels(self) -> pl.DataFrame:
        answers = [self._answers(queue, number) for number, queue in enumerate(self._asked)]
        return split_labels(
            pl.concat(answers),
            evaluation_share=self._settings.evaluation_share,
            seed=self._seed,
            panel_iteration=FIRST_KEY,
        )

    def _answers(self, queue: pl.DataFrame, number: int) -> pl.DataFrame:
        """Return one row for each item and expert."""
        asked = queue.select("item_id", "reason", "group_id", iteration=pl.lit(f"{number:04d}"))
        votes = self._pool.votes[rows_of(queue)]
        answer = np.where(np.isnan(votes), "undecided", np.where(votes == 1, "positive", "negative"))
        columns = [asked.with_columns(pl.Series("label", column.tolist(), dtype=pl.String)) for column in answer.T]
        return pl.concat(columns)

    def _prevalence(self, split: pl.DataFrame) -> float:
        """Return the pool's positive share as the loop knows it: the audit's, shrunk towards the expected one."""
        expected, strength = self._pool.prevalence, self._settings.prior_strength
        if not self._asked or np.isinf(strength):
            return expected
        chances = pl.concat([queue.filter(pl.col("reason") == "audit") for queue in self._asked])
        audit = split.filter(pl.col("reason") == "audit").join(
            chances.select("item_id", "inclusion_probability"), on="item_id", maintain_order="left"
        )
        labels = audit["label"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return estimate_prevalence(labels, 1 / audit["inclusion_probability"].to_numpy(), expected, strength)

    def _candidates(self, split: pl.DataFrame, prevalence: float, seed: int) -> Candidates:
        scores = self._incumbent.scores.pool
        positive = scores >= prevalence_threshold(scores, prevalence)
        labelled = split["item_id"].to_list()
        pairs = pairs_of(self._ids, self._vectors, scores, positive, self._settings, labelled, seed)
        free = ~self._ids.is_in(labelled).to_numpy()
        return Candidates(self._ids, scores, positive, free=free, pairs=pairs)

    def _queue(self, candidates: Candidates, split: pl.DataFrame, strategy: Strategy, seed: int) -> pl.DataFrame:
        no_copies = pl.lit(None, dtype=pl.String)
        ids = self._ids.to_frame()
        first = ids.with_columns(p_positive=pl.Series(self._pool.scores))
        return build_queue(
            pool=ids.with_columns(text=pl.lit(""), duplicate_of=no_copies),
            scores=ids.with_columns(p_positive=candidates.scores, label=candidates.positive),
            evidence=Evidence(
                pairs=candidates.pairs,
                vectors=(self._ids, self._vectors),
                labels=split.drop_nulls("label").select("item_id", "label"),
                reference=None if self._incumbent.learnt < 0 else first,
            ),
            shares=self._settings.shares,
            budget=self._settings.budget,
            audit_strata=self._settings.audit_strata,
            strategy=strategy,
            exclude=split["item_id"].to_list(),
            seed=seed,
        )

    def _train(self, split: pl.DataFrame, prevalence: float, number: int) -> Labeler | None:
        """Return the round's student, None if it was shown one class only; promote it if it is no worse."""
        lesson, labels = lesson_of(split)
        if labels.all() or not labels.any():
            return None
        scores = self._learn(lesson, labels)
        student = Labeler(scores, prevalence_threshold(scores.pool, prevalence), number)
        # Who labels next decides by what is known now, whoever it is.
        now = prevalence_threshold(self._incumbent.scores.pool, prevalence)
        self._incumbent = Labeler(self._incumbent.scores, now, self._incumbent.learnt)
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


def pairs_of(
    ids: pl.Series,
    vectors: Vectors,
    scores: Floats,
    positive: NDArray[np.bool_],
    settings: LoopSettings,
    exclude: list[str],
    seed: int,
) -> pl.DataFrame:
    """Return ranked boundary pairs, as ``rank_pairs`` does."""
    clusters = assign_clusters(
        ids,
        vectors,
        positive,
        # Macro clusters only name things: none is looked for.
        min_cluster_size=None,
        pca_dimensions=2,
        exact_below=len(ids) + 1,
        items_per_cell=settings.items_per_cell,
        seed=seed,
        runner=_ALONE,
    )
    found = cross_label_pairs(
        ids,
        vectors,
        positive,
        clusters,
        neighbours=settings.neighbours,
        min_mixing=settings.min_mixing,
        exclude=exclude,
        seed=seed,
        runner=_ALONE,
    )
    known = pl.DataFrame({"item_id": ids, "p_positive": scores, "label": positive})
    return rank_pairs(found, seed, known if settings.closeness else None)


def lesson_of(split: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return what a student learns from: rows of the pool and their adjudicated labels."""
    lesson = split.drop_nulls("label").filter(pl.col("split") == FINE_TUNING)
    return rows_of(lesson), np.asarray(lesson["label"].to_numpy(), dtype=np.bool_)


def rows_of(items: pl.DataFrame) -> NDArray[np.int64]:
    """Return the rows of the pool that items stand for."""
    return np.asarray(items["item_id"].cast(pl.Int64).to_numpy(), dtype=np.int64)


def _honest_labels(split: pl.DataFrame, learnt: int, items: int) -> Floats:
    """Return the labels of items that the incumbent was not trained on, NaN for all others."""
    labels = np.full(items, np.nan)
    honest = split.drop_nulls("label").filter(
        (pl.col("split") != FINE_TUNING) | (pl.col("iteration").cast(pl.Int64) > learnt)
    )
    labels[rows_of(honest)] = honest["label"].cast(pl.Float64).to_numpy()
    return labels


def _boundary_labels(split: pl.DataFrame) -> NDArray[np.bool_]:
    chosen = split.drop_nulls("label").filter(~pl.col("reason").is_in(RANDOM_REASONS))
    return np.asarray(chosen["label"].to_numpy(), dtype=np.bool_)
