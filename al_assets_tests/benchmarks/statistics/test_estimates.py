import pytest

from al_assets.agreement.core.bootstrap import Interval
from benchmarks.statistics.estimates import Estimates


def test_bias_and_coverage_are_those_of_the_samples_own_truths() -> None:
    found = Estimates()
    for truth, estimate in ((0.5, 0.6), (0.7, 0.6), (0.6, 0.75)):
        found.add("kappa", truth, Interval(estimate, estimate - 0.1, estimate + 0.1, 10))
    found.add("kappa", 0.6, Interval(0.6, None, None, 10, "too few"))
    found.add_estimate("mean", 0.5, 0.4)
    found.add("nothing", 0.5, Interval(None, None, None, 10))
    kappa, mean = found.cells("here")
    assert (kappa.figure, kappa.setting, kappa.samples) == ("kappa", "here", 4)
    assert kappa.truth == pytest.approx(0.6)
    assert kappa.bias == pytest.approx(0.0375)
    assert kappa.coverage == pytest.approx(2 / 3)
    assert kappa.above == pytest.approx(1 / 3)
    assert kappa.below == 0
    assert kappa.given == 0.75
    assert kappa.half_width == pytest.approx(0.1)
    assert mean.coverage is None
    assert mean.bias == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("error", "held", "faults"),
    [(0.0, 0.95, 0), (0.05, 0.95, 1), (0.0, 0.8, 1), (0.05, 0.8, 2), (0.0, 1.0, 1), (0.009, 0.95, 0)],
)
def test_what_misses_a_target_by_more_than_two_errors_is_a_fault(error: float, held: float, faults: int) -> None:
    found = Estimates()
    for number in range(400):
        noise = 0.01 if number % 2 else -0.01
        middle = 0.5 + error + noise
        reach = 0.2 if number < held * 400 else 0.0
        found.add("kappa", 0.5, Interval(middle, middle - reach, middle + reach, 10))
    (cell,) = found.cells("here")
    assert len(cell.faults) == faults
