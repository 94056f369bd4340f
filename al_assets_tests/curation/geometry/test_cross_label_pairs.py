import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from al_assets.curation.geometry.cross_label_pairs import CANDIDATES, Search, cross_label_pairs, joint_mixing
from al_assets.curation.geometry.labelled_pool import Sides
from al_assets.curation.geometry.neighbours import Lists, nearest_neighbours, without_self
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.runner import Threads
from al_assets.tables import BOUNDARY_PAIRS
from al_assets_tests.support.pools import Pool, labelled, topic_pool, unit


def candidates(pool: Pool, *, min_mixing: float = 0.2, neighbours: int = 8, **others: int | list[str]) -> pl.DataFrame:
    return cross_label_pairs(
        pool.sides,
        pool.clusters(),
        neighbours=neighbours,
        min_mixing=min_mixing,
        **others,  # type: ignore[arg-type]
    )


def brute_mixing(pool: Pool, one: int, other: int, neighbours: int) -> float:
    cosine = pool.vectors @ pool.vectors.T
    np.fill_diagonal(cosine, -2)
    joint = set(np.argsort(-cosine[one])[:neighbours]) | set(np.argsort(-cosine[other])[:neighbours])
    joint -= {one, other}
    if not joint:
        return 0.0
    share = float(np.mean([pool.positive[each] for each in joint]))
    return 2 * min(share, 1 - share)


def test_candidates_are_the_declared_columns() -> None:
    found = candidates(topic_pool())
    assert found.schema == CANDIDATES
    declared = {name: dtype for name, dtype in BOUNDARY_PAIRS.schema.items() if name in CANDIDATES}
    assert dict(found.schema) == declared
    assert found.height > 20
    assert found["pair_id"].is_unique().all()
    assert (found["pair_id"] == found["positive_item"] + "|" + found["negative_item"]).all()
    assert found["similarity"].is_sorted(descending=True)


@given(st.integers(12, 60), st.integers(1, 6), st.sampled_from([0.0, 0.2, 0.6]), st.integers(0, 5))
@settings(max_examples=15)
def test_pairs_agree_with_all_pairs(items: int, neighbours: int, min_mixing: float, seed: int) -> None:
    pool = topic_pool(items, prevalence=0.3, seed=seed)
    cosine = pool.vectors @ pool.vectors.T
    positives, negatives = np.flatnonzero(pool.positive), np.flatnonzero(~pool.positive)
    wanted = {}
    for positive in positives:
        for negative in negatives[np.argsort(-cosine[positive, negatives])[:neighbours]]:
            mixing = brute_mixing(pool, int(positive), int(negative), neighbours)
            if mixing >= min_mixing:
                wanted[f"{pool.item_ids[positive]}|{pool.item_ids[negative]}"] = (cosine[positive, negative], mixing)
    found = candidates(pool, neighbours=neighbours, min_mixing=min_mixing)
    assert {row[0]: row[1:] for row in found.select("pair_id", "similarity", "mixing").iter_rows()} == {
        pair: (pytest.approx(similarity, abs=1e-5), pytest.approx(mixing))
        for pair, (similarity, mixing) in wanted.items()
    }


def test_lone_item_among_the_other_label_is_no_boundary() -> None:
    pool = topic_pool()
    noisy = labelled(pool, np.arange(400) == 7)
    assert candidates(noisy, min_mixing=0.01).is_empty()
    assert candidates(noisy, min_mixing=0)["mixing"].to_list() == [0.0] * 8


def test_known_items_are_in_no_pair_but_still_neighbours() -> None:
    pool = topic_pool()
    before = candidates(pool)
    known = [before["positive_item"][0], before["negative_item"][1]]
    after = candidates(pool, exclude=known)
    assert after.filter(pl.col("positive_item").is_in(known) | pl.col("negative_item").is_in(known)).is_empty()
    kept = before.join(after, on="pair_id", suffix="_after")
    assert kept.height > before.height / 2
    assert kept["mixing"].to_list() == kept["mixing_after"].to_list()


@pytest.mark.parametrize("positives", [0, 400])
def test_one_label_has_no_pairs(positives: int) -> None:
    found = candidates(labelled(topic_pool(), np.arange(400) < positives), min_mixing=0)
    assert found.is_empty()
    assert found.schema == CANDIDATES


def test_everything_known_has_no_pairs() -> None:
    pool = topic_pool(40)
    assert candidates(pool, exclude=pool.item_ids).is_empty()


def test_fewer_negatives_than_neighbours() -> None:
    pool = labelled(topic_pool(40), np.arange(40) >= 3)
    found = candidates(pool, min_mixing=0, neighbours=8)
    assert found.height == 3 * 8
    assert found["negative_item"].n_unique() == 3


def test_two_items_have_no_neighbourhood() -> None:
    pool = labelled(topic_pool(2), np.array([True, False]))
    assert candidates(pool, min_mixing=0)["mixing"].to_list() == [0.0]
    assert candidates(pool, min_mixing=0.1).is_empty()


def test_identical_vectors() -> None:
    positive = np.arange(60) % 2 == 0
    pool = Pool([f"i{each}" for each in range(60)], np.tile(unit(np.ones((1, 8))), (60, 1)), positive, positive * 1.0)
    found = candidates(pool, min_mixing=0)
    assert found.height == 30 * 8
    assert found["similarity"].to_numpy() == pytest.approx(1)
    assert found["similarity"].max() <= 1  # type: ignore[operator]
    assert found["mixing"].is_between(0, 1).all()


def test_empty_pool() -> None:
    nothing = topic_pool(10).clusters().clear()
    found = cross_label_pairs(Sides.of([], np.zeros((0, 4)), []), nothing, neighbours=3, min_mixing=0.1)
    assert found.is_empty()


def test_a_sample_asks_when_there_are_too_many() -> None:
    pool = topic_pool()
    some = candidates(pool, max_queries=10)
    assert 0 < some["positive_item"].n_unique() <= 10
    assert some.equals(candidates(pool, max_queries=10))
    assert set(some["pair_id"]) < set(candidates(pool)["pair_id"])
    assert not some.equals(candidates(pool, max_queries=10, seed=1))


def test_same_input_same_pairs() -> None:
    assert candidates(topic_pool()).equals(candidates(topic_pool()))


@pytest.mark.parametrize(("name", "value"), [("neighbours", 0), ("max_queries", 0), ("min_mixing", 1.5)])
def test_settings_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}: {value} is"):
        candidates(topic_pool(30), **{name: value})  # type: ignore[arg-type]


def test_joint_mixing_counts_each_neighbour_once() -> None:
    positive = np.array([True, True, True, False, False, False])
    joint = np.array([[1, 2, 3, 1, 2, 0], [4, -1, 5, 3, 4, 0], [-1, -1, 0, 3, 0, 3]])
    # Members 0 and 3 aside: {1, 2}; {4, 5}; nothing.
    assert joint_mixing(joint, np.zeros(3, int), np.full(3, 3), positive).tolist() == [0, 0, 0]
    assert joint_mixing(joint, np.full(3, 9), np.full(3, 9), positive) == pytest.approx([0.5, 0.5, 1])


def test_without_self_drops_self_or_the_last() -> None:
    found = np.array([[4, 1, 2], [1, 2, 3], [5, -1, -1]])
    assert without_self(found, np.array([1, 7, 5]), 2).tolist() == [[4, 2], [1, 2], [-1, -1]]


def clustered(rows: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 60, rows)
    return unit(rng.normal(size=(60, 16))[group] + 0.4 * rng.normal(size=(rows, 16))), group


def test_lists_find_nearly_what_the_exact_search_finds() -> None:
    rows, groups = clustered(6_000, 0)
    vectors, every, queries = Vectors(rows), np.arange(6_000), np.arange(500)
    exact = nearest_neighbours(vectors, Lists.of(vectors, every, groups).in_one(), queries, 8)
    cosine = rows[:500] @ rows.T
    assert np.allclose(exact.cosine, -np.sort(-cosine, axis=1)[:, :8], atol=1e-5)
    assert np.allclose(np.take_along_axis(cosine, exact.rows, axis=1), exact.cosine, atol=1e-5)
    listed = nearest_neighbours(vectors, Lists.of(vectors, every, groups), queries, 8, probes=12)
    recall = np.mean([len(set(a) & set(b)) / 8 for a, b in zip(exact.rows.tolist(), listed.rows.tolist(), strict=True)])
    assert recall > 0.97
    assert np.array_equal(listed.rows[:, 0], queries)
    assert np.all(np.diff(listed.cosine, axis=1) <= 0)


def test_neighbours_do_not_depend_on_how_the_work_is_divided() -> None:
    rows, groups = clustered(3_000, 2)
    vectors, queries = Vectors(rows), np.arange(0, 3_000, 7)
    lists = Lists.of(vectors, np.arange(3_000), groups)
    alone, many = (nearest_neighbours(vectors, lists, queries, 10, runner=Threads(each)) for each in (1, 5))
    assert np.array_equal(alone.rows, many.rows)
    assert np.array_equal(alone.cosine, many.cosine)


def test_lists_say_where_they_found_too_few() -> None:
    rows, _ = clustered(40, 0)
    vectors = Vectors(rows)
    lists = Lists.of(vectors, np.arange(40), np.arange(40))
    found = nearest_neighbours(vectors, lists, np.arange(40), 30, probes=16)
    # 16 lists of one row are looked into.
    assert (found.rows >= 0).sum(axis=1).tolist() == [16] * 40
    assert np.isneginf(found.cosine[:, 16:]).all()


def test_a_pool_above_the_exact_limit() -> None:
    rng = np.random.default_rng(0)
    vectors, _ = clustered(12_000, 1)
    positive = vectors[:, 0] > np.quantile(vectors[:, 0], 0.95)
    pool = Pool([f"i{each:05}" for each in range(12_000)], vectors, positive, rng.random(12_000))
    found = cross_label_pairs(
        pool.sides,
        pool.clusters(sample=2_000),
        neighbours=8,
        min_mixing=0.2,
        search=Search(exact_cosines=0, probes=16, mixing_probes=8),
    )
    cosine = vectors[positive] @ vectors[~positive].T
    ids = np.array(pool.item_ids)
    best = dict(zip(ids[positive].tolist(), ids[~positive][cosine.argmax(axis=1)].tolist(), strict=True))
    nearest = found.unique("positive_item", keep="first", maintain_order=True)
    right = [
        best[positive] == negative
        for positive, negative in nearest.select("positive_item", "negative_item").iter_rows()
    ]
    assert found.height > 500
    # The nearest pair itself may have been dropped by the mixing filter, so some first partners are second best.
    assert np.mean(right) > 0.8
