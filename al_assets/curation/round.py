"""The front door: one round of curation, from scores and vectors to the queue that experts are asked.

``curate_round`` does all of it. Its steps are public: the assets call them one by one, each for its own table. Arrays
and frames in, frames out; nothing here knows of Dagster, files or the ledger.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from al_assets.curation.budget import divide_budget, largest_remainder
from al_assets.curation.confusion import expected_errors
from al_assets.curation.geometry.clusters import cluster_assignments
from al_assets.curation.geometry.cross_label_pairs import cross_label_pairs
from al_assets.curation.geometry.labelled_pool import Sides, labelled_pool
from al_assets.curation.geometry.overlap import overlap_map
from al_assets.curation.geometry.regions import Regions, describe_regions, fit_regions, region_sample
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.queue.cold_start import (
    ColdStart,
    ColdStartEvidence,
    gather_evidence,
    promising_share,
    share_without_pairs,
)
from al_assets.curation.queue.explain import explain_queue
from al_assets.curation.queue.review_queue import Sources, askable, build_queue
from al_assets.curation.runner import THREADS, Runner
from al_assets.curation.settings import DEFAULTS, RoundSettings
from al_assets.curation.strategies.base import Candidates, Strategy
from al_assets.curation.strategies.boundary import divide_boundary
from al_assets.curation.strategies.ranked_pairs import draw_pairs, rank_pairs
from al_assets.curation.strategies.registry import make_strategy

_PAIRS = "boundary_pairs"


@dataclass(frozen=True)
class History:
    """What was asked and learnt before a round.

    :param asked: items that are not asked, again or at all.
    :param labels: item_id, label (Boolean): what experts said so far; with iteration and teaches where the labeler was
        trained on some of it, and out_of_fold, what a student that did not learn from the item made of it, where that
        is known. None before any label.
    :param trained_in: the iteration up to which the present labeler has learnt from items that teach; None: from none.
    """

    asked: Collection[str] = ()
    labels: pl.DataFrame | None = None
    trained_in: str | None = None

    def honest_labels(
        self, item_ids: pl.Series, scores: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the labels by which the present labeler can be judged, 1, 0 or NaN, and the scores to judge it by.

        Those are its own of items that it was not trained on, and of the others the out-of-fold ones.

        :param scores: the labeler's own, row for row with the ids, as is what is returned.
        """
        if self.labels is None:
            return np.full(len(item_ids), np.nan), scores
        labels = self.labels
        if "out_of_fold" not in labels.columns:
            labels = labels.with_columns(out_of_fold=pl.lit(None, pl.Float64))
        if self.trained_in is not None:
            learnt = pl.col("teaches") & (pl.col("iteration") <= self.trained_in)
            labels = labels.filter(~learnt | pl.col("out_of_fold").is_not_null())
        known = labels.select("item_id", pl.col("label").cast(pl.Float64), "out_of_fold")
        rows = item_ids.to_frame("item_id").join(known, on="item_id", how="left", maintain_order="left")
        found = rows.select("label", pl.coalesce("out_of_fold", pl.lit(pl.Series(scores)))).fill_null(float("nan"))
        return found["label"].to_numpy(), found["out_of_fold"].to_numpy()


@dataclass(frozen=True)
class CuratedRound:
    """A round, curated.

    :param regions: ``named_regions``, for the rounds to come.
    :param clusters: ``cluster_assignments``, a row for each scored item.
    :param pairs: ``boundary_pairs``; ranked, but not drawn, where the strategy was chosen by the caller.
    :param queue: ``review_queue`` with why each item is there, without hidden items.
    :param candidates: what the boundary share could be picked from, before the audit and the control took theirs.
    :param evidence: what was known of the labeler.
    :param scores, history, seed: what the round was given.
    """

    sides: Sides
    regions: pl.DataFrame
    clusters: pl.DataFrame
    pairs: pl.DataFrame
    queue: pl.DataFrame
    candidates: Candidates
    evidence: ColdStartEvidence
    settings: RoundSettings
    scores: pl.DataFrame
    history: History
    seed: int

    @cached_property
    def overlaps(self) -> pl.DataFrame:
        """``region_overlaps``, made when it is first asked for."""
        return region_overlaps(
            self.sides, self.regions, self.clusters, self.pairs, self.scores, self.history, self.seed
        )

    @cached_property
    def cold_start(self) -> ColdStart:
        """The part of the boundary share for top-scored items by the cold start's rule, and why."""
        return promising_share(self.evidence, self.settings.target_positive_share)


def curate_round(
    pool: pl.DataFrame,
    scores: pl.DataFrame,
    vectors: Vectors | ArrayLike,
    history: History = History(),
    settings: RoundSettings = DEFAULTS,
    seed: int = 0,
    *,
    regions: pl.DataFrame | None = None,
    reference: pl.DataFrame | None = None,
    choose: Callable[[ColdStartEvidence], Strategy] | None = None,
    runner: Runner = THREADS,
) -> CuratedRound:
    """Curate a round.

    :param pool: item_id, text, and duplicate_of where near-duplicates were folded (null if none).
    :param scores: item_id, p_positive in [0, 1], label (the pseudo-label), and disagreement where several labelers were
        asked; of all items that are no near-duplicates.
    :param vectors: row for row with the scores, shape (items, dimensions), of length one.
    :param seed: decides all that is drawn by lot.
    :param regions: ``named_regions`` of an earlier round, which stay the same; None makes them anew.
    :param reference: item_id, p_positive by a reference model, for strategies that compare the labeler with one.
    :param choose: makes what fills the boundary share; None takes the settings' strategy and the cold start's rule.
    :raises CurationError: an input is not as described, or a setting is out of range.
    """
    if "duplicate_of" not in pool.columns:
        pool = pool.with_columns(duplicate_of=pl.lit(None, dtype=pl.String))
    sides = Sides.of(scores["item_id"], vectors, scores["label"].to_numpy())
    regions = named_regions(pool, scores, sides, settings, seed) if regions is None else regions
    clusters = cluster_assignments(sides, settings.clusters, seed, runner, regions=Regions.of(regions))
    pairs = ranked_pairs(sides, clusters, scores, history, settings, seed, runner)
    candidates, evidence = labeler_evidence(pool, scores, pairs, history, settings, seed)
    if choose is None:
        pairs = _drawn(pairs, promising_share(evidence, settings.target_positive_share), settings, seed)
    queue = review_queue(
        pool,
        scores,
        clusters,
        pairs,
        history,
        settings,
        seed,
        sides=sides,
        reference=reference,
        strategy=None if choose is None else choose(evidence),
    )
    return CuratedRound(
        sides, regions, clusters, pairs, queue, candidates, evidence, settings, scores, history, seed
    )  # fmt: skip


def named_regions(
    pool: pl.DataFrame, scores: pl.DataFrame, sides: Sides, settings: RoundSettings, seed: int = 0
) -> pl.DataFrame:
    """Return the table ``regions``: places of the pool, fitted to what a labeler says of it, with their names.

    :param pool: item_id, text; ``scores``: item_id, p_positive, as a rule LLM-0's.
    :param sides: of the items that they are fitted on.
    """
    seed = seed if settings.clusters.seed is None else settings.clusters.seed
    found = fit_regions(sides.vectors, _scores(sides, scores), settings.clusters, seed)
    sample = region_sample(len(sides.item_ids), settings.clusters, seed)
    texts = sides.item_ids.gather(sample).to_frame().join(
        pool.select("item_id", "text"), on="item_id", how="left", maintain_order="left"
    )["text"]  # fmt: skip
    return describe_regions(found, sides.item_ids, texts.fill_null("").to_list(), sides.vectors, sample)


def region_overlaps(
    sides: Sides,
    regions: pl.DataFrame,
    clusters: pl.DataFrame,
    pairs: pl.DataFrame,
    scores: pl.DataFrame,
    history: History,
    seed: int = 0,
) -> pl.DataFrame:
    """Return the table ``overlap_map``: how labels overlap in each region, how many experts would overturn.

    :param scores: item_id, p_positive and label of the present labeler.
    """
    said = _scores(sides, scores)
    labels, honest = history.honest_labels(sides.item_ids, said)
    pool = labelled_pool(sides, clusters)
    threshold = float(scores.filter("label")["p_positive"].to_numpy().min(initial=np.inf))
    errors = expected_errors(pool.region, sides.positive, said, labels, honest, threshold, seed)
    return overlap_map(pool, pairs, regions, errors)


def _scores(sides: Sides, scores: pl.DataFrame) -> NDArray[np.float64]:
    known = scores.select("item_id", pl.col("p_positive").cast(pl.Float64))
    found = sides.item_ids.to_frame().join(known, on="item_id", how="left", maintain_order="left")
    return found["p_positive"].to_numpy()


def ranked_pairs(
    sides: Sides,
    clusters: pl.DataFrame,
    scores: pl.DataFrame,
    history: History,
    settings: RoundSettings,
    seed: int = 0,
    runner: Runner = THREADS,
) -> pl.DataFrame:
    """Return near neighbours across the labels that may be asked, in the order in which they would be picked.

    See ``cross_label_pairs`` and ``rank_pairs``.
    """
    seed = seed if settings.seed is None else settings.seed
    candidates = cross_label_pairs(
        sides,
        clusters,
        neighbours=settings.neighbours,
        min_mixing=settings.min_mixing,
        exclude=history.asked,
        seed=seed,
        runner=runner,
    )
    return rank_pairs(candidates, seed, scores if settings.closeness else None)


def boundary_pairs(
    sides: Sides,
    clusters: pl.DataFrame,
    pool: pl.DataFrame,
    scores: pl.DataFrame,
    history: History,
    settings: RoundSettings,
    seed: int = 0,
    runner: Runner = THREADS,
) -> tuple[pl.DataFrame, ColdStart]:
    """Return the table ``boundary_pairs``, ranked and drawn, and how the boundary share is divided and why."""
    ranked = ranked_pairs(sides, clusters, scores, history, settings, seed, runner)
    _, evidence = labeler_evidence(pool, scores, ranked, history, settings, seed)
    start = promising_share(evidence, settings.target_positive_share)
    return _drawn(ranked, start, settings, seed), start


def review_queue(
    pool: pl.DataFrame,
    scores: pl.DataFrame,
    clusters: pl.DataFrame,
    pairs: pl.DataFrame,
    history: History,
    settings: RoundSettings,
    seed: int = 0,
    *,
    sides: Sides | None = None,
    reference: pl.DataFrame | None = None,
    strategy: Strategy | None = None,
) -> pl.DataFrame:
    """Return the table ``review_queue`` without revision and hidden items, with why each item is there.

    :param pairs: ``boundary_pairs``; the part for top-scored items is the one that was decided when they were drawn.
    :param sides: the vectors, for strategies that look at them.
    :param strategy: what fills the boundary share; None is the settings' strategy.
    """
    if strategy is None:
        promising = pairs["promising_share"][0] if pairs.height else share_without_pairs(settings.target_positive_share)
        strategy = make_strategy(settings.strategy, settings.exploration, promising)
    queue = build_queue(
        pool=pool,
        scores=scores,
        sources=Sources(pairs, None if sides is None else (sides.item_ids, sides.vectors), history.labels, reference),
        shares=settings.shares,
        budget=settings.budget,
        audit_strata=settings.audit_strata,
        strategy=strategy,
        exclude=history.asked,
        seed=seed,
    )
    return explain_queue(queue, scores=scores, clusters=clusters, pairs=pairs)


def labeler_evidence(
    pool: pl.DataFrame,
    scores: pl.DataFrame,
    ranked: pl.DataFrame,
    history: History,
    settings: RoundSettings,
    seed: int = 0,
) -> tuple[Candidates, ColdStartEvidence]:
    """Return what can be picked, and what is known of the labeler: see ``gather_evidence``.

    :param ranked: what ``ranked_pairs`` returned.
    """
    ordered = scores.sort("item_id")
    ids = ordered["item_id"]
    free = askable(pool, history.asked)["item_id"]
    candidates = Candidates(
        ids,
        ordered["p_positive"].to_numpy(),
        ordered["label"].to_numpy(),
        free=ids.is_in(free.implode()).to_numpy(),
        pairs=ranked,
    )
    labels, scored = history.honest_labels(ids, candidates.scores)
    evidence = gather_evidence(
        candidates,
        labels,
        scored,
        budget=divide_budget(settings.budget, settings.shares).boundary,
        expected_prevalence=settings.expected_prevalence,
        exploration=settings.exploration,
        seed=seed,
    )
    return candidates, evidence


def _drawn(ranked: pl.DataFrame, start: ColdStart, settings: RoundSettings, seed: int) -> pl.DataFrame:
    shares = {settings.strategy: 1.0} if isinstance(settings.strategy, str) else settings.strategy
    budget = divide_budget(settings.budget, settings.shares).boundary
    parts = dict(zip(shares, largest_remainder(budget, list(shares.values())), strict=True))
    wanted, _ = divide_boundary(parts.get(_PAIRS, 0), start.share)
    drawn = draw_pairs(ranked, wanted, settings.exploration, seed)
    return drawn.with_columns(promising_share=pl.lit(start.share, dtype=pl.Float64))
