import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_assets.study import StudyError
from al_assets.study.draw import draw_rows

TRUTH = np.random.default_rng(0).permutation(np.arange(1_000) < 300)


def test_the_two_have_the_share_asked_for_and_no_row_in_common() -> None:
    drawn = draw_rows(TRUTH, pool=500, held_out=200, prevalence=0.2, seed=3)
    rows = np.concatenate(drawn)
    assert (len(drawn[0]), len(drawn[1])) == (500, 200)
    assert len(np.unique(rows)) == 700
    assert TRUTH[rows].sum() == 140
    # Both are drawn from the thinned population: the held-out items have its share up to chance.
    shares = [TRUTH[draw_rows(TRUTH, pool=500, held_out=200, prevalence=0.2, seed=s)[1]].mean() for s in range(50)]
    assert np.mean(shares) == pytest.approx(0.2, abs=0.015)


def test_rows_depend_on_the_seed_alone() -> None:
    draws = [draw_rows(TRUTH, pool=50, held_out=20, prevalence=0.5, seed=seed) for seed in (1, 1, 2)]
    assert draws[0][0].tolist() == draws[1][0].tolist()
    assert draws[0][1].tolist() == draws[1][1].tolist()
    assert set(draws[0][0].tolist()) != set(draws[2][0].tolist())


@pytest.mark.parametrize(("pool", "held_out", "prevalence"), [(500, 200, None), (500, 200, 0.2), (37, 0, 0.05)])
def test_the_random_stream_is_that_of_the_recorded_benchmarks(
    pool: int, held_out: int, prevalence: float | None
) -> None:
    rng = np.random.default_rng((7, 11))
    if prevalence is None:
        chosen = rng.permutation(1_000)[: pool + held_out]
    else:
        positive = round(prevalence * (pool + held_out))
        yes, no = rng.permutation(np.flatnonzero(TRUTH)), rng.permutation(np.flatnonzero(~TRUTH))
        chosen = rng.permutation(np.concatenate([yes[:positive], no[: pool + held_out - positive]]))
    drawn = draw_rows(TRUTH, pool=pool, held_out=held_out, prevalence=prevalence, seed=7)
    assert drawn[0].tolist() == chosen[:pool].tolist()
    assert drawn[1].tolist() == chosen[pool:].tolist()


def test_all_that_are_left() -> None:
    natural = draw_rows(TRUTH, pool=None, held_out=100, prevalence=None, seed=0)
    assert sorted([*natural[0], *natural[1]]) == list(range(1_000))
    thinned = draw_rows(TRUTH, pool=None, held_out=100, prevalence=0.1, seed=0)
    rows = np.concatenate(thinned)
    # All 700 negatives; 78 positives are a tenth of 778.
    assert (len(rows), TRUTH[rows].sum(), len(thinned[1])) == (778, 78, 100)


@given(st.integers(0, 40), st.integers(0, 40), st.floats(0.01, 0.99))
def test_all_that_are_left_is_the_largest_draw_there_is(positives: int, negatives: int, prevalence: float) -> None:
    truth = np.arange(positives + negatives) < positives
    fitting = [
        items
        for items in range(1, positives + negatives + 1)
        if round(prevalence * items) <= positives and items - round(prevalence * items) <= negatives
    ]
    if not fitting:
        with pytest.raises(StudyError, match="pool all, held_out 0: only 0 of"):
            draw_rows(truth, pool=None, held_out=0, prevalence=prevalence, seed=0)
    else:
        assert len(draw_rows(truth, pool=None, held_out=0, prevalence=prevalence, seed=0)[0]) == max(fitting)


@pytest.mark.parametrize(
    ("pool", "held_out", "prevalence", "message"),
    [
        (
            900,
            200,
            None,
            r"pool 900, held_out 200: only 1000 of 1000 items can be had \(300 are positive, 700 negative\)",
        ),
        (600, 0, 0.9, r"pool 600, held_out 0: only 33\d of 1000 items can be had at a positive share of 0.9 .*another"),
        (None, 1_000, None, "pool all, held_out 1000: only 1000 of 1000"),
        (0, 5, None, "pool: 0 is too few; give at least 1"),
        (5, -1, None, "held_out: -1 is negative"),
        (5, 5, 1.0, "prevalence: 1.0 is out of range"),
        (5, 5, float("nan"), "prevalence: nan is out of range"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    pool: int | None, held_out: int, prevalence: float | None, message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        draw_rows(TRUTH, pool=pool, held_out=held_out, prevalence=prevalence, seed=0)
