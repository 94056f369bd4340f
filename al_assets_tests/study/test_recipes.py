from pathlib import Path

import numpy as np
import polars as pl
import pytest

from al_assets.config import EncoderStudent, HeadStart, LinearHeadStart, SFTStudent
from al_assets.models.students.head_start import head_start_sample
from al_assets.study import recipes
from al_assets.study.recipes import FineTunedRecipe, LinearRecipe, linear_scores, make_recipe
from al_assets.study.trial import Trial
from al_assets.study.workshop import Workshop
from al_assets_tests.support.studies import small_study
from al_assets_tests.support.tiny_models import write_tiny_encoder, write_tiny_model

PROMPT = "Remark: {text}\nStrongly negative?"
POOL = [
    f"{first} {second} {number}" for number in range(12) for first in ("good", "bad") for second in ("fine", "good")
]
HELD_OUT = [f"{word} fine {number}" for number in range(90, 99) for word in ("good", "bad")]
SPARE = [f"{first} good {number}" for number in range(50, 58) for first in ("good", "bad")]
BAD = np.array(["bad" in text for text in [*POOL, *SPARE]])


def test_a_linear_head_learns_from_its_rows_alone() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(200) < 0.3
    vectors = rng.standard_normal((200, 4)) + 3 * truth[:, None]
    rows = np.arange(60)
    found = linear_scores(vectors[rows], truth[:60], vectors[:150], vectors[150:])
    assert ((found.pool >= 0.5) == truth[:150]).mean() > 0.9
    assert ((found.held_out >= 0.5) == truth[150:]).mean() > 0.9


@pytest.mark.slow
def test_a_language_model_is_trained_once_and_probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SFTStudent(
        kind="sft", base_model=str(write_tiny_model(tmp_path / "model", PROMPT)), prompt=PROMPT, epochs=20,
        learning_rate=5e-3, batch_size=8, dtype="float32", head_start="none",
    )  # fmt: skip
    said: list[str] = []

    def recipe() -> FineTunedRecipe:
        return FineTunedRecipe(
            settings, [*POOL, *SPARE], (POOL, HELD_OUT), tmp_path, tmp_path / "kept", None, said.append
        )

    rows = np.arange(24)
    assert recipe().start is None
    found = recipe()(rows, BAD[:24])
    assert found.probe is not None
    held = np.array(["bad" in text for text in HELD_OUT])
    assert ((found.held_out >= 0.5) == held).all()
    assert ((found.probe.held_out >= 0.5) == held).mean() > 0.9
    assert any(line.startswith("training on 24 labels, step") for line in said)

    # What it said is kept: the same lesson in another order trains nothing.
    monkeypatch.setattr(recipes, "train_student", None)
    order = np.random.default_rng(0).permutation(rows)
    again = recipe()(order, BAD[order])
    assert np.array_equal(found.held_out, again.held_out)
    assert np.array_equal(found.pool, again.pool)


@pytest.mark.parametrize("with_llm0", [False, True])
def test_a_linear_student_begins_from_llm0_and_is_judged_on_what_it_has_not_seen(
    study_folder: Path, tmp_path: Path, with_llm0: bool
) -> None:
    study = small_study(study_folder)
    # At one strength for all: where the labels choose it, that of the student is that of its folds too.
    how = {"with_llm0": with_llm0, "head_start": LinearHeadStart(strength=1.0)}
    workshop, student = Workshop(study, tmp_path), study.students["linear"].model_copy(update=how)
    trial = Trial.draw(workshop, "words", None, 0)
    recipe = make_recipe(workshop, "words", trial, student, 0)
    assert isinstance(recipe, LinearRecipe)
    start = recipe.start
    assert start is not None
    assert np.corrcoef(start.pool, trial.first.pool)[0, 1] > 0.3
    truth = trial.panel.truth[:400].astype(np.float64)
    rows = np.concatenate([np.flatnonzero(truth)[:30], np.flatnonzero(truth == 0)[:50]])
    assert np.array_equal(recipe(rows[:30], truth[rows[:30]]).pool, start.pool)
    plain = recipe(rows, truth[rows])
    assert plain.unseen is None
    folds = np.arange(80) % 4
    found = recipe(rows, truth[rows], folds)
    assert np.array_equal(found.pool, plain.pool)
    assert np.array_equal(found.held_out, plain.held_out)
    assert found.unseen is not None
    assert set(np.flatnonzero(found.unseen != found.pool)) == set(rows)
    one = rows[folds == 1]
    without = recipe(rows[folds != 1], truth[rows[folds != 1]])
    assert np.array_equal(found.unseen[one], without.pool[one])


@pytest.mark.slow
def test_an_encoder_begins_from_llm0_which_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = EncoderStudent(
        kind="encoder", base_model=str(write_tiny_encoder(tmp_path / "model")), epochs=3, learning_rate=1e-3,
        head_learning_rate=1e-2, batch_size=8, head_start=HeadStart(items=24, epochs=20),
    )  # fmt: skip
    scored = pl.DataFrame({"item_id": [f"{row:07d}" for row in range(len(POOL))], "text": POOL})
    scored = scored.with_columns(p_positive=pl.when(pl.col("text").str.contains("bad")).then(0.8).otherwise(0.2))

    def recipe() -> FineTunedRecipe:
        sample = head_start_sample(scored, settings, 0.5, 0)
        return FineTunedRecipe(settings, POOL, (POOL, HELD_OUT), tmp_path, tmp_path / "kept", sample, lambda _: None)

    first, rows, bad = recipe(), np.arange(24), BAD[:24].astype(np.float64)
    assert first.start is not None
    held = np.array(["bad" in text for text in HELD_OUT])
    assert ((first.start.held_out >= 0.5) == held).all()
    found = first(rows, bad, rows // 4 % 2)
    assert found.probe is None
    assert found.unseen is not None
    assert set(np.flatnonzero(found.unseen != found.pool)) <= set(rows)
    assert ((found.honest[rows] >= 0.5) == BAD[:24]).mean() > 0.9

    # Another process finds all of it, head start and folds, again.
    monkeypatch.setattr(recipes, "train_student", None)
    second = recipe()
    again = second(rows, bad, rows // 4 % 2)
    assert again.unseen is not None
    assert np.array_equal(again.unseen, found.unseen)
    assert second.start is not None
    kind = second(rows[BAD[:24]], bad[BAD[:24]])
    assert np.array_equal(kind.pool, second.start.pool)
