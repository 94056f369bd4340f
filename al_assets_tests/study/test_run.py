import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from al_assets.study import StudyError
from al_assets.study.cells import cells_of
from al_assets.study.run import StudyState, read_rows_of, run_study
from al_assets.study.settings import Study
from al_assets_tests.support.processes import group, wait_until
from al_assets_tests.support.studies import small_study

FIXED = {
    "dataset", "strategy", "student", "embedding", "seed", "round", "labels", "kappa", "kappa_boundary",
    "average_precision", "positive_share", "seconds",
}  # fmt: skip


def figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what depends on the clock."""
    return [{name: value for name, value in row.items() if not name.endswith("seconds")} for row in rows]


@pytest.fixture(scope="module")
def done(study_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("done")
    study = small_study(study_folder)
    return study, folder, run_study(study, folder, jobs=1)


def test_every_cell_and_round_has_its_row(done: tuple[Study, Path, list[dict[str, Any]]]) -> None:
    _, _, rows = done
    assert all(row.keys() >= FIXED for row in rows)
    found = {(row["strategy"], row["variant"], row["seed"]) for row in rows}
    strategies = [("boundary_pairs", ""), ("random", ""), ("margin", ""), ("boundary_pairs", "no mixing filter")]
    assert found == {(*each, seed) for each in [*strategies, ("crowd", ""), ("llm0", "")] for seed in (0, 1)}
    starts = {row["seed"]: row["start_kappa"] for row in rows if row["strategy"] == "random"}
    for row in rows:
        if row["strategy"] not in ("crowd", "llm0"):
            assert (row["labels"], row["votes"]) == (40 * (row["round"] + 1), 80 * (row["round"] + 1))
            # By cross-fitting every label teaches, and all students of a seed begin from what LLM-0 taught.
            assert row["training_items"] == row["labels"]
            assert row["start_kappa"] == starts[row["seed"]] > 0
            # A linear student is its own probe; the head on the same vectors lacks the head start.
            assert row["probe_student"] == row["kappa"] != row["probe_embedding"]
    assert {row["labels"] for row in rows if row["strategy"] == "crowd"} == {50, 500}


def test_each_student_is_judged_by_the_loops_labels_and_by_the_truth(
    done: tuple[Study, Path, list[dict[str, Any]]],
) -> None:
    _, _, rows = done
    first = {row["seed"]: row["kappa"] for row in rows if row["strategy"] == "llm0"}
    judged = [row for row in rows if row["strategy"] not in ("crowd", "llm0")]
    for row in judged:
        assert row["gain_low"] is None or row["gain_low"] <= row["gain"] <= row["gain_high"]
        assert row["promoted"] in (0, 1)
        assert 0.1 < row["estimated_prevalence"] < 0.5
        if row["round"] == 0:
            # Before the first student, LLM-0 labels and is the one to take; here at the estimated prevalence.
            assert row["incumbent_kappa"] == row["recommended_kappa"] == pytest.approx(first[row["seed"]], abs=0.15)
            assert row["promoted"] == (row["gain"] >= 0)
    later = [row for row in judged if row["round"] == 1]
    assert any(row["incumbent_kappa"] != row["recommended_kappa"] for row in later)


def test_figures_are_measured_on_the_same_items_by_the_same_people(
    done: tuple[Study, Path, list[dict[str, Any]]],
) -> None:
    _, _, rows = done
    for seed in (0, 1):
        own = [row for row in rows if row["seed"] == seed]
        for name in ("expert_kappa", "expert_kappa_boundary", "crowd_kappa", "crowd_kappa_boundary", "prevalence"):
            assert len({row[name] for row in own}) == 1
    # One in eight judgements is wrong: of two raters each, experts agree better than a rater does with them.
    assert np.mean([row["expert_kappa"] for row in rows]) > 0.3


def test_labels_teach(done: tuple[Study, Path, list[dict[str, Any]]]) -> None:
    _, _, rows = done
    largest = [row["kappa"] for row in rows if row["labels"] == 500]
    smallest = [row["kappa"] for row in rows if row["strategy"] == "crowd" and row["labels"] == 50]
    assert np.mean(largest) > np.mean(smallest)
    assert np.mean(largest) > 0.4


@pytest.mark.slow
def test_nothing_is_run_twice_and_two_processes_give_the_same(
    done: tuple[Study, Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    study, folder, rows = done
    seen: list[StudyState] = []
    assert run_study(study, folder, jobs=1, progress=seen.append) == rows
    assert seen[-1].doing.startswith("0 cells to run")
    assert figures(run_study(study, tmp_path, jobs=2)) == figures(rows)


def test_a_changed_setting_runs_only_what_it_changes(
    done: tuple[Study, Path, list[dict[str, Any]]], study_folder: Path
) -> None:
    study, folder, _ = done
    more = small_study(study_folder, strategies=["boundary_pairs", "random", "margin", "top_scored"])
    assert read_rows_of(more, folder)[1] == 2
    other = small_study(study_folder, rounds=3)
    assert read_rows_of(other, folder)[1] == len(cells_of(study))


SCRIPT = """
import sys
from pathlib import Path
from al_assets.study.run import run_study
from al_assets.study.settings import load_study
if __name__ == "__main__":
    run_study(load_study(sys.argv[1]), Path(sys.argv[2]), jobs=2, progress=lambda state: print(state.done, flush=True))
"""


@pytest.mark.slow
def test_killed_and_started_again_it_gives_the_same(
    done: tuple[Study, Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    study, _, rows = done
    script, file, folder = tmp_path / "run.py", tmp_path / "study.yaml", tmp_path / "kept"
    script.write_text(SCRIPT, encoding="utf-8")
    file.write_text(json.dumps(study.model_dump(mode="json", exclude={"base_dir"})), encoding="utf-8")
    started = subprocess.Popen([sys.executable, str(script), str(file), str(folder)], start_new_session=True)
    try:
        assert wait_until(lambda: len(list(folder.glob("cells/*.json"))) >= 3, 90, every=0.05)
        with pytest.raises(StudyError, match="another run is at work"):
            run_study(study, folder, jobs=1)
    finally:
        os.kill(started.pid, signal.SIGKILL)
        started.wait()
    kept, missing = read_rows_of(study, folder)
    assert kept
    assert missing
    # Its processes end with it, at the latest when they look.
    assert wait_until(lambda: not group(started.pid), 60)
    assert figures(run_study(study, folder, jobs=1)) == figures(rows)


def test_what_failed_is_named_and_the_rest_kept(study_folder: Path, tmp_path: Path) -> None:
    study = small_study(
        study_folder,
        seeds=1,
        strategies=["boundary_pairs", "random"],
        controls={"better experts": {"panel": {"expert_kappa": 0.99}}},
    )
    with pytest.raises(
        StudyError, match=r"1 of 5 cells failed, the first words, linear, boundary_pairs, better experts"
    ):
        run_study(study, tmp_path, jobs=1)
    assert read_rows_of(study, tmp_path)[1] == 1


def test_a_data_set_that_is_too_small_is_refused(study_folder: Path, tmp_path: Path) -> None:
    datasets = small_study(study_folder).model_dump()["datasets"]
    datasets["words"] |= {"pool": 5_000}
    study = small_study(study_folder, seeds=1, datasets=datasets)
    with pytest.raises(StudyError, match=r"datasets\.words\.pool: 5000 items, but only"):
        run_study(study, tmp_path, jobs=1)
