from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from al_assets.config import PolicyError
from al_assets.study.settings import load_study
from al_assets_tests.support.studies import small_study


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rounds": 0}, "greater than or equal to 1"),
        ({"strategys": ["random"]}, "did you mean 'strategies'"),
        ({"default": "badge"}, "default: 'badge' is not among the strategies boundary_pairs, random, margin"),
        ({"strategies": ["random", "random"], "default": "random"}, "'random' is there twice"),
        ({"strategies": ["best"]}, "boundary_pairs"),
        ({"controls": {"nothing": {}}}, "a control changes nothing"),
        ({"controls": {"odd": {"loop": {"min_mixin": 0}}}}, "controls.odd: .*did you mean 'min_mixing'"),
        ({"controls": {"odd": {"panel": {"expert_kappa": 2}}}}, "controls.odd: expert_kappa: .*found 2"),
        ({"datasets": {"none": {"kind": "file", "labeler": {"kind": "oracle", "auc": 0.7}}}}, "a file needs a path"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=message):
        small_study(tmp_path, **changes)


def test_a_mixture_has_a_name_of_its_own(tmp_path: Path) -> None:
    half = {"half random": {"boundary_pairs": 0.5, "random": 0.5}}
    study = small_study(tmp_path, strategies=["boundary_pairs", half])
    assert study.strategy_choices == {"boundary_pairs": "boundary_pairs", "half random": half["half random"]}


def test_a_file_is_read_with_its_variables_and_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = small_study(tmp_path).model_dump(mode="json", exclude={"base_dir"})
    values["datasets"]["words"]["path"] = "${TEXTS}/texts.jsonl"
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    monkeypatch.setenv("TEXTS", "somewhere")
    study = load_study(file)
    assert study.base_dir == tmp_path
    assert study.datasets["words"].path == "somewhere/texts.jsonl"
    monkeypatch.delenv("TEXTS")
    with pytest.raises(PolicyError, match=r"datasets\.words\.path: .* needs the environment variable TEXTS"):
        load_study(file)
    with pytest.raises(PolicyError, match="no such study file"):
        load_study(tmp_path / "none.yaml")
