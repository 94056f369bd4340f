import json
import subprocess
import sys
from pathlib import Path

import pytest

from al_assets_tests.support import REPOSITORY
from al_assets_tests.support.studies import small_study
from al_assets_tests.support.tiny_models import write_tiny_model

PROMPT = "Remark: {text}\nStrongly negative?"


@pytest.mark.slow
def test_language_models_learn_from_the_labels_of_a_loop_and_what_is_done_is_kept(
    study_folder: Path, tmp_path: Path
) -> None:
    settings = small_study(study_folder, seeds=1, strategies=["boundary_pairs", "random"]).model_dump(mode="json")
    model = str(write_tiny_model(tmp_path / "model", PROMPT))
    del settings["base_dir"]
    settings["students"]["tiny"] = {
        "kind": "sft", "base_model": model, "prompt": PROMPT, "epochs": 2, "dtype": "float32", "head_start": "none",
    }  # fmt: skip
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(settings), encoding="utf-8")

    def run() -> str:
        script = str(REPOSITORY / "studies" / "fine_tuned_llm.py")
        command = [sys.executable, script, str(file), "--folder", str(tmp_path / "run")]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, timeout=300).stdout

    lines = run().splitlines()[-3:]
    rows = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "run" / "rows").iterdir()}
    assert set(rows) == {"tiny-no labels-0", "tiny-boundary_pairs-0", "tiny-random-0"}
    before, curated, uniform = rows["tiny-no labels-0"], rows["tiny-boundary_pairs-0"], rows["tiny-random-0"]
    # Two rounds of 40 labels; ties of the two experts teach too.
    assert (before["labels"], curated["labels"], uniform["labels"]) == (0, 80, 80)
    assert curated["positive_share"] > uniform["positive_share"]
    assert len({row["average_precision"] for row in rows.values()}) == 3
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "rows").iterdir()}
    assert run().splitlines()[-3:] == lines
    assert made == {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "rows").iterdir()}
