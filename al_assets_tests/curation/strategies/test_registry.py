"""What every strategy keeps to, on pools that are small, odd and broken."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.strategies.base import PICKS, Candidates
from al_assets.curation.strategies.registry import make_strategy, needs_reference, needs_vectors, strategies
from al_assets_tests.support.pools import topics, unit

FILLS_THE_BUDGET = [name for name in sorted(strategies()) if name != "boundary_pairs"]
NO_PAIRS = pl.DataFrame(
    schema={"pair_id": pl.String, "positive_item": pl.String, "negative_item": pl.String, "rank": pl.Int64}
)


@st.composite
def pools(draw: st.DrawFn) -> Candidates:
    """Small pools of any kind: few or no items, equal vectors and scores, one label, all or none labelled or free."""
    items = draw(st.integers(0, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    distinct = draw(st.sampled_from([1, 3, 100]))
    vectors = unit(rng.normal(size=(distinct, draw(st.sampled_from([1, 2, 8])))))[rng.integers(0, distinct, items)]
    scores = draw(
        st.sampled_from([rng.random(items), np.full(items, 0.5), np.zeros(items), rng.integers(0, 2, items) * 1.0])
    )
    positive = scores >= draw(st.sampled_from([0.0, 0.5, 1.1]))
    known = rng.random(items) < draw(st.sampled_from([0.0, 0.4, 1.0]))
    reference = np.where(rng.random(items) < 0.2, np.nan, rng.random(items))
    # With only unknown ones among the open items a reference would have to be learnt.
    reference[: items // 2 + 1] = 0.8
    given_to_all = {
        "vectors": Vectors(vectors),
        "labels": np.where(known, rng.integers(0, 2, items), np.nan),
        "free": rng.random(items) < draw(st.sampled_from([0.5, 1.0])),
        "disagreement": rng.random(items),
        "reference": np.nan_to_num(reference, nan=0.3) if draw(st.booleans()) or known.any() else reference,
        "pairs": NO_PAIRS,
    }
    ids = pl.Series("item_id", [f"i{row}" for row in range(items)], dtype=pl.String)
    pool = Candidates(ids, scores, positive, **given_to_all)  # type: ignore[arg-type]
    if len(pool.open_rows) and np.isnan(reference[pool.open_rows]).all():
        return replace(pool, reference=np.full(items, 0.4))
    return pool


@pytest.mark.parametrize("name", FILLS_THE_BUDGET)
@given(pools(), st.integers(0, 30), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 2**32))
@settings(max_examples=25)
def test_picks_are_open_unique_and_as_many_as_possible(
    name: str, candidates: Candidates, budget: int, exploration: float, seed: int
) -> None:
    strategy = make_strategy(name, exploration)
    picks = strategy.pick(candidates, budget, seed)
    open_items = set(candidates.item_ids.gather(candidates.open_rows))
    assert picks.schema == PICKS
    assert picks.height == min(budget, len(open_items))
    assert picks["item_id"].is_unique().all()
    assert set(picks["item_id"]) <= open_items
    assert picks["reason"].unique().to_list() in ([], [strategy.reason])
    assert picks["rank"].is_unique().all()
    assert picks["inclusion_probability"].is_between(0, 1, closed="right").all()
    assert picks.equals(strategy.pick(candidates, budget, seed))


@given(pools(), st.integers(0, 30), st.integers(0, 9))
@settings(max_examples=40)
def test_a_mixture_keeps_to_the_same(candidates: Candidates, budget: int, seed: int) -> None:
    choice = {"boundary_pairs": 0.4, "badge": 0.3, "random": 0.2, "typiclust": 0.1}
    picks = make_strategy(choice, 0.5).pick(candidates, budget, seed)
    assert picks.height == min(budget, len(candidates.open_rows))
    assert picks["item_id"].is_unique().all()
    assert set(picks["item_id"]) <= set(candidates.item_ids.gather(candidates.open_rows))
    assert picks.equals(make_strategy(choice, 0.5).pick(candidates, budget, seed))


@pytest.mark.parametrize("name", FILLS_THE_BUDGET)
def test_half_the_picks_are_certain_and_half_one_in_four(name: str) -> None:
    candidates = topics(60, labels=10)
    strategy = make_strategy(name, 0.5)
    picks = strategy.pick(candidates, 10, 0)
    told = picks["inclusion_probability"].to_numpy()
    if name == "random":
        assert told == pytest.approx(np.full(10, 10 / 50))
    else:
        assert told.tolist() == [1.0] * 5 + [0.25] * 5
        assert picks["rank"].to_list()[:5] == list(range(5))
        assert picks["rank"].max() < 25  # type: ignore[operator]


@pytest.mark.parametrize("name", FILLS_THE_BUDGET)
def test_vectors_are_named_where_they_are_needed(name: str) -> None:
    without = topics(40, labels=10, vectors=None, reference=None)
    if needs_vectors(name):
        with pytest.raises(ValueError, match="vectors: none given"):
            make_strategy(name, 0.5).pick(without, 5, 0)
    else:
        assert make_strategy(name, 0.5).pick(without, 5, 0).height == 5


def half_precision(vectors: NDArray[np.float32], folder: Path) -> Vectors:
    file = np.lib.format.open_memmap(folder / "v.npy", mode="w+", dtype=np.float16, shape=vectors.shape)
    file[:] = vectors
    file.flush()
    return Vectors(np.load(folder / "v.npy", mmap_mode="r"))


@pytest.mark.parametrize("name", FILLS_THE_BUDGET)
def test_vectors_may_be_mapped_and_of_half_precision(name: str, tmp_path: Path) -> None:
    candidates = topics(200, labels=20)
    rows = candidates.required_vectors(name).take(slice(None))
    mapped = replace(candidates, vectors=half_precision(rows, tmp_path))
    whole = replace(candidates, vectors=Vectors(rows.astype(np.float16).astype(np.float32)))
    assert make_strategy(name, 0.5).pick(mapped, 30, 0).equals(make_strategy(name, 0.5).pick(whole, 30, 0))


def test_unknown_names_are_refused_with_the_nearest_known() -> None:
    with pytest.raises(ValueError, match="strategy: 'typiclus' is unknown; did you mean 'typiclust'"):
        make_strategy("typiclus", 0.5)
    with pytest.raises(ValueError, match="'kcenter' is unknown; did you mean 'k_center'"):
        make_strategy({"kcenter": 0.5, "random": 0.5}, 0.5)
    with pytest.raises(ValueError, match="'zzz' is unknown; did you mean"):
        needs_vectors("zzz")
    with pytest.raises(ValueError, match=r"badge \+ random is 0.9; they must add up to 1"):
        make_strategy({"badge": 0.5, "random": 0.4}, 0.5)


def test_names_and_what_they_look_at() -> None:
    assert len(strategies()) == 15
    assert [name for name in sorted(strategies()) if not needs_vectors(name)] == [
        "boundary_pairs", "disagreement", "entropy", "margin", "random", "top_scored",
    ]  # fmt: skip
    assert [name for name in sorted(strategies()) if needs_reference(name)] == ["contention", "jest", "rho"]
    assert needs_vectors({"margin": 0.5, "badge": 0.5})
    assert not needs_vectors({"margin": 0.5, "random": 0.5})
    assert needs_reference({"margin": 0.5, "rho": 0.5})
    assert not needs_reference({"margin": 0.5, "badge": 0.5})
