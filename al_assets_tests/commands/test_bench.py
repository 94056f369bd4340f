import json
from typing import Any

import pytest

from al_assets_tests.commands.running import al


@pytest.mark.slow
def test_the_panel_of_agreement_is_faster_than_a_loop() -> None:
    arguments = ("bench", "agreement", "--items", "200", "--raters", "3", "--resamples", "200")
    found: dict[str, Any] = json.loads(al(*arguments, "--json"))
    assert found["ratio"] == pytest.approx(found["loop_seconds"] / found["seconds"])
    assert found["ratio"] > 1
    assert found["largest_difference"] < 1e-12
    assert "ratio" in al(*arguments)


@pytest.mark.slow
def test_coverage_names_the_cells_outside() -> None:
    found = json.loads(al("bench", "coverage", "--quick", "--json"))
    assert {"n", "prevalence", "kappa", "coverage"} <= set(found["cells"][0])
    assert {"largest_bias", "coverage"} <= set(found["audit"])
    shown = al("bench", "coverage", "--quick")
    assert f"{found['summary']['accepted']} of {found['summary']['judged']} cells" in shown


@pytest.mark.slow
def test_stopping_counts_every_loop() -> None:
    found = json.loads(al("bench", "stopping", "--replicates", "1", "--json"))
    assert found["replicates"] == 1
    for each in found["outcomes"]:
        assert each["right"] + each["early"] + each["late"] + each["never"] == pytest.approx(1)
    assert "Right / early / late / never" in al("bench", "stopping", "--replicates", "1")
