from collections import Counter
from functools import partial
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from al_assets.agreement.stopping.conclusion import conclusion_of
from al_assets.assets.probe import representation_probe
from al_assets.models.incumbent import Incumbent, successor
from al_assets.partitions import Job
from al_assets.report.iteration_tables import read_tables
from al_assets.storage.root import data_version
from al_assets.tables import TABLES
from al_assets_tests.support.loop_journal import Journal
from al_assets_tests.support.small_loop import JOB_TABLES, MakeLoop, SmallLoop, failure

pytestmark = pytest.mark.slow

KEYS = ("0000", "0001")


def test_every_table_is_there_for_both_iterations_and_as_declared(journal: Journal) -> None:
    for name in (*JOB_TABLES[Job.CURATE], *JOB_TABLES[Job.LEARN]):
        assert journal.loop.root.table_keys(name) == list(KEYS)
        for key in KEYS:
            TABLES[name].check(journal.loop.root.read_table(name, key))


def test_each_round_asks_for_new_items_by_the_policys_shares(journal: Journal) -> None:
    first, second = (journal.loop.queue(key) for key in KEYS)
    assert set(first["item_id"]).isdisjoint(second["item_id"])
    for queue in (first, second):
        reasons = Counter(queue["reason"])
        assert reasons["audit"] == 12
        assert reasons["control"] == 4
        assert reasons["boundary"] + reasons["promising"] + reasons["margin"] == 24
        assert queue.filter(pl.col("reason") == "audit")["inclusion_probability"].is_between(0, 1, closed="right").all()


def test_the_table_of_the_queue_is_what_the_ledger_published(journal: Journal) -> None:
    with journal.loop.loop.ledger() as ledger:
        for key in KEYS:
            assert ledger.queue(key).drop("iteration").equals(journal.loop.queue(key))


def test_labels_of_the_second_iteration_include_those_of_the_first(journal: Journal) -> None:
    labels = journal.loop.root.read_table("expert_labels", "0001")
    assert Counter(labels["iteration"]) == {"0000": 80, "0001": 120}
    assert set(labels["rater"]) == {"expert_1", "expert_2", "expert_3"}


def test_every_label_teaches_and_measures_and_the_panel_is_of_the_first_iteration(journal: Journal) -> None:
    split = journal.loop.root.read_table("label_split", "0001")
    assert split.height == 80
    assert split["teaches"].equals(split["positive_share"].is_not_null())
    assert not split.filter(pl.col("reason") == "audit", "teaches").is_empty()
    assert set(split.filter(split="panel")["iteration"]) == {"0000"}
    assert set(split.filter(split="evaluation")["iteration"]) == {"0001"}
    before = journal.loop.root.read_table("label_split", "0000")
    kept = before.select("item_id", "split").join(split.select("item_id", "split"), on="item_id", how="left")
    assert (kept["split"] == kept["split_right"]).all()


def test_the_student_learns_from_decided_training_items_only(journal: Journal) -> None:
    for key in KEYS:
        split = journal.loop.root.read_table("label_split", key)
        lessons = split.filter("teaches")
        checkpoint = journal.loop.root.read_table("sft_checkpoint", key).row(0, named=True)
        assert checkpoint["training_items"] == lessons.height
        assert checkpoint["positive_items"] == (lessons["positive_share"] > 0.5).sum()
        assert (Path(checkpoint["uri"]) / "student.json").exists()


def test_each_training_item_is_scored_by_a_student_that_did_not_see_it(journal: Journal) -> None:
    for key in KEYS:
        split = journal.loop.root.read_table("label_split", key)
        scores = journal.loop.root.read_table("evaluation_scores", key)
        lessons = split.filter("teaches")
        held_out = scores.filter(pl.col("role") == "out_of_fold")
        assert sorted(held_out["item_id"]) == sorted(lessons["item_id"])
        assert held_out["p_incumbent"].null_count() == held_out.height
        assert scores.filter(pl.col("role") != "out_of_fold")["p_incumbent"].null_count() == 0


def test_regions_stay_the_same_while_what_is_known_of_them_grows(journal: Journal) -> None:
    root = journal.loop.root
    first, second = (root.read_table("regions", key) for key in KEYS)
    assert first.equals(second)
    places = [root.read_table("cluster_assignments", key).select("item_id", "region").sort("item_id") for key in KEYS]
    assert places[0].equals(places[1])
    before, after = (root.read_table("overlap_map", key) for key in KEYS)
    assert set(before["region"]) == set(after["region"]) == set(places[0]["region"])
    assert before["labels"].sum() == 0 < after["labels"].sum() <= 40
    assert before["items"].sum() == after["items"].sum() == places[0].height
    widths = [(frame["error_high"] - frame["error_low"]).to_numpy().mean() for frame in (before, after)]
    assert widths[1] < widths[0]
    history = pl.read_parquet(root.table_path("region_history").path).filter(iteration=KEYS[1])
    assert history["continues"].equals(history["region"], check_names=False)


def test_the_incumbent_is_who_the_report_before_says(journal: Journal) -> None:
    root = journal.loop.root
    first = Incumbent.of(root.read_table("incumbent_model", "0000"))
    second = Incumbent.of(root.read_table("incumbent_model", "0001"))
    report = root.read_table("kappa_report", "0000")
    assert first.kind == "llm0"
    assert second == successor(root, "0000", report)
    assert (second.kind == "checkpoint") == conclusion_of(report).promoted
    labels = root.read_table("pseudo_labels", "0001")
    assert set(labels["labeler_fingerprint"]) == {second.fingerprint}


def test_the_report_announces_the_next_incumbent_with_its_data_version(journal: Journal) -> None:
    root, instance = journal.loop.root, journal.loop.instance
    report = root.read_table("kappa_report", "0001")
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("incumbent_model"), asset_partitions=["0002"])
    records = instance.fetch_materializations(wanted, limit=10).records
    assert len(records) == 2  # learned twice: the late votes
    tags = records[0].event_log_entry.tags or {}
    assert tags["dagster/data_version"] == data_version(successor(root, "0001", report).frame())
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("incumbent_model"), asset_partitions=["0001"])
    computed, announced = instance.fetch_materializations(wanted, limit=10).records
    versions = [(each.event_log_entry.tags or {})["dagster/data_version"] for each in (computed, announced)]
    assert versions[0] == versions[1]


def test_the_verdicts(journal: Journal) -> None:
    found = [conclusion_of(journal.loop.root.read_table("kappa_report", key)).verdict for key in KEYS]
    assert found == ["continue", "budget spent"]
    history = journal.loop.root.base / "loop_history.parquet"
    assert pl.read_parquet(Path(history.path))["iteration"].to_list() == list(KEYS)


def test_the_same_start_gives_the_same_queue_bit_for_bit(
    make_loop: MakeLoop, curated_folder: Path, small_texts: pl.DataFrame
) -> None:
    from al_assets.storage.root import RunRoot

    roots = [RunRoot(str(curated_folder / "runs" / "strongly_negative"))]
    for name in ("second", "third"):
        loop = make_loop(name)
        assert loop.run("curate", "0000", selection=JOB_TABLES[Job.CURATE]).success
        roots.append(loop.root)
    for name in JOB_TABLES[Job.CURATE]:
        files = [Path(root.table_path(name, "0000").path).read_bytes() for root in roots]
        assert files[0] == files[1] == files[2], name
    assert roots[0].read_table("review_queue", "0000").height == 40


def test_a_second_run_computes_nothing_twice_and_keeps_the_queue(curated: SmallLoop) -> None:
    before = curated.queue("0000")
    done = curated.run("curate", "0000")
    assert done.success
    (embedded,) = done.asset_materializations_for_node("embeddings")
    assert embedded.metadata["texts_embedded_now"].value == 0
    pool = curated.root.read_table("pool", "0000")
    assert embedded.metadata["texts_embedded_before"].value == pool["duplicate_of"].null_count()
    assert curated.queue("0000").equals(before)
    (queue,) = done.asset_materializations_for_node("review_queue")
    assert queue.metadata["chosen_now_and_published"].value == 40


def test_after_a_change_a_replay_keeps_the_queue_and_a_reselect_adds_to_it(curated: SmallLoop) -> None:
    before = curated.queue("0000")
    text = curated.policy_file.read_text()
    assert "budget: 40" in text
    curated.policy_file.write_text(text.replace("budget: 40", "budget: 40\n  seed: 7"))
    changed = SmallLoop(curated.policy_file, curated.instance, curated.texts)
    replay = changed.run("curate", "0000")
    assert replay.success, failure(replay)
    assert changed.queue("0000").equals(before)
    (event,) = replay.asset_materializations_for_node("review_queue")
    kept = event.metadata["chosen_now_and_published"].value
    assert isinstance(kept, int)
    assert 0 < kept < 40
    reselect = changed.run("curate", "0000", config={"review_queue": {"mode": "RESELECT"}})
    assert reselect.success, failure(reselect)
    after = changed.queue("0000")
    assert after[:40].equals(before)
    assert after[40:]["revision"].to_list() == [1] * (40 - kept)


def test_labels_can_be_read_as_of_an_earlier_vote(curated: SmallLoop) -> None:
    curated.answer("0000")
    done = curated.run("learn", "0000", selection=["expert_labels"], config={"expert_labels": {"watermark": 40}})
    assert done.success, failure(done)
    labels = curated.root.read_table("expert_labels", "0000")
    assert labels.height == 40
    assert labels["seq"].max() == 40
    done = curated.run("learn", "0000", selection=["expert_labels"], config={"expert_labels": {"watermark": 999}})
    assert "watermark: 999 lies ahead of the ledger" in failure(done)


def test_an_iteration_waits_for_the_report_of_the_one_before(curated: SmallLoop) -> None:
    said = failure(curated.run("curate", "0001"))
    assert "iteration 0001: iteration 0000 has no kappa report yet; finish it first" in said


def test_an_iteration_waits_for_a_failed_one_before_it_to_be_mended(journal: Journal) -> None:
    from dagster._core.test_utils import create_run_for_test

    with dg.DagsterInstance.ephemeral() as instance:
        loop = SmallLoop(journal.loop.policy_file, instance, journal.loop.texts)
        run = create_run_for_test(instance, status=dg.DagsterRunStatus.FAILURE, tags={"dagster/partition": "0001"})
        said = failure(loop.run("curate", "0002", selection=["incumbent_model"]))
    assert f"the latest run of iteration 0001 failed (run {run.run_id})" in said
    assert journal.loop.root.table_keys("incumbent_model") == list(KEYS)


@pytest.mark.parametrize(
    "root", ["memory://{name}/runs", pytest.param("file://{folder}/remote runs", marks=pytest.mark.slow)]
)
def test_the_whole_loop_on_a_root_elsewhere(
    make_loop: MakeLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    monkeypatch.setenv("AL_CACHE", str(tmp_path / "cache"))
    url = root.format(name=tmp_path.name, folder=tmp_path)
    loop = make_loop(storage={"root": url, "ledger_url": f"sqlite:///{tmp_path}/ledger.sqlite"})
    curate = loop.run("curate", "0000")
    assert curate.success, failure(curate)
    assert loop.queue("0000").height == 40
    loop.answer("0000")
    learn = loop.run("learn", "0000")
    assert learn.success, failure(learn)
    assert conclusion_of(loop.root.read_table("kappa_report", "0000")).verdict == "continue"
    again = loop.run("curate", "0001", selection=["incumbent_model", "pool", "quarantine", "pseudo_labels"])
    assert again.success, failure(again)


def latest_metadata(journal: Journal, asset: str) -> dict[str, object]:
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=["0001"])
    (record,) = journal.loop.instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization is not None
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def test_metadata_of_a_run_says_what_a_person_wants_to_know(journal: Journal) -> None:
    latest = partial(latest_metadata, journal)
    assert latest("kappa_report")["verdict"] == "budget spent"
    for name in ("kappa_over_iterations", "population_beside_boundary", "who_agrees_with_whom", "curation_yield"):
        assert str(latest("kappa_report")[name]).startswith("![picture](data:image/png;base64,")
    assert "population stability index 0.000" in str(latest("kappa_report")["panel"])
    assert "the panel still stands for the pool" in str(latest("kappa_report")["panel"])
    assert latest("pool")["items"] == 400
    assert str(latest("overlap_map")["map"]).startswith("![picture](data:image/png;base64,")
    assert "called positive | called negative" in str(latest("boundary_pairs")["most_instructive_pairs"])
    assert latest("expert_labels")["items_labelled"] == 80
    assert latest("sft_checkpoint")["training_items"]


def test_the_probe_stands_beside_the_student_of_the_report_and_remembers_earlier_iterations(journal: Journal) -> None:
    root = journal.loop.root
    for key in KEYS:
        row = root.read_table("representation_probe", key).row(0, named=True)
        figure = pl.col("figure") == "model_expert_kappa"
        report = root.read_table("kappa_report", key).filter(figure, scope="evaluation").row(0, named=True)
        student = [row[f"student_kappa{end}"] for end in ("", "_low", "_high")]
        assert student == [report[end] for end in ("estimate", "low", "high")]
        checkpoint = root.read_table("sft_checkpoint", key).row(0, named=True)
        assert (row["training_items"], row["training_left_out"]) == (checkpoint["training_items"], 0)
        assert row["evaluation_items"] == report["items"]
        # The small loop's student is such a head itself, but begins from what LLM-0 taught.
        assert row["difference"] < 0
        assert read_tables(journal.loop.loop.policy, key).probe == row["sentence"]
    metadata = latest_metadata(journal, "representation_probe")
    assert "trained on the same" in str(metadata["sentence"])
    assert "itself a linear head on this embedding; what parts them is its head start." in str(metadata["sentence"])
    assert [line.split(" | ")[0] for line in str(metadata["history"]).splitlines()[2:]] == ["| 0000", "| 0001"]


def test_a_probe_that_fails_leaves_an_empty_row_and_does_not_fail_the_run(journal: Journal) -> None:
    root = journal.loop.root
    tables = {name: root.read_table(name, "0001") for name in ("expert_labels", "label_split", "evaluation_scores")}
    with dg.build_asset_context(partition_key="0001", resources={"loop": journal.loop.loop}) as context:
        output = representation_probe(context, embeddings=pl.LazyFrame({"id": ["a"]}), **tables)
    assert isinstance(output, dg.Output)
    row = output.value.row(0, named=True)
    assert (row["outcome"], row["head_kappa"], row["training_items"]) == (None, None, 0)
    assert row["reason"].startswith("ColumnNotFoundError: ")
    assert str(output.metadata["sentence"].value).startswith(row["sentence"])
    assert "head_kappa" not in output.metadata
