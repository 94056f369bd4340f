import numpy as np
import pytest
from scipy import stats
from sklearn.isotonic import IsotonicRegression
from statsmodels.stats.multitest import multipletests

from al_assets.study.report.seed_statistics import (
    bootstrap_ends,
    drawn_means,
    first_crossing,
    holm,
    isotonic,
    mean_over_seeds,
    seed_draws,
)

NAN = float("nan")


def test_mean_and_p_are_those_of_the_t_test() -> None:
    values = np.array([0.02, 0.05, -0.01, 0.04, NAN])
    found = mean_over_seeds(values)
    expected = stats.ttest_1samp(values[:4], 0)
    low, high = expected.confidence_interval()
    assert found.seeds == 4
    assert (found.mean, found.low, found.high, found.p) == pytest.approx((0.025, low, high, expected.pvalue))
    assert found.side == "no"


@pytest.mark.parametrize(("values", "mean"), [([0.3], 0.3), ([0.3, NAN], 0.3), ([NAN], None), ([], None)])
def test_one_seed_has_no_interval(values: list[float], mean: float | None) -> None:
    found = mean_over_seeds(np.array(values))
    assert (found.mean, found.low, found.high, found.p, found.side) == (mean, None, None, None, "unknown")


def test_equal_seeds_have_an_interval_of_no_width() -> None:
    assert mean_over_seeds(np.full(3, 0.5)).side == "above"
    assert mean_over_seeds(np.zeros(3)).p == 1


def test_holm_is_that_of_statsmodels() -> None:
    p_values = [0.01, 0.04, 0.03, 0.005, 0.9]
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))
    assert holm([0.5, None, 0.01]) == [0.5, None, 0.02]


def test_draws_begin_with_the_seeds_themselves_and_are_the_same_again() -> None:
    draws = seed_draws(4, seed=3)
    assert draws[0].tolist() == [1, 1, 1, 1]
    assert (draws.sum(axis=1) == 4).all()
    assert (draws == seed_draws(4, seed=3)).all()
    assert (draws != seed_draws(4, seed=4)).any()


def test_means_over_drawn_seeds_leave_out_what_is_missing() -> None:
    values = np.array([[1.0, NAN], [3.0, 5.0]])
    means = drawn_means(values, np.array([[1.0, 1.0], [2.0, 0.0], [1.0, 3.0]]))
    np.testing.assert_array_equal(means, [[2, 5], [1, NAN], [2.5, 5]])


def test_bootstrap_of_a_mean_covers_it() -> None:
    generator = np.random.default_rng(0)
    draws = seed_draws(6)
    inside = []
    for _ in range(300):
        ends = bootstrap_ends(drawn_means(generator.standard_normal((6, 1)), draws)[1:, 0], 6)
        assert ends is not None
        inside.append(ends[0] <= 0 <= ends[1])
    # The plain percentile interval covers .86 here.
    assert np.mean(inside) > 0.90


def test_ends_may_be_infinite_and_are_none_for_few_seeds_or_undefined_figures() -> None:
    replicates = np.concatenate([np.full(1000, 5.0), np.full(1000, np.inf)])
    assert bootstrap_ends(replicates, 10) == (5, np.inf)
    assert bootstrap_ends(replicates, 2) is None
    assert bootstrap_ends(np.concatenate([replicates, np.full(300, NAN)]), 10) is None


@pytest.mark.parametrize(
    ("level", "expected"), [(0.25, 150), (0.2, 100), (0.1, 100), (0.4, 300), (0.41, np.inf), (0.3, 200)]
)
def test_crossings_are_linear_between_points(level: float, expected: float) -> None:
    x, y = np.array([[100.0, 200, 300]]), np.array([[0.2, 0.3, 0.4]])
    assert first_crossing(x, y, np.array([level]))[0] == pytest.approx(expected)


def test_the_first_of_several_crossings_counts_and_nothing_is_made_of_nan() -> None:
    x, y = np.array([[1.0, 2, 3, 4]] * 2), np.array([[0.0, 2, 0, 2], [0, NAN, 1, 2]])
    assert first_crossing(x, y, np.array([1.0, 1.0])).tolist() == pytest.approx([1.5, NAN], nan_ok=True)


def test_isotonic_curves_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    y, weights = generator.random((20, 6)), generator.integers(1, 4, (20, 6)).astype(float)
    expected = [
        IsotonicRegression().fit(range(6), row, own).predict(range(6)) for row, own in zip(y, weights, strict=True)
    ]
    np.testing.assert_allclose(isotonic(y, weights), expected)
