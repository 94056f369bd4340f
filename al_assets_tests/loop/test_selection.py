from pathlib import Path

import numpy as np
import polars as pl
import pytest

from al_assets.assets import round_inputs
from al_assets.assets.round_inputs import labels_so_far, reference_scores, sides_of
from al_assets.scale.ray_runner import runner_of
from al_assets_tests.support.loop_journal import Journal
from al_assets_tests.support.pools import topic_pool
from al_assets_tests.support.small_loop import MakeLoop, failure


def test_every_queued_item_says_why_it_is_there(journal: Journal) -> None:
    for key in ("0000", "0001"):
        queue = journal.loop.queue(key)
        assert queue["p_positive"].null_count() == 0
        assert queue["region"].null_count() == 0
        assert queue["inclusion_probability"].is_between(0, 1, closed="right").all()
        pairs = queue.drop_nulls("pair_id")
        assert pairs["partner_item"].null_count() == pairs["mixing"].null_count() == 0
        ranked = journal.loop.root.read_table("boundary_pairs", key).select(
            "pair_id", "draw_order", "inclusion_probability"
        )
        assert pairs.join(ranked, on="pair_id", suffix="_planned")["draw_order"].null_count() == 0


def test_the_queue_takes_the_pairs_in_the_order_that_the_table_shows(journal: Journal) -> None:
    queue = journal.loop.queue("0000")
    taken = queue.filter(pl.col("reason").is_in(["audit", "control"]))["item_id"].implode()
    pairs = journal.loop.root.read_table("boundary_pairs", "0000").drop_nulls("rank").sort("draw_order")
    free = pairs.filter(~pl.col("positive_item").is_in(taken) & ~pl.col("negative_item").is_in(taken))
    published = queue.drop_nulls("pair_id")["pair_id"].unique()
    assert set(published) == set(free["pair_id"].head(len(published)))


def test_labels_and_reference_come_from_earlier_iterations_alone(journal: Journal) -> None:
    loop = journal.loop.loop
    assert labels_so_far(loop, "0000").is_empty()
    labels = labels_so_far(loop, "0001")
    assert set(labels["iteration"]) == {"0000"}
    first, second = (journal.loop.root.read_table("pseudo_labels", key) for key in ("0000", "0001"))
    pool = journal.loop.root.read_table("pool", "0001")
    assert reference_scores(loop, "0000", pool, first) is None
    llm0 = reference_scores(loop, "0001", pool, second.with_columns(labeler_fingerprint=pl.lit("a student")))
    assert llm0 is not None
    both = llm0.join(first, on="item_id", suffix="_then")
    assert both.height
    assert (both["p_positive"] == both["p_positive_then"]).all()
    # Where LLM-0 labels, the other view is the student of the iteration before.
    student = reference_scores(loop, "0001", pool, first)
    assert student is not None
    scored = journal.loop.root.read_table("evaluation_scores", "0000").filter(role="stop_set")
    both = student.join(scored, on="item_id")
    assert both.height
    assert (both["p_positive"] == both["p_student"]).all()


def test_the_policy_names_another_strategy(make_loop: MakeLoop) -> None:
    small = make_loop(selection={"strategy": {"boundary_pairs": 0.5, "typiclust": 0.25, "random": 0.25}})
    done = small.run("curate", "0000")
    assert done.success, failure(done)
    reasons = dict(small.queue("0000").group_by("reason").len().iter_rows())
    # 24 of the boundary share: 12 by pairs and what goes with them, 6 each by the others.
    assert reasons["typiclust"] == reasons["random"] == 6
    assert sum(reasons.get(name, 0) for name in ("boundary", "promising", "margin")) == 12
    pairs = small.root.read_table("boundary_pairs", "0000")
    assert 0 < pairs["selected"].sum() <= 6
    why = small.queue("0000").filter(reason="typiclust")
    assert why["rank"].null_count() == why["p_positive"].null_count() == 0


def test_a_large_pool_is_mapped_from_a_file_that_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(round_inputs, "_ROWS_IN_MEMORY", 100)
    monkeypatch.setattr(round_inputs, "_ROWS_AT_ONCE", 64)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pool = topic_pool(300)
    frame = pl.DataFrame({"item_id": pool.item_ids, "vector": pl.Series(pool.vectors.astype(np.float16))})
    frame.write_parquet(tmp_path / "embeddings.parquet")
    with sides_of(pool.pseudo_labels.tail(250), pl.scan_parquet(tmp_path / "embeddings.parquet")) as sides:
        assert sides.item_ids.to_list() == pool.item_ids[50:]
        assert np.allclose(sides.vectors.take(slice(None)), pool.vectors[50:], atol=1e-3)
        assert (sides.positive == pool.positive[50:]).all()
        assert len(list(tmp_path.glob("al-vectors-*"))) == 1
    assert not list(tmp_path.glob("al-vectors-*"))


def test_threads_run_the_selection_unless_a_cluster_is_named(journal: Journal) -> None:
    with runner_of(journal.loop.policy) as runner:
        assert list(runner.map(abs, [-1, 2])) == [1, 2]
