from pathlib import Path
from typing import Any

import numpy as np
import pytest

from al_assets.agreement.core.kappa import Floats
from al_assets.study import StudyError
from al_assets.study.settings import OracleLabeler
from al_assets.study.workshop import Workshop, model_location
from al_assets_tests.support.studies import BAD, small_study


def workshop(study_folder: Path, folder: Path, labeler: dict[str, Any]) -> Workshop:
    datasets = small_study(study_folder).model_dump()["datasets"]
    datasets["words"]["labeler"] = labeler
    return Workshop(small_study(study_folder, datasets=datasets), folder)


def first_scores(own: Workshop) -> Floats:
    labeler = own.study.datasets["words"].labeler
    assert not isinstance(labeler, OracleLabeler)
    return own.first_scores("words", labeler)


def test_what_is_shared_is_computed_once(study_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = workshop(study_folder, tmp_path, {"kind": "keywords", "positive": list(BAD)})
    said: list[str] = []
    first.prepare(said.append)
    assert any("embedding, 700 of" in line or "embedding, 6" in line for line in said)
    vectors, scores = first.vectors("words", first.embeddings[0]), first_scores(first)
    assert vectors.shape == (len(first.texts("words")), 64)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    # A keyword labeler without a vote says the expected prevalence.
    assert set(scores.tolist()) == {1.0, 0.1}

    monkeypatch.setattr("al_assets.study.workshop.embed_texts", None)
    monkeypatch.setattr("al_assets.study.workshop.score_texts", None)
    again = workshop(study_folder, tmp_path, {"kind": "keywords", "positive": list(BAD)})
    again.prepare()
    assert np.array_equal(again.vectors("words", again.embeddings[0]), vectors)
    assert np.array_equal(first_scores(again), scores)


def test_similarity_to_a_sentence_ranks(study_folder: Path, tmp_path: Path) -> None:
    own = workshop(study_folder, tmp_path, {"kind": "similarity", "sentence": " ".join(BAD)})
    scores = first_scores(own)
    bad = np.nanmean(own.texts("words").judgements, axis=1) > 0.5
    assert scores[bad].mean() > scores[~bad].mean()
    assert scores.min() >= 0
    assert scores.max() <= 1


def test_a_model_is_looked_up_beside_the_study_then_on_the_hub(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert model_location("mine", tmp_path) == str(tmp_path / "mine")
    assert model_location("some/hub-name", tmp_path) == "some/hub-name"
    with pytest.raises(
        StudyError, match=r"'demo:bert' is unknown; the demo has demo:minilm, demo:smollm2, demo:static"
    ):
        model_location("demo:bert", tmp_path)
