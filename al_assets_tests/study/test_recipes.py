from pathlib import Path

import numpy as np
import pytest

from al_assets.config import SFTStudent
from al_assets.study import recipes
from al_assets.study.recipes import SFTRecipe, linear_scores
from al_assets_tests.support.tiny_models import write_tiny_model

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
        learning_rate=5e-3, batch_size=8, dtype="float32",
    )  # fmt: skip
    said: list[str] = []

    def recipe() -> SFTRecipe:
        return SFTRecipe(settings, [*POOL, *SPARE], (POOL, HELD_OUT), tmp_path, tmp_path / "kept", said.append)

    rows = np.arange(24)
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
