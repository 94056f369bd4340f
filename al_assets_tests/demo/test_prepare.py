import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from al_assets.config import load_policy
from al_assets.demo.prepare import (
    HELD_OUT_ITEMS,
    DemoSize,
    demo_texts,
    enter_dagster_home,
    held_out_texts,
    prepare,
    write_dagster_home,
)

QUICK = DemoSize(items=50, budget=20, stop_set_size=30, student="linear", embedder="static")


def test_a_prepared_folder_holds_pool_policy_and_dagster_home(tmp_path: Path) -> None:
    demo = prepare(tmp_path / "demo", QUICK)
    policy = load_policy(demo.policy)
    assert policy.selection.budget == 20
    assert policy.stopping.stop_set_size == 30
    assert policy.student.kind == "linear"
    assert Path(policy.embedding.model).is_dir()
    rows = [json.loads(line) for line in Path(policy.resolve(policy.pool.path)).read_text().splitlines()]
    assert len(rows) == 50
    assert {"id", "text", "source"} == set(rows[0])
    assert "ratings" not in rows[0]
    settings = yaml.safe_load((demo.dagster_home / "dagster.yaml").read_text())
    assert settings["telemetry"] == {"enabled": False}
    assert settings["concurrency"]["pools"]["default_limit"] == 1


def test_the_whole_demos_policy_names_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("al_assets.demo.prepare.minilm_directory", lambda: tmp_path / "minilm")
    policy = load_policy(prepare(tmp_path / "demo", DemoSize(items=10)).policy)
    assert policy.student.kind == "encoder"
    assert policy.student.base_model == str(tmp_path / "minilm")
    assert policy.student.head_start != "none"
    assert policy.embedding.kind == "sentence_transformers"
    assert policy.embedding.model == str(tmp_path / "minilm")


def test_a_server_takes_the_lexicons_place(tmp_path: Path) -> None:
    size = replace(QUICK, labeler="http://127.0.0.1:8000/v1", model="some/model")
    labeler = load_policy(prepare(tmp_path, size).policy).labeler
    assert labeler.kind == "openai"
    assert labeler.base_url == size.labeler
    assert labeler.model == size.model


def test_preparing_again_keeps_an_edited_policy_and_writes_the_same_pool(tmp_path: Path) -> None:
    demo = prepare(tmp_path, QUICK)
    pool = (tmp_path / "pool.jsonl").read_bytes()
    demo.policy.write_text(demo.policy.read_text().replace("budget: 20", "budget: 24"))
    (demo.dagster_home / "dagster.yaml").write_text("telemetry: {enabled: true}\n")
    assert vars(prepare(tmp_path, QUICK)) == vars(demo)
    assert load_policy(demo.policy).selection.budget == 24
    assert (demo.dagster_home / "dagster.yaml").read_text() == "telemetry: {enabled: true}\n"
    assert (tmp_path / "pool.jsonl").read_bytes() == pool


def test_the_texts_depend_on_the_seed_alone() -> None:
    first, again, other = (demo_texts(DemoSize(items=50, seed=seed)) for seed in (0, 0, 1))
    assert first.equals(again)
    assert other["item_id"].to_list() != first["item_id"].to_list()


@pytest.mark.slow
def test_held_out_texts_are_none_of_the_pools_nor_like_them() -> None:
    size = DemoSize(items=2_000)
    pool, held_out = demo_texts(size), held_out_texts(size)
    assert HELD_OUT_ITEMS - 50 < held_out.height < HELD_OUT_ITEMS
    assert held_out.equals(held_out_texts(size))
    assert not set(held_out["item_id"]) & set(pool["item_id"])
    folded = {text.lower() for text in pool["text"]}
    assert not [text for text in held_out["text"] if text.lower() in folded]


def test_a_dagster_home_is_entered_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "/before")
    monkeypatch.chdir(tmp_path)
    write_dagster_home(Path("home"))
    enter_dagster_home(Path("home"))
    assert os.environ["DAGSTER_HOME"] == str(tmp_path / "home")
