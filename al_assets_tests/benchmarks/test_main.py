import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app


def benchmark(*arguments: str) -> str:
    """Run a benchmark that must succeed, and return what it prints."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_the_panel_of_agreement_is_faster_than_a_loop() -> None:
    arguments = ("agreement", "--items", "200", "--raters", "3", "--resamples", "200")
    cases: list[dict[str, Any]] = json.loads(benchmark(*arguments, "--json"))
    assert cases
    for found in cases:
        assert found["ratio"] == pytest.approx(found["loop_seconds"] / found["seconds"])
        assert found["ratio"] > 1
        assert found["largest_difference"] < 1e-12
    assert "ratio" in benchmark(*arguments)


@pytest.mark.slow
def test_coverage_names_the_cells_outside() -> None:
    found = json.loads(benchmark("coverage", "--quick", "--json"))
    assert {"n", "prevalence", "kappa", "coverage"} <= set(found["cells"][0])
    assert {"largest_bias", "coverage"} <= set(found["audit"])
    shown = benchmark("coverage", "--quick")
    assert f"{found['summary']['accepted']} of {found['summary']['judged']} cells" in shown


@pytest.mark.slow
def test_stopping_counts_every_loop() -> None:
    found = json.loads(benchmark("stopping", "--replicates", "1", "--json"))
    assert found["replicates"] == 1
    for each in found["outcomes"]:
        assert each["right"] + each["early"] + each["late"] + each["never"] == pytest.approx(1)
    assert "Right / early / late / never" in benchmark("stopping", "--replicates", "1")


@pytest.mark.slow
def test_selection_adds_up_its_stages() -> None:
    found = json.loads(benchmark("selection", "--n", "4000", "--dim", "64", "--json"))
    assert sum(found["stages"].values()) == pytest.approx(found["cpu_s"])
    assert found["ratio"] == pytest.approx(found["cpu_s"] / found["floor_cpu_s"])
    assert found["recall_at_10"] == 1
    assert set(found["quality"]) == {"band_share", "topics_covered", "topics", "mislabelled_share", "positive_share"}
    shown = benchmark("selection", "--n", "4000", "--dim", "64")
    assert "ratio" in shown
    assert "neighbours and mixing" in shown


@pytest.mark.slow
def test_rivals_are_asked_on_real_vectors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.savez(tmp_path / "own.npz", vectors=vectors, truth=vectors[:, 0] > 0.4, scores=rng.random(200))
    two = ("--system", "al_assets:boundary_pairs", "--system", "modAL:margin_sampling")
    found = json.loads(benchmark("selection", "--rivals", "--real", str(tmp_path / "own.npz"), *two, "--json"))
    assert [(each["system"], each["pool"], each["stopped"]) for each in found] == [
        ("al_assets", "own", False),
        ("modAL", "own", False),
    ]
    assert all(each["quality"]["topics"] >= 0 and each["picked"] == each["budget"] for each in found)
