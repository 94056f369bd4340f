import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from al_assets.cli import app
from al_assets.study.cells import cells_of
from al_assets.study.report.page import ROWS
from al_assets.study.report.result_rows import read_rows, rows_file
from al_assets.study.settings import load_study
from al_assets_tests.support import REPOSITORY


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"```{language}\n(.*?)```", (REPOSITORY / "docs" / "study.md").read_text(encoding="utf-8"), re.DOTALL
    )


def test_a_user_can_copy_it_for_texts_of_their_own(
    study_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study file and the lines of Python in docs/study.md, on 700 texts and with a smaller embedder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(study_folder / "texts.jsonl", tmp_path)
    (written,) = blocks("yaml")
    assert len(written.splitlines()) <= 10
    small = written.replace('{model: "demo:minilm"}', f'{{kind: static, model: "{study_folder / "embedder"}"}}')
    small = small.replace("held_out: 500", "held_out: 200").replace("rounds: 4", "rounds: 2\nseeds: 2")
    assert small.count("static") == 2
    (tmp_path / "mine.yaml").write_text(small, encoding="utf-8")
    (python,) = blocks("python")
    exec(compile(python, "docs/study.md", "exec"), {"__name__": "copied"})
    rows = read_rows(tmp_path / "mine" / "report" / "rows.csv.gz")
    # Two seeds: two loops of two rounds, three sizes of the crowd (the whole pool is less than 1000: two), LLM-0.
    assert rows.height == 2 * (2 * 2 + 2 + 1)
    report = (tmp_path / "mine" / "report" / "report.md").read_text(encoding="utf-8")
    assert "boundary_pairs" in report
    assert "kind: file" in report

    printed = CliRunner().invoke(app, ["study", "report", "mine.yaml", "--folder", "mine"])
    assert printed.exit_code == 0, printed.output
    assert "report.html" in printed.output
    assert "not done" not in printed.output


@pytest.mark.parametrize("folder", sorted(path.parent for path in REPOSITORY.glob("docs/replication/*/report.md")))
def test_the_rows_of_every_published_study_are_kept_in_one_file(folder: Path) -> None:
    path = folder / ROWS
    rows = read_rows(path)
    assert rows_file(rows) == path.read_bytes()


@pytest.mark.parametrize("file", sorted((REPOSITORY / "studies").glob("*.yaml")), ids=lambda file: file.name)
def test_every_study_file_is_valid(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AL_WEBIS", "webis.jsonl")
    assert cells_of(load_study(file))


@pytest.mark.slow
def test_the_smoke_study_runs_to_its_report(tmp_path: Path) -> None:
    """``al study run studies/smoke.yaml``: real texts, real raters, a real embedder; under five minutes."""
    file = REPOSITORY / "studies" / "smoke.yaml"
    printed = CliRunner().invoke(app, ["study", "run", str(file), "--folder", str(tmp_path), "--jobs", "2"])
    assert printed.exit_code == 0, printed.output
    rows = read_rows(tmp_path / "report" / "rows.csv.gz")
    curated = rows.filter((rows["strategy"] == "boundary_pairs") & (rows["variant"] == ""))
    assert curated.height == 9
    assert curated["kappa"].null_count() == 0
    # What experts and crowd say of these texts is known: facts of the data set.
    assert 0.7 < rows["expert_kappa"].mean() < 0.85  # type: ignore[operator]
    assert 0.6 < rows["crowd_kappa"].mean() < 0.75  # type: ignore[operator]
    assert (tmp_path / "report" / "report.html").read_text(encoding="utf-8").count("<svg") > 3


def test_a_report_of_nothing_is_refused(study_folder: Path, tmp_path: Path) -> None:
    shutil.copy(study_folder / "texts.jsonl", tmp_path)
    (written,) = blocks("yaml")
    (tmp_path / "mine.yaml").write_text(written, encoding="utf-8")
    printed = CliRunner().invoke(app, ["study", "report", str(tmp_path / "mine.yaml"), "--folder", str(tmp_path / "x")])
    assert printed.exit_code == 1
