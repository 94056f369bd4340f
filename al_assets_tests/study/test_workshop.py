import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from al_assets.cli import app
from al_assets.study import StudyError
from al_assets.study.settings import load_study
from al_assets.study.workshop import Workshop, model_location
from al_assets_tests.support.studies import BAD, small_study


def workshop(study_folder: Path, folder: Path, labeler: dict[str, Any]) -> Workshop:
    datasets = small_study(study_folder).model_dump()["datasets"]
    datasets["words"]["labeler"] = labeler
    return Workshop(small_study(study_folder, datasets=datasets), folder)


def test_what_is_shared_is_computed_once(study_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = workshop(study_folder, tmp_path, {"kind": "keywords", "positive": list(BAD)})
    said: list[str] = []
    first.prepare(said.append)
    assert any("embedding, 700 of" in line or "embedding, 6" in line for line in said)
    vectors, scores = first.vectors("words", first.embeddings[0]), first.first_scores("words")
    assert vectors.shape == (len(first.texts("words")), 64)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    # A keyword labeler without a vote says the expected prevalence.
    assert set(scores.tolist()) == {1.0, 0.1}

    monkeypatch.setattr("al_assets.study.workshop.embed_texts", None)
    monkeypatch.setattr("al_assets.study.workshop.score_texts", None)
    again = workshop(study_folder, tmp_path, {"kind": "keywords", "positive": list(BAD)})
    again.prepare()
    assert np.array_equal(again.vectors("words", again.embeddings[0]), vectors)
    assert np.array_equal(again.first_scores("words"), scores)


def test_similarity_to_a_sentence_ranks(study_folder: Path, tmp_path: Path) -> None:
    own = workshop(study_folder, tmp_path, {"kind": "similarity", "sentence": " ".join(BAD)})
    scores = own.first_scores("words")
    bad = np.nanmean(own.texts("words").judgements, axis=1) > 0.5
    assert scores[bad].mean() > scores[~bad].mean()
    assert scores.min() >= 0
    assert scores.max() <= 1


def study_with_scores(study_folder: Path, folder: Path, **changes: Any) -> Path:
    """Write a study file whose LLM-0 is to be asked once."""
    settings = small_study(study_folder).model_dump(mode="json", exclude={"base_dir"})
    labeler = {"kind": "keywords", "positive": list(BAD)}
    settings["datasets"]["words"] |= {"labeler": labeler, "scores": "llm0.parquet", **changes}
    file = folder / "study.yaml"
    file.write_text(json.dumps(settings), encoding="utf-8")
    return file


def test_llm0_is_asked_once_and_its_scores_are_kept_with_what_it_was_asked(
    study_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = study_with_scores(study_folder, tmp_path)
    command = ["study", "scores", str(file), "--source", "the words of a test", "--folder", str(tmp_path / "asked")]
    asked = Workshop(load_study(file), tmp_path / "asked")
    scores, before = asked.first_scores("words"), asked.inputs("words")
    printed = CliRunner().invoke(app, command)
    assert printed.exit_code == 0, printed.output
    assert printed.output.split() == [str(tmp_path / "llm0.parquet")]

    monkeypatch.setattr("al_assets.study.workshop.score_texts", None)
    kept = Workshop(load_study(file), tmp_path / "kept")
    assert np.array_equal(kept.first_scores("words"), np.float32(scores))
    assert kept.inputs("words") != before
    about, rows = pl.read_parquet_metadata(tmp_path / "llm0.parquet"), pl.read_parquet(tmp_path / "llm0.parquet")
    assert about["source"] == "the words of a test"
    assert json.loads(about["asked"])["positive"] == list(BAD)
    assert (rows.columns, tuple(rows["id"])) == (["id", "p_positive"], kept.texts("words").item_ids)

    again = CliRunner().invoke(app, command)
    assert again.exit_code == 1
    assert "delete one to ask again" in again.output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"question": "Is it blue?"},
            r"datasets.words: question is 'Is it blue\?', but .*llm0.parquet was made with 'Does",
        ),
        (
            {"labeler": {"kind": "keywords", "positive": ["other"]}},
            r"positive is \['other'\], but .* was made with \['",
        ),
        (
            {"labeler": {"kind": "similarity", "sentence": "bad"}},
            r"kind is 'similarity', but .* was made with 'keywords'",
        ),
        (
            {"near_duplicate_similarity": 0.31},
            r"datasets.words.scores: .*llm0.parquet is of other texts; delete it and",
        ),
    ],
)
def test_kept_scores_are_not_taken_for_those_of_something_else(
    study_folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    Workshop(load_study(study_with_scores(study_folder, tmp_path)), tmp_path / "asked").write_scores("words", "a test")
    other = Workshop(load_study(study_with_scores(study_folder, tmp_path, **changes)), tmp_path / "other")
    with pytest.raises(StudyError, match=message):
        other.first_scores("words")


def test_an_llm_asked_something_else_is_asked_again(study_folder: Path, tmp_path: Path) -> None:
    def asked(question: str) -> list[str]:
        study = load_study(study_with_scores(study_folder, tmp_path, question=question))
        said: list[str] = []
        Workshop(study, tmp_path / "run").first_scores("words", said.append)
        return said

    assert asked("Is it bad?")
    assert asked("Is it bad?") == []
    assert asked("Is it blue?")


def test_a_model_is_looked_up_beside_the_study_then_on_the_hub(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert model_location("mine", tmp_path) == str(tmp_path / "mine")
    assert model_location("some/hub-name", tmp_path) == "some/hub-name"
    with pytest.raises(
        StudyError, match=r"'demo:bert' is unknown; the demo has demo:minilm, demo:smollm2, demo:static"
    ):
        model_location("demo:bert", tmp_path)
