import json
from pathlib import Path
from typing import Any

import pytest

from al_assets_tests.golden.golden_loop import FOLDER, large_queue, loop_figures, mixed_queue


def golden(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def test_three_iterations_give_the_same_queues_labels_and_figures(tmp_path: Path) -> None:
    found, expected = loop_figures(tmp_path), golden("loop")
    assert list(found) == list(expected)
    for iteration, tables in expected.items():
        for name in ("queue", "labels", "split"):
            assert found[iteration][name] == by_number(tables[name]), (iteration, name)
        # A figure that is new may come; none may go or change.
        known = {tuple(row[:2]) for row in tables["figures"]}
        figures = [row for row in found[iteration]["figures"] if tuple(row[:2]) in known]
        assert figures == by_number(tables["figures"]), iteration


def test_a_mixture_of_strategies_gives_the_same_queue(tmp_path: Path) -> None:
    assert mixed_queue(tmp_path) == by_number(golden("mixed_queue"))


@pytest.mark.slow
def test_a_large_pool_gives_the_same_queue(tmp_path: Path) -> None:
    assert large_queue(tmp_path) == golden("large_queue")


def by_number(rows: list[list[Any]]) -> list[list[Any]]:
    """Return rows whose numbers compare equal to those that differ by rounding alone."""
    return [[pytest.approx(value, rel=1e-8) if isinstance(value, float) else value for value in row] for row in rows]
