"""The loop's curation on a pool whose labels are known but hidden: what a way to choose finds, and what it teaches."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.calibration import average_precision, prevalence_threshold
from al_assets.agreement.kappa import Floats, cohen_kappa
from al_assets.bench.hidden_pool import HiddenPool
from al_assets.curation.budget import divide_budget
from al_assets.curation.clusters import assign_clusters
from al_assets.curation.cold_start import ColdStartEvidence, gather_evidence, promising_share
from al_assets.curation.pairs import cross_label_pairs
from al_assets.curation.queue import Evidence, build_queue
from al_assets.curation.split import FINE_TUNING, split_labels
from al_assets.curation.strategies.base import Candidates, Ranked, Strategy
from al_assets.curation.strategies.by_score import TopScored
from al_assets.curation.strategies.pairs import BoundaryPairs, rank_pairs
from al_assets.curation.vectors import Vectors
from al_assets.partitions import FIRST_KEY

_RANDOM = ("audit", "control")
_SPLIT = pl.Schema(
    {"item_id": pl.String, "iteration": pl.String, "reason": pl.String, "split": pl.String, "label": pl.Boolean}
)


@dataclass(frozen=True)
class LoopSettings:
    """The settings of a loop; the defaults are the policy file's but for the size of a round.

    :param target: the positive share wanted of the boundary share.
    """

    budget: int = 60
    rounds: int = 6
    shares: tuple[float, float, float] = (0.6, 0.25, 0.15)
    target: float = 0.4
    evaluation_share: float = 0.3
    neighbours: int = 8
    min_mixing: float = 0.2
    audit_strata: int = 5
    items_per_cell: int = 20


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
class RoundFigures:
    """One round of one loop.

    :param promising: the part of the boundary share that went to top-scored items; ``positive``: its positive share.
    :param expected_pairs: the positive share that the cold start's curve expected of pairs alone, and in
        ``expected_promising`` of top-scored items alone; ``pairs_positive`` and ``promising_positive`` are what they
        would have held. None where there were none.
    :param average_precision: of the round's student on the held-out items; ``kappa``: of its labels at the threshold
        matched to the pool's prevalence. Likewise of who labels the next round.
    """

    round: int
    promising: float
    positive: float | None
    expected_pairs: float | None
    expected_promising: float | None
    pairs_positive: float | None
    promising_positive: float | None
    average_precision: float
    kappa: float
    incumbent_precision: float
    incumbent_kappa: float


@dataclass(frozen=True)
class _Labeler:
    """Who labels; ``learnt`` is the last round whose fine-tuning items it was trained on, -1 for LLM-0."""

    pool: Floats
    held_out: Floats
    learnt: int = -1


def run_loop(pool: HiddenPool, arm: Arm, settings: LoopSettings, seed: int) -> list[RoundFigures]:
    """Run the loop: curate, let the hidden labels answer, train a student on the fine-tuning items, promote or not.

    The student is logistic regression on the vectors, both classes weighted alike. It is promoted if its kappa on the
    evaluation items is no lower than the incumbent's, as in the loop.
    """
    loop = _Loop(pool, settings, seed)
    return [loop.next_round(arm) for _ in range(settings.rounds)]


class _Loop:
    """A loop between two rounds."""

    def __init__(self, pool: HiddenPool, settings: LoopSettings, seed: int) -> None:
        self._pool, self._settings, self._seed = pool, settings, seed
        self._ids = pl.Series("item_id", [f"{row:07d}" for row in range(len(pool.truth))])
        self._prevalence = float(pool.truth.mean())
        self._vectors = Vectors.of(pool.vectors)
        self._incumbent = _Labeler(pool.scores, pool.held_scores)
        self._votes: list[pl.DataFrame] = []

    def next_round(self, arm: Arm) -> RoundFigures:
        number, split = len(self._votes), self._split()
        seed = 1_000 * self._seed + number
        candidates = self._candidates(split, seed)
        boundary = divide_budget(self._settings.budget, self._settings.shares).boundary
        evidence = gather_evidence(
            candidates,
            _honest_labels(split, self._incumbent.learnt, len(self._ids)),
            budget=boundary,
            expected_prevalence=self._prevalence,
            seed=seed,
        )
        strategy = arm(Situation(evidence, self._settings.target, _boundary_labels(split)))
        queue = self._queue(candidates, split, strategy, seed)
        self._votes.append(self._answers(queue, number))
        expected = promising_share(evidence, self._settings.target)
        pairs, promising = (
            self._positive(each.pick(candidates, boundary, seed)) for each in (BoundaryPairs(), Ranked(TopScored()))
        )
        chosen = queue.filter(~pl.col("reason").is_in(_RANDOM))
        student = self._learn(number)
        (precision, kappa), (incumbent_precision, incumbent_kappa) = map(self._quality, (student, self._incumbent))
        return RoundFigures(
            round=number,
            promising=float((chosen["reason"] == "promising").sum()) / max(chosen.height, 1),
            positive=self._positive(chosen),
            expected_pairs=expected.expected_pairs,
            expected_promising=expected.expected_promising,
            pairs_positive=pairs,
            promising_positive=promising,
            average_precision=precision,
            kappa=kappa,
            incumbent_precision=incumbent_precision,
            incumbent_kappa=incumbent_kappa,
        )

    def _split(self) -> pl.DataFrame:
        if not self._votes:
            return pl.DataFrame(schema=_SPLIT)
        return split_labels(
            pl.concat(self._votes),
            evaluation_share=self._settings.evaluation_share,
            seed=self._seed,
            panel_iteration=FIRST_KEY,
        )

    def _candidates(self, split: pl.DataFrame, seed: int) -> Candidates:
        ids, scores, vectors = self._ids, self._incumbent.pool, self._vectors
        positive = scores >= prevalence_threshold(scores, self._prevalence)
        clusters = assign_clusters(
            ids,
            vectors,
            positive,
            # Macro clusters only name things: none is that large, and no time is spent on looking for them.
            min_cluster_size=len(ids),
            pca_dimensions=2,
            exact_below=len(ids) + 1,
            items_per_cell=self._settings.items_per_cell,
            seed=seed,
        )
        found = cross_label_pairs(
            ids,
            vectors,
            positive,
            clusters,
            neighbours=self._settings.neighbours,
            min_mixing=self._settings.min_mixing,
            exclude=split["item_id"].to_list(),
            seed=seed,
        )
        free = ~ids.is_in(split["item_id"].implode()).to_numpy()
        return Candidates(ids, scores, positive, free=free, pairs=rank_pairs(found, seed))

    def _queue(self, candidates: Candidates, split: pl.DataFrame, strategy: Strategy, seed: int) -> pl.DataFrame:
        no_copies = pl.lit(None, dtype=pl.String)
        return build_queue(
            pool=self._ids.to_frame().with_columns(text=pl.lit(""), duplicate_of=no_copies),
            scores=self._ids.to_frame().with_columns(p_positive=candidates.scores, label=candidates.positive),
            evidence=Evidence(pairs=candidates.pairs, vectors=(self._ids, self._vectors)),
            shares=self._settings.shares,
            budget=self._settings.budget,
            audit_strata=self._settings.audit_strata,
            strategy=strategy,
            exclude=split["item_id"].to_list(),
            seed=seed,
        )

    def _answers(self, queue: pl.DataFrame, number: int) -> pl.DataFrame:
        answer = pl.Series("label", np.where(self._pool.truth[_rows(queue)], "positive", "negative"), dtype=pl.String)
        return queue.select("item_id", "reason", "group_id", answer, iteration=pl.lit(f"{number:04d}"))

    def _learn(self, number: int) -> _Labeler | None:
        """Return the round's student, None if it was shown one class only; promote it if it is no worse."""
        split = self._split()
        lesson = split.filter(pl.col("split") == FINE_TUNING)
        student = _train(self._pool, _rows(lesson), number)
        if student is not None:
            judged = _rows(split.filter(pl.col("split") != FINE_TUNING))
            truth = self._pool.truth[judged].astype(np.float64)
            new, old = (
                cohen_kappa((each.pool[judged] >= self._threshold(each)).astype(np.float64), truth)
                for each in (student, self._incumbent)
            )
            # Undefined is NaN, which is not promoted.
            if new >= old:
                self._incumbent = student
        return student

    def _quality(self, labeler: _Labeler | None) -> tuple[float, float]:
        """Return average precision and kappa on the held-out items."""
        truth = self._pool.held_truth.astype(np.float64)
        if labeler is None:
            # A student that was shown one class only is worth what chance is.
            return float(truth.mean()), 0.0
        called = (labeler.held_out >= self._threshold(labeler)).astype(np.float64)
        precision = average_precision(labeler.held_out, truth, np.ones((1, len(truth))))
        return float(precision[0]), cohen_kappa(called, truth)

    def _threshold(self, labeler: _Labeler) -> float:
        return prevalence_threshold(labeler.pool, self._prevalence)

    def _positive(self, items: pl.DataFrame) -> float | None:
        return float(self._pool.truth[_rows(items)].mean()) if items.height else None


def _honest_labels(split: pl.DataFrame, learnt: int, items: int) -> Floats:
    """Return the labels of items that the incumbent was not trained on, NaN for all others."""
    labels = np.full(items, np.nan)
    honest = split.filter((pl.col("split") != FINE_TUNING) | (pl.col("iteration").cast(pl.Int64) > learnt))
    labels[_rows(honest)] = honest["label"].cast(pl.Float64).to_numpy()
    return labels


def _boundary_labels(split: pl.DataFrame) -> NDArray[np.bool_]:
    return np.asarray(split.filter(~pl.col("reason").is_in(_RANDOM))["label"].to_numpy(), dtype=np.bool_)


def _train(pool: HiddenPool, rows: NDArray[np.int64], number: int) -> _Labeler | None:
    """Return the student of a round, None if its items are all of one class."""
    from sklearn.linear_model import LogisticRegression

    if len(set(pool.truth[rows].tolist())) < 2:
        return None
    model: Any = LogisticRegression(class_weight="balanced", max_iter=1_000)
    model.fit(pool.vectors[rows], pool.truth[rows])
    own, held_out = (
        model.predict_proba(vectors)[:, 1].astype(np.float64) for vectors in (pool.vectors, pool.held_vectors)
    )
    return _Labeler(own, held_out, number)


def _rows(items: pl.DataFrame) -> NDArray[np.int64]:
    return np.asarray(items["item_id"].cast(pl.Int64).to_numpy(), dtype=np.int64)
