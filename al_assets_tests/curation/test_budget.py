import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_assets.curation.budget import Budget, divide_budget, largest_remainder

SHARES = (0.6, 0.25, 0.15)


@given(st.integers(0, 500), st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_a_budget_is_divided_whole(budget: int, weights: list[int]) -> None:
    shares = [weight / sum(weights) for weight in weights]
    parts = largest_remainder(budget, shares)
    assert sum(parts) == budget
    assert all(abs(part - share * budget) < 1 for part, share in zip(parts, shares, strict=True))


def test_largest_remainders() -> None:
    assert largest_remainder(10, [0.55, 0.25, 0.2]) == [6, 2, 2]
    assert largest_remainder(30, [0.1, 0.9]) == [3, 27]
    assert largest_remainder(1, [0.3, 0.3, 0.4]) == [0, 0, 1]


@pytest.mark.parametrize(
    ("budget", "shares", "divided"),
    [
        (120, SHARES, Budget(boundary=72, audit=30, control=18)),
        (10, SHARES, Budget(boundary=6, audit=3, control=1)),
        (0, SHARES, Budget(boundary=0, audit=0, control=0)),
        (7, (1, 0, 0), Budget(boundary=7, audit=0, control=0)),
    ],
)
def test_budget_is_divided(budget: int, shares: tuple[float, float, float], divided: Budget) -> None:
    assert divide_budget(budget, shares) == divided


@pytest.mark.parametrize(
    ("budget", "shares", "message"),
    [
        (10, (0.5, 0.5, 0.5), "they must add up to 1"),
        (10, (1.5, -0.5, 0.0), "shares.boundary: 1.5 is not a share"),
        (-1, SHARES, "budget: -1 is too small"),
    ],
)
def test_wrong_budgets(budget: int, shares: tuple[float, float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        divide_budget(budget, shares)
