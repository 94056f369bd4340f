import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from al_assets_tests.support import REPOSITORY
from al_assets_tests.support.studies import small_study
from al_assets_tests.support.tiny_models import write_tiny_model

DATASET, PROMPT = "words", "Remark: {text}\nStrongly negative?"


@pytest.mark.slow
def test_language_models_learn_from_the_labels_of_a_loop_and_what_is_done_is_kept(
    study_folder: Path, tmp_path: Path
) -> None:
    settings = small_study(study_folder, seeds=1, strategies=["boundary_pairs", "random"]).model_dump(mode="json")
    model = str(write_tiny_model(tmp_path / "model", PROMPT))
    del settings["base_dir"]
    tiny = {"kind": "sft", "base_model": model, "prompt": PROMPT, "epochs": 2, "dtype": "float32"}
    settings["students"]["tiny"] = tiny | {"head_start": "none"}
    settings["students"]["taught"] = tiny | {"head_start": {"items": 60, "epochs": 1}}
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(settings), encoding="utf-8")

    def run() -> str:
        script = str(REPOSITORY / "studies" / "fine_tuned_llm.py")
        command = [sys.executable, script, str(file), "--folder", str(tmp_path / "run")]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, timeout=300).stdout

    printed = run()
    folder = tmp_path / "run" / "said"
    said = {path.stem: dict(np.load(path)) for path in folder.iterdir()}
    # Two rounds of 40 labels; ties of the two experts teach too.
    assert {name: int(each["labels"]) for name, each in said.items()} == {
        f"{DATASET}-{student}-{strategy}-0": labels
        for student in ("tiny", "taught")
        for strategy, labels in (("no labels", 0), ("boundary_pairs", 80), ("random", 80))
    }
    assert all(each["held_out"].shape == (200,) and each["pool"].shape == (400,) for each in said.values())
    assert len({each["held_out"].tobytes() for each in said.values()}) == 6
    for line in (
        f"{DATASET}, seed 0: LLM-0: 0 labels",
        f"{DATASET}, seed 0: tiny, random: 80 labels",
        f"{DATASET}, seed 0: taught, no labels: 0 labels",
        "tiny, random minus tiny, boundary_pairs: ",
    ):
        assert line in printed
    # Differences among seven models. The head start is trained once, and a second run asks nobody again.
    assert printed.count(" minus ") == 21
    assert len(list((tmp_path / "run" / "cache" / "students").glob("start-*"))) == 1
    made = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert run().endswith(printed[printed.index(f"{DATASET}, seed 0: LLM-0") :])
    assert made == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
