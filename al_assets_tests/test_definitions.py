import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

import al_assets
from al_assets.assets.loop_assets import code_versions
from al_assets.config import PolicyError, load_policy
from al_assets.definitions import build
from al_assets_tests.support.small_loop import JOB_TABLES, LOOP_ASSETS, write_policy

HEAVY = (
    "torch", "transformers", "sentence_transformers", "trl", "peft", "faiss", "sklearn", "scipy",
    "matplotlib", "vllm", "model2vec",
)  # fmt: skip
TABLE_NAMES = {name for names in JOB_TABLES.values() for name in names}
LOAD = """
import json, sys, time
started = time.perf_counter()
from al_assets.definitions import defs
definitions = defs()
definitions.resolve_all_asset_specs()
json.dump({"seconds": time.perf_counter() - started, "modules": sorted(sys.modules)}, sys.stdout)
"""


def test_definitions_load_without_a_heavy_library(tmp_path: Path, small_embedder: Path) -> None:
    policy = write_policy(tmp_path, small_embedder)
    done = subprocess.run(
        [sys.executable, "-c", LOAD], env={**os.environ, "AL_POLICY": str(policy)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    sys.stderr.write(f"definitions load in {found['seconds']:.2f} s\n")
    assert [module for module in HEAVY if module in found["modules"]] == []
    assert found["seconds"] < 30


def test_a_missing_policy_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PolicyError, match=r"nowhere.yaml: no such policy file; write one with 'al init nowhere.yaml'"):
        build(str(tmp_path / "nowhere.yaml"))
    monkeypatch.delenv("AL_POLICY", raising=False)
    done = subprocess.run(
        [sys.executable, "-c", LOAD], env={k: v for k, v in os.environ.items() if k != "AL_POLICY"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "AL_POLICY: not set; point it at a policy file" in done.stderr


def test_the_graph_is_complete(tmp_path: Path, small_embedder: Path) -> None:
    definitions = build(str(write_policy(tmp_path, small_embedder)))
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    assert set(specs) >= TABLE_NAMES
    for name in TABLE_NAMES:
        partitions = specs[name].partitions_def
        assert isinstance(partitions, dg.DynamicPartitionsDefinition)
        assert partitions.name == "iteration"
        assert specs[name].owners
        assert specs[name].group_name in ("pool", "curation", "experts", "learning")
        assert specs[name].description
    for job, first, last in (("curate", "incumbent_model", "review_queue"), ("learn", "expert_labels", "kappa_report")):
        names = {key.to_user_string() for key in definitions.resolve_job_def(job).asset_layer.executable_asset_keys}
        assert {first, last, "loop_history"} <= names
    assert definitions.resolve_sensor_def("loop_sensor").minimum_interval_seconds == 30
    assert definitions.resolve_schedule_def("nightly").cron_schedule == "0 2 * * *"


def test_every_asset_claims_the_pool_that_keeps_iterations_in_order(tmp_path: Path, small_embedder: Path) -> None:
    definitions = build(str(write_policy(tmp_path, small_embedder)))
    for job in ("curate", "learn"):
        loop_nodes = [node for node in definitions.resolve_job_def(job).nodes if node.name in TABLE_NAMES]
        assert loop_nodes
        assert {pool for node in loop_nodes for pool in node.definition.pools} == {"al_loop"}


def test_code_versions_of_the_policy_template() -> None:
    template = load_policy(Path(al_assets.__file__).parent / "policy_template.yaml")
    assert code_versions(LOOP_ASSETS, template) == {
        "boundary_pairs": "2-ede99ed1da13",
        "cluster_assignments": "3-a7edd53eb28c",
        "embeddings": "1-0f0af7491148",
        "evaluation_scores": "4-2000",
        "expert_labels": "3",
        "head_start": "1-4aa114ba7693",
        "incumbent_model": "1-16c8ac2bbfb8",
        "kappa_report": "4-83927170fe05",
        "label_split": "4-701bc3ca464b",
        "overlap_map": "2",
        "pool": "1-3c048db81113",
        "pseudo_labels": "2-0.05",
        "quarantine": "1-3c048db81113",
        "regions": "1-a7edd53eb28c",
        "representation_probe": "2-7126e34a3953",
        "review_queue": "3-ede99ed1da13",
        "sft_checkpoint": "1-a750e56fd036",
    }


def test_an_edit_changes_the_code_versions_of_what_depends_on_it_and_no_other(
    tmp_path: Path, small_embedder: Path
) -> None:
    def changed(**sections: object) -> set[str]:
        after = code_versions(LOOP_ASSETS, load_policy(write_policy(tmp_path / "after", small_embedder, **sections)))  # type: ignore[arg-type]
        return {name for name in after if after[name] != before[name]}

    before = code_versions(LOOP_ASSETS, load_policy(write_policy(tmp_path / "before", small_embedder)))
    assert changed() == set()
    assert changed(embedding={"revision": "2"}) == {"embeddings"}
    assert changed(embedding={"batch_size": 7}) == set()
    assert changed(selection={"budget": 42}) == {"boundary_pairs", "review_queue"}
    assert changed(student={"seed": 1}) == {"head_start", "sft_checkpoint"}
    assert changed(student={"with_llm0": True}) == {"sft_checkpoint"}
    assert changed(split={"seed": 1}) == {"head_start", "label_split"}
    assert changed(pool={"max_characters": 99}) == {"pool", "quarantine"}
    assert changed(policy={"guideline": "Another."}) == {"head_start", "incumbent_model"}
    assert changed(storage={"root": "elsewhere"}, automation={"max_attempts": 9}) == set()
