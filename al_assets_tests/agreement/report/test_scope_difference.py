import numpy as np
import pytest

from al_assets.agreement.core.kappa import cohen_kappa
from al_assets.agreement.report.scope_difference import ScopeFigures, kappa_at, why_scopes_differ

POOL = ScopeFigures(kappa=0.45, prevalence=0.05, expert_kappa=0.8, precision=0.48, recall=0.48)


def test_prevalence_raises_and_difficulty_lowers_kappa() -> None:
    boundary = ScopeFigures(kappa=0.31, prevalence=0.42, expert_kappa=0.55)
    expected = kappa_at(POOL, 0.42)
    assert expected is not None
    found = why_scopes_differ(boundary, POOL)
    assert found == (
        "The model agrees with the experts with kappa 0.31 on boundary items and 0.45 in the whole pool: "
        "42% of them are positive against 5% of the pool, which at equal error rates raises kappa by "
        f"{expected - 0.45:.2f}, and being chosen for their difficulty lowers it by {expected - 0.31:.2f} "
        "(the experts themselves agree with kappa 0.55 there and 0.80 in the pool)."
    )


def test_kappa_at_another_prevalence_is_that_of_labels_with_the_same_error_rates() -> None:
    generator = np.random.default_rng(0)
    size, recall, false_alarm = 400_000, 0.6, 0.03

    def labels(prevalence: float) -> tuple[np.ndarray, np.ndarray]:
        truth = generator.random(size) < prevalence
        return truth.astype(float), (generator.random(size) < np.where(truth, recall, false_alarm)).astype(float)

    truth, model = labels(0.05)
    pool = ScopeFigures(cohen_kappa(model, truth), 0.05, None, float(truth[model == 1].mean()), recall)
    assert kappa_at(pool, 0.05) == pytest.approx(pool.kappa, abs=0.01)
    other, called = labels(0.4)
    assert kappa_at(pool, 0.4) == pytest.approx(cohen_kappa(called, other), abs=0.01)


def test_items_that_are_no_harder_are_not_called_so() -> None:
    same = kappa_at(POOL, 0.05)
    assert same is not None
    found = why_scopes_differ(ScopeFigures(same, 0.05), ScopeFigures(same, 0.05, None, 0.48, 0.48))
    assert "changes kappa by less than 0.02" in found
    assert "no harder for the model than the pool (+0.00)" in found
    assert "experts themselves" not in found


@pytest.mark.parametrize(
    ("boundary", "population", "missing"),
    [
        (ScopeFigures(None, 0.4), POOL, "for boundary."),
        (ScopeFigures(0.3, 0.4), ScopeFigures(None, 0.05), "for population."),
        (ScopeFigures(None, None), ScopeFigures(None, None), "for boundary and population."),
    ],
)
def test_what_is_undefined_is_named(boundary: ScopeFigures, population: ScopeFigures, missing: str) -> None:
    assert why_scopes_differ(boundary, population).endswith(missing)


def test_without_precision_nothing_is_attributed() -> None:
    found = why_scopes_differ(ScopeFigures(0.3, 0.4), ScopeFigures(0.5, 0.05, recall=0.5))
    assert "kappa 0.30 on boundary items and 0.50 in the whole pool" in found
    assert "error rates" not in found
