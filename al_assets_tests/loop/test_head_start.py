from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml

from al_assets.partitions import Job
from al_assets_tests.support.small_loop import MakeLoop, SmallLoop, failure

pytestmark = pytest.mark.slow

KEYS = ("0000", "0001")


def live(loop: SmallLoop, key: str, *, answers: Any = None) -> dg.ExecuteInProcessResult:
    """Curate an iteration, let the experts answer, and learn; return the last run."""
    curate = loop.run(Job.CURATE, key)
    assert curate.success, failure(curate)
    loop.answer(key, answers)
    learn = loop.run(Job.LEARN, key)
    assert learn.success, failure(learn)
    return learn


def metadata(done: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (made,) = done.asset_materializations_for_node(asset)
    return {name: value.value for name, value in made.metadata.items()}


def stale(loop: SmallLoop) -> dict[tuple[str, str], str]:
    """Return why each asset of an iteration is out of date by the mart as it was last made."""
    mart = pl.read_parquet(loop.root.table_path("staleness").path).filter("out_of_date")
    return {(each["asset"], each["iteration"]): each["reason"] for each in mart.to_dicts()}


def edited(loop: SmallLoop, **sections: Any) -> SmallLoop:
    """Edit the policy, reload the code location and look at what is out of date."""
    content = yaml.safe_load(loop.policy_file.read_text(encoding="utf-8"))
    loop.policy_file.write_text(yaml.safe_dump({**content, **sections}), encoding="utf-8")
    changed = SmallLoop(loop.policy_file, loop.instance, loop.texts)
    keys = [dg.AssetKey(name) for name in ("materializations", "dependencies", "staleness")]
    whole = changed.definitions.resolve_implicit_global_asset_job_def()
    done = whole.execute_in_process(instance=loop.instance, asset_selection=keys, raise_on_error=False)
    assert done.success, failure(done)
    return changed


def test_one_head_start_serves_every_iteration_until_llm0_changes(make_loop: MakeLoop) -> None:
    loop = make_loop()
    first = metadata(live(loop, "0000"), "head_start")
    row = loop.root.read_table("head_start", "0000").row(0, named=True)
    files = {file: file.stat().st_mtime_ns for file in Path(row["uri"]).rglob("*")}
    assert {file.name for file in files} == {"llm0.json", "student.json", "weights.npz"}
    pool = loop.root.read_table("pool", "0000")
    assert row["training_items"] == first["training_items"] == pool["duplicate_of"].null_count()
    assert (row["left_out"], row["llm0"]) == (0, loop.root.read_table("incumbent_model", "0000")["fingerprint"][0])
    # It follows LLM-0, and both are held against what the experts said.
    assert 0.2 < first["kappa_with_llm0"] <= 1
    assert first["kappa_with_llm0_items"] == row["training_items"]
    assert first["first_round_labels"] == loop.root.read_table("label_split", "0000")["label"].drop_nulls().len()
    assert -1 <= first["head_start_kappa_with_first_round"] <= 1
    assert -1 <= first["llm0_kappa_with_first_round"] <= 1

    second = metadata(live(loop, "0001"), "head_start")
    assert loop.root.read_table("head_start", "0001").equals(loop.root.read_table("head_start", "0000"))
    assert {file: file.stat().st_mtime_ns for file in Path(row["uri"]).rglob("*")} == files
    assert {name: second[name] for name in first if "kappa" in name} == {
        name: value for name, value in first.items() if "kappa" in name
    }
    for key in KEYS:
        assert loop.root.read_table("sft_checkpoint", key)["head_start"].to_list() == [row["fingerprint"]]
    assert stale(loop) == {}

    words = {"kind": "keywords", "positive": ["hate", "worst", "bad"], "negative": ["great", "love"]}
    edited(loop, labeler=words)
    found = stale(loop)
    for key in KEYS:
        assert found["head_start", key].startswith("settings changed")
        assert "head_start" in found["sft_checkpoint", key]
        assert ("kappa_report", key) in found


def test_a_round_with_labels_of_one_kind_ends_in_a_report(make_loop: MakeLoop) -> None:
    loop = make_loop()
    # Some are ties of the two who answer an item: no label is positive, and the experts can still be compared.
    votes = {item: (1, 0, 0) if place % 3 == 0 else (0, 0, 0) for place, item in enumerate(loop.votes())}
    learn = live(loop, "0000", answers=votes)
    head_start = loop.root.read_table("head_start", "0000").row(0, named=True)
    checkpoint = loop.root.read_table("sft_checkpoint", "0000").row(0, named=True)
    assert checkpoint["fingerprint"] == checkpoint["head_start"] == head_start["fingerprint"]
    assert checkpoint["note"].endswith("the student is the one that LLM-0 taught")
    assert metadata(learn, "sft_checkpoint")["note"] == checkpoint["note"]
    assert (checkpoint["training_items"], checkpoint["positive_items"]) == (0, 0)
    assert loop.root.has_table("kappa_report", "0000")
    assert loop.run(Job.CURATE, "0001").success


def test_without_a_head_start_students_begin_from_the_base_model(make_loop: MakeLoop, small_embedder: Path) -> None:
    static = {"kind": "static", "model": str(small_embedder)}
    loop = make_loop(student={"kind": "linear", "embedding": static, "head_start": "none"})
    done = live(loop, "0000")
    assert loop.root.read_table("head_start", "0000").is_empty()
    assert "all begin from the base model" in metadata(done, "head_start")["none"]
    assert loop.root.read_table("sft_checkpoint", "0000")["head_start"].to_list() == [None]
    assert "head_start" not in metadata(done, "sft_checkpoint")
    assert stale(loop) == {}


def test_a_student_may_go_on_asking_llm0(make_loop: MakeLoop, small_embedder: Path) -> None:
    static = {"kind": "static", "model": str(small_embedder)}
    loop = make_loop(student={"kind": "linear", "embedding": static, "with_llm0": True})
    for key in KEYS:
        live(loop, key)
    scores = loop.root.read_table("evaluation_scores", "0001")
    assert scores["p_student"].is_between(0, 1).all()
    assert stale(loop) == {}
