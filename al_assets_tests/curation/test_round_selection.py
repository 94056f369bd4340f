"""The whole selection, on a pool whose boundary and whose labelling errors are known."""

import time

import numpy as np
import polars as pl
import pytest

from al_assets.curation.budget import divide_budget
from al_assets.curation.geometry.clusters import cluster_assignments
from al_assets.curation.geometry.cross_label_pairs import cross_label_pairs
from al_assets.curation.geometry.regions import Regions
from al_assets.curation.queue.review_queue import Sources, build_queue
from al_assets.curation.round import History, named_regions, region_overlaps
from al_assets.curation.settings import DEFAULTS
from al_assets.curation.strategies.ranked_pairs import draw_pairs, rank_pairs
from al_assets_tests.support.pools import Pool, labelled, topic_pool

SHARES = (0.6, 0.25, 0.15)


def select(
    pool: Pool, *, min_mixing: float = 0.2, budget: int = 100
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    regions = named_regions(pool.items, pool.pseudo_labels, pool.sides, DEFAULTS)
    clusters = cluster_assignments(pool.sides, regions=Regions.of(regions))
    candidates = cross_label_pairs(pool.sides, clusters, neighbours=8, min_mixing=min_mixing)
    pairs = draw_pairs(rank_pairs(candidates), divide_budget(budget, SHARES).boundary // 2)
    overlaps = region_overlaps(pool.sides, regions, clusters, pairs, pool.pseudo_labels, History())
    queue = build_queue(
        pool=pool.items,
        scores=pool.pseudo_labels,
        sources=Sources(pairs=pairs),
        shares=SHARES,
        budget=budget,
        audit_strata=5,
    )
    return pairs, overlaps, queue


def test_boundary_items_lie_at_the_boundary() -> None:
    pool = topic_pool(3_000, dimensions=8, prevalence=0.1)
    _, _, queue = select(pool)
    band = pool.pseudo_labels.select("item_id", near=(pl.col("p_positive") - 0.5).abs() < 0.3)
    near = dict(queue.join(band, on="item_id").group_by("reason").agg(pl.col("near").mean()).iter_rows())
    in_pool = float(np.mean(np.abs(pool.scores - 0.5) < 0.3))
    assert near["boundary"] > 4 * in_pool


def test_mixing_filter_keeps_labelling_errors_out() -> None:
    clean = topic_pool(3_000, dimensions=8, prevalence=0.1)
    wrong = np.random.default_rng(5).random(3_000) < 0.02
    noisy = labelled(clean, clean.positive ^ wrong)
    errors = {item for item, bad in zip(noisy.item_ids, wrong, strict=True) if bad}

    def share_of_errors(min_mixing: float) -> float:
        pairs = select(noisy, min_mixing=min_mixing)[0].sort("similarity", descending=True).head(100)
        members = [*pairs["positive_item"], *pairs["negative_item"]]
        return sum(item in errors for item in members) / len(members)

    assert share_of_errors(0.4) < 0.6 * share_of_errors(0.0)


def test_same_pool_same_selection() -> None:
    pool = topic_pool(600)
    assert all(first.equals(second) for first, second in zip(select(pool), select(pool), strict=True))


@pytest.mark.parametrize("labels", ["one label", "one negative", "one positive", "two negatives"])
def test_degenerate_labels_still_give_a_full_queue(labels: str) -> None:
    number = np.arange(300)
    positive = {
        "one label": number < 0,
        "one negative": number > 0,
        "one positive": number == 0,
        "two negatives": number > 1,
    }[labels]
    pairs, overlaps, queue = select(labelled(topic_pool(300), positive))
    assert queue.height == 100
    assert (pairs.height, overlaps["overlap"].sum()) == (0, 0)


def test_five_thousand_items_take_seconds() -> None:
    pool = topic_pool(5_000, dimensions=384, topics=40, prevalence=0.07)
    started = time.process_time()
    pairs, overlaps, queue = select(pool, budget=120)
    assert time.process_time() - started < 80
    assert pairs["selected"].sum() == 36
    assert overlaps.height > 5
    assert queue.height == 120
