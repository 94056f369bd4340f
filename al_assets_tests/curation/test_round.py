"""The front door: steps and whole agree, and plain arrays and frames are enough."""

import numpy as np
import polars as pl
import pytest

from al_assets.curation.geometry.clusters import cluster_assignments
from al_assets.curation.geometry.labelled_pool import Sides
from al_assets.curation.geometry.regions import Regions
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.queue.explain import EXPLANATION
from al_assets.curation.round import History, boundary_pairs, curate_round, named_regions, review_queue
from al_assets.curation.settings import ClusterSettings, RoundSettings
from al_assets.curation.strategies.by_score import UniformRandom
from al_assets.tables import BOUNDARY_PAIRS, CLUSTER_ASSIGNMENTS, OVERLAP_MAP
from al_assets_tests.support.pools import unit

SETTINGS = RoundSettings(budget=24, clusters=ClusterSettings(regions=5, items_per_cell=10))
ITEMS = 300
RNG = np.random.default_rng(0)
VECTORS = unit(RNG.normal(size=(ITEMS, 6)))
P_POSITIVE = 1 / (1 + np.exp(-4 * VECTORS[:, 0]))
POOL = pl.DataFrame(
    {"item_id": [f"i{row:03}" for row in range(ITEMS)], "text": [f"text {row}" for row in range(ITEMS)]}
)
SCORES = POOL.select("item_id", p_positive=pl.Series(P_POSITIVE), label=pl.Series(P_POSITIVE > 0.6))
FOLDED = POOL.with_columns(duplicate_of=pl.lit(None, dtype=pl.String))


def test_plain_frames_and_an_array_are_enough() -> None:
    curated = curate_round(POOL, SCORES, VECTORS.tolist(), settings=SETTINGS, seed=3)
    assert CLUSTER_ASSIGNMENTS.check(curated.clusters).equals(curated.clusters)
    assert BOUNDARY_PAIRS.check(curated.pairs).equals(curated.pairs)
    assert OVERLAP_MAP.check(curated.overlaps).equals(curated.overlaps)
    assert curated.queue.height == 24
    assert set(curated.queue["reason"]) >= {"boundary", "promising", "audit", "control"}
    assert set(EXPLANATION.names()) < set(curated.queue.columns)
    assert curated.cold_start.why.startswith("Before any label")
    assert curated.pairs["promising_share"].unique().to_list() == [curated.cold_start.share]
    again = curate_round(POOL, SCORES, VECTORS, settings=SETTINGS, seed=3)
    assert again.queue.equals(curated.queue)
    assert not curate_round(POOL, SCORES, VECTORS, settings=SETTINGS, seed=4).queue.equals(curated.queue)


@pytest.mark.parametrize("strategy", ["boundary_pairs", {"boundary_pairs": 0.5, "typiclust": 0.5}])
def test_the_steps_one_by_one_make_the_same_round(strategy: str | dict[str, float]) -> None:
    settings = RoundSettings(budget=24, strategy=strategy, seed=1, clusters=ClusterSettings(seed=2))
    labels = SCORES.head(20).select("item_id", "label")
    history = History(POOL["item_id"].head(20).to_list(), labels)
    whole = curate_round(POOL, SCORES, VECTORS, history, settings, 7)
    sides = Sides(SCORES["item_id"], Vectors(VECTORS), SCORES["label"].to_numpy())
    regions = named_regions(FOLDED, SCORES, sides, settings, 7)
    clusters = cluster_assignments(sides, settings.clusters, 7, regions=Regions.of(regions))
    pairs, start = boundary_pairs(sides, clusters, FOLDED, SCORES, history, settings, 7)
    queue = review_queue(FOLDED, SCORES, clusters, pairs, history, settings, 7, sides=sides)
    assert regions.equals(whole.regions)
    assert clusters.equals(whole.clusters)
    assert pairs.equals(whole.pairs)
    assert start == whole.cold_start
    assert queue.equals(whole.queue)
    assert not set(queue["item_id"]) & set(history.asked)


def test_the_order_of_the_scores_changes_nothing_that_is_asked() -> None:
    order = np.random.default_rng(1).permutation(ITEMS)
    settings = RoundSettings(budget=24, clusters=ClusterSettings(regions=None, items_per_cell=ITEMS))
    whole = curate_round(POOL, SCORES, VECTORS, settings=settings)
    mixed = curate_round(POOL[order], SCORES[order], VECTORS[order], settings=settings)
    assert mixed.queue.drop("cell", "region").equals(whole.queue.drop("cell", "region"))


def test_labels_that_the_labeler_learnt_from_are_no_evidence() -> None:
    labels = pl.DataFrame(
        {
            "item_id": ["a", "b", "c", "d"],
            "iteration": ["0000", "0000", "0001", "0001"],
            "teaches": [True, False, True, False],
            "label": [True, False, True, None],
        }
    )
    ids = pl.Series("item_id", ["d", "c", "b", "a", "e"])
    nan = np.nan

    own = np.array([0.1, 0.2, 0.3, 0.4, 0.5])

    def honest(trained_in: str | None, labels: pl.DataFrame = labels) -> list[float]:
        said, scores = History((), labels, trained_in).honest_labels(ids, own)
        assert scores[~np.isnan(said)] == pytest.approx(own[~np.isnan(said)])
        return list(said)

    assert honest(None) == pytest.approx([nan, 1, 0, 1, nan], nan_ok=True)
    assert honest("0000") == pytest.approx([nan, 1, 0, nan, nan], nan_ok=True)
    assert honest("0001") == pytest.approx([nan, nan, 0, nan, nan], nan_ok=True)
    assert np.isnan(History().honest_labels(ids, own)[0]).all()
    judged = labels.with_columns(out_of_fold=pl.Series([0.9, 0.3, None, None], dtype=pl.Float64))
    said, scores = History((), judged, "0001").honest_labels(ids, own)
    assert list(said) == pytest.approx([nan, nan, 0, 1, nan], nan_ok=True)
    assert list(scores) == [0.1, 0.2, 0.3, 0.9, 0.5]


def test_a_strategy_handed_in_sees_the_evidence_and_the_pairs_are_left_undrawn() -> None:
    seen = []

    def choose(evidence: object) -> UniformRandom:
        seen.append(evidence)
        return UniformRandom()

    curated = curate_round(POOL, SCORES, VECTORS, settings=SETTINGS, choose=choose)
    assert seen == [curated.evidence]
    assert "draw_order" not in curated.pairs.columns
    assert set(curated.queue["reason"]) == {"random", "audit", "control"}


@pytest.mark.parametrize("target", [0.0, 0.4])
def test_without_a_pair_the_queue_divides_as_the_cold_start_did(target: float) -> None:
    one_label = SCORES.with_columns(label=pl.lit(value=False))
    settings = RoundSettings(budget=24, target_positive_share=target)
    curated = curate_round(POOL, one_label, VECTORS, settings=settings)
    assert curated.pairs.is_empty()
    promising = curated.queue.filter(reason="promising").height
    boundary = curated.queue.filter(~pl.col("reason").is_in(["audit", "control"])).height
    assert promising == round(curated.cold_start.share * boundary)
