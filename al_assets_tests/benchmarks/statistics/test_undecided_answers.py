import pytest

from benchmarks.statistics.undecided_answers import undecided_answers


def test_decisive_votes_flatter_and_the_bounds_hold_the_truth() -> None:
    cells = undecided_answers(samples=30, seed=0)
    assert [(cell.figure, cell.raters) for cell in cells] == [
        ("expert_expert_kappa", 2), ("model_expert_kappa", 2), ("expert_expert_kappa", 3), ("model_expert_kappa", 3),
    ]  # fmt: skip
    for cell in cells:
        assert cell.undecided == pytest.approx(0.075, abs=0.01)
        assert cell.decisive > cell.truth + 0.05
        assert cell.worst < cell.truth < cell.best
        assert cell.held > 0.9
