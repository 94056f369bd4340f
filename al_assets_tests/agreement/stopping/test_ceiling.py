import pytest

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.stopping.ceiling import BELOW, PARITY, UNDECIDED, items_until, judge_ceiling


@pytest.mark.parametrize(
    ("low", "estimate", "high", "outcome", "further"),
    [
        (-0.049, 0.0, 0.049, PARITY, 0),
        (0.01, 0.1, 0.2, PARITY, 0),
        (-0.05, 0.0, 0.05, UNDECIDED, 1),
        (-0.30, -0.2, -0.051, BELOW, 0),
        # The bound is twice as far from the estimate as the margin is: four times the items.
        (-0.10, 0.0, 0.10, UNDECIDED, 600),
        (-0.35, -0.15, 0.05, UNDECIDED, 600),
        (-0.15, -0.05, 0.05, UNDECIDED, None),
    ],
)
def test_outcomes_and_the_labels_that_would_decide(
    low: float, estimate: float, high: float, outcome: str, further: int | None
) -> None:
    found = judge_ceiling(Interval(estimate, low, high, 200), margin=0.05)
    assert (found.outcome, found.further_labels) == (outcome, further)
    assert "200 evaluation items" in found.text


def test_words_name_where_it_is_heading() -> None:
    def words(estimate: float, low: float, high: float) -> str:
        return judge_ceiling(Interval(estimate, low, high, 200), level=0.005, counted="audit items").text

    assert "99.5 % lower bound -0.10, margin -0.05, 200 audit items: undecided" in words(0.0, -0.1, 0.1)
    assert "about 600 more audit items would decide, if the difference stays" in words(0.0, -0.1, 0.1)
    assert "would decide, as below the experts, if" in words(-0.15, -0.35, 0.05)
    assert "no number of audit items" in words(-0.05, -0.15, 0.05)


def test_what_was_not_measured_has_no_outcome() -> None:
    found = judge_ceiling(Interval(None, None, None, 0, "only one label occurs"))
    assert (found.outcome, found.further_labels, found.text) == (None, None, "not measured: only one label occurs")
    assert judge_ceiling(Interval(0.2, None, None, 8, "8 groups")).outcome is None


def test_bounds_move_with_the_square_root_of_the_items() -> None:
    assert items_until(0.0, 0.1, 0.05, 100) == 400
    assert items_until(0.0, -0.1, -0.05, 100) == 400
    assert items_until(0.0, 0.1, 0.2, 100) == 25
    assert items_until(0.05, 0.1, 0.05, 100) is None
