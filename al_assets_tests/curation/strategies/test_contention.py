import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.strategies.base import Candidates, Ranked
from al_assets.curation.strategies.contention import Contention, contention

RNG = np.random.default_rng(5)
ITEMS = 200


def candidates(reference: NDArray[np.float64] | None, share: float = 0.2) -> Candidates:
    scores = np.random.default_rng(1).random(ITEMS)
    vectors = np.random.default_rng(2).standard_normal((ITEMS, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = pl.Series("item_id", [f"i{row:03d}" for row in range(ITEMS)])
    positive = scores >= np.quantile(scores, 1 - share)
    return Candidates(ids, scores, positive, Vectors.of(vectors), reference=reference)


def test_the_surest_of_opposite_labels_are_most_contested_whatever_the_scale_of_either() -> None:
    alone = candidates(None)
    order = np.argsort(alone.scores)
    reference = alone.scores.copy()
    # The lowest scored item is what the other view is surest of, and the highest what it denies most.
    reference[order[0]], reference[order[-1]] = 2.0, -1.0
    squeezed = 0.4 + 0.1 * (reference + 1) / 3
    found = contention(candidates(squeezed))
    assert set(np.argsort(-found)[:2]) == {order[0], order[-1]}
    assert (found > 0).sum() <= 4, "only the two, and those that their places pushed over the cut"


def test_agreeing_views_contest_nothing_and_the_unsure_come_first() -> None:
    found = contention(candidates(candidates(None).scores))
    assert (found <= 0).all()
    cut = np.quantile(candidates(None).scores, 0.8)
    nearest = np.argmin(np.abs(candidates(None).scores - cut))
    assert nearest in np.argsort(-found)[:3]


def test_no_opinion_contests_nothing() -> None:
    reference = 1 - candidates(None).scores
    reference[:50] = np.nan
    assert (contention(candidates(reference))[:50] == 0).all()


def test_likeness_counts_against_an_item() -> None:
    reference = 1 - candidates(None).scores
    both = candidates(reference)
    first = Contention().rank(both, 2, seed=0)
    assert both.vectors is not None
    twins = both.vectors.take(np.arange(ITEMS)).copy()
    # What was second becomes a copy of the first.
    twins[first[1]] = twins[first[0]]
    again = Contention().rank(
        Candidates(both.item_ids, both.scores, both.positive, Vectors.of(twins), reference=reference), 10, 0
    )
    assert first[1] not in again


@pytest.mark.parametrize("with_reference", [True, False])
def test_as_many_as_asked_none_twice_and_each_with_a_chance(with_reference: bool) -> None:
    asked = candidates(RNG.random(ITEMS) if with_reference else None)
    picks = Ranked(Contention(), 0.25).pick(asked, 40, seed=3)
    assert picks.height == picks["item_id"].n_unique() == 40
    assert picks["inclusion_probability"].is_between(0, 1, closed="right").all()
    assert (picks["inclusion_probability"] < 1).sum() == 10
    every = Contention().rank(asked, ITEMS + 5, seed=0)
    assert sorted(every) == list(range(ITEMS))
