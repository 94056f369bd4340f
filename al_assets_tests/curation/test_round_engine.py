"""The engine as a whole, on pools that no one would wish for."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from al_assets.curation.geometry.clusters import cluster_assignments
from al_assets.curation.geometry.cross_label_pairs import Search, cross_label_pairs
from al_assets.curation.geometry.labelled_pool import Sides
from al_assets.curation.geometry.regions import Regions
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.queue.review_queue import Sources, build_queue
from al_assets.curation.round import History, named_regions, region_overlaps
from al_assets.curation.settings import ClusterSettings, RoundSettings
from al_assets.curation.strategies.ranked_pairs import draw_pairs, rank_pairs
from al_assets.curation.strategies.registry import make_strategy, strategies
from al_assets.tables import BOUNDARY_PAIRS, CLUSTER_ASSIGNMENTS, OVERLAP_MAP
from al_assets_tests.support.pools import unit
from benchmarks.selection.engine import SelectionBench, bench_selection

LISTS = Search(exact_cosines=0, probes=4, mixing_probes=4)


@dataclass(frozen=True)
class Selection:
    clusters: pl.DataFrame
    pairs: pl.DataFrame
    overlaps: pl.DataFrame
    queue: pl.DataFrame


def select(
    vectors: NDArray[np.floating],
    positive: NDArray[np.bool_],
    *,
    strategy: str = "boundary_pairs",
    budget: int = 20,
    labelled: int = 0,
    copies: int = 0,
    seed: int = 0,
    search: Search | None = None,
) -> Selection:
    """Select from a pool of which the first ``labelled`` items are known and the last ``copies`` are of the first."""
    items = len(vectors)
    ids = pl.Series("item_id", [f"i{row:05}" for row in range(items)])
    rng = np.random.default_rng(seed)
    scores = np.where(positive, 0.5 + 0.5 * rng.random(items), 0.499 * rng.random(items))
    known = ids.head(labelled).to_list()
    own = items - copies
    folded = [None] * own + [ids[row % max(own, 1)] for row in range(copies)]
    pool = pl.DataFrame(
        {"item_id": ids, "text": ids, "duplicate_of": folded}, schema_overrides={"duplicate_of": pl.String}
    )
    every = Vectors(vectors[:own])
    sides = Sides.of(ids.head(own), every, positive[:own])
    frame = pl.DataFrame({"item_id": ids, "p_positive": scores, "label": positive})
    how = ClusterSettings(5, 4, sample=200, items_per_cell=8)
    regions = named_regions(pool, frame, sides, RoundSettings(clusters=how), seed)
    clusters = cluster_assignments(sides, how, seed, regions=Regions.of(regions))
    own_ids = ids.head(own)
    candidates = cross_label_pairs(
        sides, clusters, neighbours=4, min_mixing=0.1, exclude=known, seed=seed,
        search=search or Search(),
    )  # fmt: skip
    pairs = draw_pairs(rank_pairs(candidates, seed, frame.head(own)), budget // 2, seed=seed)
    queue = build_queue(
        pool=pool,
        scores=frame,
        sources=Sources(
            pairs,
            (own_ids, every),
            frame.head(labelled).select("item_id", "label"),
            frame.select("item_id", "p_positive"),
        ),
        strategy=make_strategy(strategy, 0.5),
        shares=(0.6, 0.25, 0.15),
        budget=budget,
        audit_strata=3,
        exclude=known,
        seed=seed,
    )
    history = History(known, frame.head(labelled).select("item_id", "label"))
    overlaps = region_overlaps(sides, regions, clusters, candidates, frame.head(own), history, seed)
    return Selection(clusters, pairs, overlaps, queue)


def check(found: Selection, items: int, budget: int, labelled: int, copies: int) -> None:
    """Assert what must hold of any selection."""
    pairs = found.pairs.with_columns(promising_share=0.0)
    for table, frame in ((CLUSTER_ASSIGNMENTS, found.clusters), (BOUNDARY_PAIRS, pairs), (OVERLAP_MAP, found.overlaps)):
        assert table.check(frame).equals(frame)
    queue = found.queue
    open_items = max(items - copies - labelled, 0)
    assert queue["item_id"].is_unique().all()
    assert queue.height <= min(budget, open_items)
    numbers = queue["item_id"].str.slice(1).cast(pl.Int64)
    assert ((numbers >= labelled) & (numbers < items - copies)).all()
    assert queue["inclusion_probability"].is_between(0, 1, closed="right").all()
    asked = queue.drop_nulls("pair_id").group_by("pair_id").agg(pl.len(), pl.col("group_id").n_unique().alias("groups"))
    assert asked.filter((pl.col("len") != 2) | (pl.col("groups") != 1)).is_empty()


@given(
    st.integers(1, 90),
    st.integers(1, 6),
    st.sampled_from(["random", "none", "all", "one", "all but one"]),
    st.sampled_from(["spread", "identical", "two points", "one giant cluster"]),
    st.sampled_from(sorted(strategies())),
    st.integers(0, 3),
    st.booleans(),
)
@settings(max_examples=60)
def test_any_pool_is_selected_from_or_refused_in_words(
    items: int, dimensions: int, labels: str, shape: str, strategy: str, seed: int, through_lists: bool
) -> None:
    rng = np.random.default_rng((seed, items))
    number = np.arange(items)
    positive = {
        "random": rng.random(items) < 0.3,
        "none": number < 0,
        "all": number >= 0,
        "one": number == items - 1,
        "all but one": number != 0,
    }[labels]
    vectors = unit(
        {
            "spread": rng.normal(size=(items, dimensions)),
            "identical": np.ones((items, dimensions)),
            "two points": np.where(number[:, None] % 2, 1.0, -1.0) * np.ones((1, dimensions)),
            "one giant cluster": 50 + rng.normal(size=(items, dimensions)),
        }[shape]
    )
    budget, labelled, copies = int(rng.integers(0, 40)), int(rng.integers(0, 3)), int(rng.integers(0, items // 3 + 1))
    search = LISTS if through_lists else None
    arguments = {"budget": budget, "labelled": min(labelled, items), "copies": copies, "seed": seed, "search": search}
    if strategy == "disagreement":
        with pytest.raises(ValueError, match="disagreement: one labeler alone cannot disagree"):
            select(vectors, positive, strategy=strategy, **arguments)  # type: ignore[arg-type]
        return
    found = select(vectors, positive, strategy=strategy, **arguments)  # type: ignore[arg-type]
    check(found, items, budget, min(labelled, items), copies)
    again = select(vectors, positive, strategy=strategy, **arguments)  # type: ignore[arg-type]
    assert found.queue.equals(again.queue)


def test_one_dimension() -> None:
    signs = np.where(np.arange(60) % 2, 1.0, -1.0)[:, None].astype(np.float32)
    found = select(signs, signs[:, 0] > 0)
    check(found, 60, 20, 0, 0)
    # The two labels lie at opposite ends: the joint neighbourhood of any pair holds both, half and half.
    assert found.pairs["similarity"].unique().to_list() == [-1]
    assert found.pairs["mixing"].unique().to_list() == [1]
    assert found.queue.height == 20


def test_a_boundary_in_one_giant_cluster_is_found() -> None:
    rng = np.random.default_rng(0)
    vectors = unit(5 + rng.normal(size=(2_000, 8)))
    along = vectors[:, 0] - np.median(vectors[:, 0])
    found = select(vectors, along > np.quantile(along, 0.8), budget=60)
    near = {f"i{row:05}" for row in np.argsort(np.abs(along - np.quantile(along, 0.8)))[:500]}
    boundary = found.queue.filter(reason="boundary")["item_id"].to_list()
    assert len(boundary) == 36
    # A quarter of the pool is that near.
    assert np.mean([item in near for item in boundary]) > 0.4


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda rows: rows.__setitem__((3, 0), np.nan), "vectors: 1 of 50 rows hold NaN or infinity"),
        (lambda rows: rows.__setitem__(slice(2, 5), 0), "vectors: 3 of 50 rows are not of length 1"),
    ],
)
def test_broken_vectors_are_refused(spoil: object, message: str) -> None:
    rows = unit(np.random.default_rng(0).normal(size=(50, 4)))
    spoil(rows)  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        select(rows, np.arange(50) % 2 == 0)


def test_lists_and_all_cosines_choose_nearly_the_same_pairs() -> None:
    rng = np.random.default_rng(1)
    vectors = unit(rng.normal(size=(40, 16))[rng.integers(0, 40, 3_000)] + 0.4 * rng.normal(size=(3_000, 16)))
    positive = vectors[:, 0] > np.quantile(vectors[:, 0], 0.9)
    exact, listed = (select(vectors, positive, search=search) for search in (None, Search(0, 12, 12)))
    common = exact.pairs.join(listed.pairs, on="pair_id").height
    assert common / exact.pairs.height > 0.9


@pytest.mark.slow
def test_memory_is_bounded_and_nothing_is_read_twice_over() -> None:
    found = bench_selection(60_000, 384)
    assert isinstance(found, SelectionBench)
    # The vectors alone would take 92 MB as float32; the libraries take about 250.
    assert found.peak_rss_mb < 700
    assert found.recall_at_10 >= 0.98
    assert sum(found.stages.values()) == pytest.approx(found.cpu_s)
    assert found.quality.band_share > 0.05
