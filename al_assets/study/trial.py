"""One seed of a data set: a pool, held-out items, the panel that labels, and what a model is measured with."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats, kappa_of, mean_defined
from al_assets.agreement.population.thresholds import average_precision, prevalence_threshold
from al_assets.curation.geometry.clusters import cluster_assignments
from al_assets.curation.geometry.labelled_pool import Sides
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.round import History, ranked_pairs
from al_assets.curation.strategies.base import Candidates
from al_assets.curation.strategies.boundary import BoundaryShare
from al_assets.study import StudyError
from al_assets.study.draw import draw_rows
from al_assets.study.learner import Scores
from al_assets.study.loop import ALONE, LoopPool, LoopSettings, scored
from al_assets.study.panel import PanelSettings, SimulatedPanel, noisy_oracle, panel_kappas, simulate_panel
from al_assets.study.settings import DatasetSettings, OracleLabeler
from al_assets.study.workshop import Workshop

_WITHOUT_NOISE = {"expert_kappa": None, "crowd_kappa": None}
_BOUNDARY_STREAM = 13
_MOST_LEVELS = 500


@dataclass(frozen=True)
class Trial:
    """One seed of a data set.

    :param pool: rows of the data set's texts; in ``spare`` those that only the crowd's baseline learns from, and in
        ``held_out`` those that nobody does.
    :param panel: the base's experts and crowd on pool, spare and held-out items, in this order.
    :param labelling: the experts that label in the loop: the base's, unless a control changes them.
    :param first: LLM-0's scores of pool and held-out items; in ``lesson_scores`` of pool and spare ones.
    :param boundary: places of the held-out items that LLM-0's boundary pairs pick.
    :param prevalence: the positive share of all of them together.
    """

    pool: NDArray[np.int64]
    spare: NDArray[np.int64]
    held_out: NDArray[np.int64]
    panel: SimulatedPanel
    labelling: SimulatedPanel
    first: Scores
    lesson_scores: Floats
    boundary: NDArray[np.int64]
    prevalence: float

    @classmethod
    def draw(cls, workshop: Workshop, dataset: str, labelling: PanelSettings | None, seed: int) -> "Trial":
        """Draw pool, held-out items and panel; the same for every strategy, student and budget of a seed.

        :param labelling: settings of the panel that labels; None for the data set's own.
        :raises StudyError: there are not enough texts, or raters do not agree as far as asked.
        """
        settings, texts = workshop.study.datasets[dataset], workshop.texts(dataset)
        truth = simulate_panel(texts, settings.panel.model_copy(update=_WITHOUT_NOISE), seed).truth
        drawn, held_out = draw_rows(
            truth, pool=None, held_out=settings.held_out, prevalence=settings.prevalence, seed=seed
        )
        size = len(drawn) if settings.pool is None else settings.pool
        if size > len(drawn):
            raise StudyError(
                f"datasets.{dataset}.pool: {size} items, but only {len(drawn)} can be had beside held_out "
                f"{settings.held_out}; ask for fewer, or leave it out for all of them"
            )
        rows = np.concatenate([drawn, held_out])
        own = texts.take(rows)
        panel = simulate_panel(own, settings.panel, seed)
        if isinstance(settings.labeler, OracleLabeler):
            first = noisy_oracle(panel.truth, settings.labeler.auc, seed)
        else:
            first = workshop.first_scores(dataset)[rows]
        prevalence = float(panel.truth.mean())
        scores = Scores(first[:size], first[len(drawn) :])
        embedding = next(iter(workshop.study.embeddings.values()))
        vectors = workshop.vectors(dataset, embedding)[held_out]
        return cls(
            drawn[:size],
            drawn[size:],
            held_out,
            panel,
            panel if labelling is None else simulate_panel(own, labelling, seed),
            scores,
            first[: len(drawn)],
            _boundary(vectors, scores, prevalence, settings, seed),
            prevalence,
        )

    def loop_pool(self, vectors: NDArray[np.float32]) -> LoopPool:
        """Return the pool as the loop sees it.

        :param vectors: of all texts of the data set.
        """
        votes = self.labelling.experts[: len(self.pool)]
        return LoopPool(vectors[self.pool], votes, self.first.pool, self.first.held_out, self.prevalence)

    @property
    def lessons(self) -> NDArray[np.int64]:
        """Rows that somebody may learn from: the pool's, then the spare ones."""
        return np.concatenate([self.pool, self.spare])

    @property
    def crowd(self) -> Floats:
        """The crowd worker's votes on the lessons, NaN where there is none."""
        return self.panel.crowd[: len(self.lessons)]

    @property
    def judged(self) -> Floats:
        """The base experts' votes on the held-out items, shape (items, experts)."""
        return self.panel.experts[len(self.lessons) :]

    @property
    def held_truth(self) -> NDArray[np.bool_]:
        """The held-out items' truth."""
        return self.panel.truth[len(self.lessons) :]

    def human_kappas(self) -> dict[str, float | None]:
        """Return kappa of experts with each other and of the crowd with them, on both kinds of held-out items."""
        places = {"": np.arange(len(self.held_out)), "_boundary": self.boundary}
        return {
            f"{who}_kappa{where}": _known(kappa)
            for where, rows in places.items()
            for who, kappa in zip(("expert", "crowd"), panel_kappas(self.panel, len(self.lessons) + rows), strict=True)
        }

    def figures(self, scores: Scores, threshold: float) -> dict[str, float | None]:
        """Return what a model is worth on the held-out items.

        kappa is the mean over experts of Cohen's kappa with the model: on all held-out items, on the boundary ones
        (``kappa_boundary``), with the threshold at .5 (``kappa_half``) and at the best place in hindsight.
        """
        held_out, judged = scores.held_out, self.judged
        truth = self.held_truth.astype(np.float64)
        precision = float(average_precision(held_out, truth, np.ones((1, len(truth))))[0])
        return {
            "kappa": self.kappa_at(scores, threshold),
            "kappa_boundary": _known(model_kappa(held_out[self.boundary] >= threshold, judged[self.boundary])),
            "kappa_half": _known(model_kappa(held_out >= 0.5, judged)),
            "kappa_best": _known(best_kappa(held_out, judged)),
            "average_precision": _known(precision),
        }

    def kappa(self, scores: Scores, prevalence: float) -> float | None:
        """Return kappa on all held-out items, with the threshold matched to a prevalence of the pool."""
        return self.kappa_at(scores, prevalence_threshold(scores.pool, prevalence))

    def kappa_at(self, scores: Scores, threshold: float) -> float | None:
        """Return kappa on all held-out items at a threshold."""
        return _known(model_kappa(scores.held_out >= threshold, self.judged))


def model_kappa(called: NDArray[np.bool_], votes: Floats) -> float:
    """Return the mean over raters of Cohen's kappa with a model, each on the items that rater judged.

    :param called: the model's labels, shape (items,).
    :param votes: shape (items, raters), 1, 0 or NaN.
    :return: NaN if it is undefined for every rater.
    """
    return float(mean_defined(_kappas(called[None, :].astype(np.float64), votes))[0])


def best_kappa(scores: Floats, votes: Floats) -> float:
    """Return the largest ``model_kappa`` of any threshold."""
    levels = np.unique(scores)
    if len(levels) > _MOST_LEVELS:
        levels = np.unique(np.quantile(scores, np.linspace(0, 1, _MOST_LEVELS)))
    kappas = mean_defined(_kappas((scores[None, :] >= levels[:, None]).astype(np.float64), votes))
    known = kappas[~np.isnan(kappas)]
    return float(known.max()) if len(known) else float("nan")


def _kappas(called: Floats, votes: Floats) -> Floats:
    """Return Cohen's kappa of each rater with each row of labels, shape (rows, raters)."""
    by_rater = []
    for vote in votes.T:
        known = ~np.isnan(vote)
        given, said = vote[known], called[:, known]
        both, model, rater, items = said @ given, said.sum(axis=1), given.sum(), len(given)
        by_rater.append(kappa_of(np.stack([both, model - both, rater - both, items - model - rater + both], axis=-1)))
    return np.stack(by_rater, axis=-1)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _boundary(
    vectors: NDArray[np.float32], scores: Scores, prevalence: float, settings: DatasetSettings, seed: int
) -> NDArray[np.int64]:
    """Return places of held-out items, rising: the curated evaluation set, the same for every strategy."""
    ids = pl.Series("item_id", [f"{place:07d}" for place in range(len(vectors))])
    known = scored(ids, scores.held_out, prevalence_threshold(scores.pool, prevalence))
    sides = Sides(ids, Vectors.of(np.ascontiguousarray(vectors)), known["label"].to_numpy())
    how, drawn = LoopSettings().round_settings(prevalence), _BOUNDARY_STREAM + 1_000 * seed
    clusters = cluster_assignments(sides, how.clusters, drawn, ALONE)
    pairs = ranked_pairs(sides, clusters, known, History(), how, drawn, ALONE)
    candidates = Candidates(ids, scores.held_out, sides.positive, pairs=pairs)
    picked = BoundaryShare().pick(candidates, min(settings.boundary_items, len(vectors)), drawn)
    return np.sort(picked["item_id"].cast(pl.Int64).to_numpy())
