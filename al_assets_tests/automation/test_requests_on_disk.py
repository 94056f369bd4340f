from pathlib import Path

import dagster as dg
import polars as pl

from al_assets_tests.support.small_loop import SmallLoop, pool_rows, write_policy, write_pool


def test_on_an_instance_on_disk_the_schedule_starts_the_loop_once(
    tmp_path: Path, small_texts: pl.DataFrame, small_embedder: Path
) -> None:
    write_pool(tmp_path, pool_rows(small_texts))
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        loop = SmallLoop(write_policy(tmp_path, small_embedder), instance, small_texts)
        first, second = loop.nightly(), loop.nightly()
        assert isinstance(first, dg.RunRequest)
        assert isinstance(second, dg.RunRequest)
        assert first.run_key == second.run_key == "0000/curate/0"
        assert instance.get_dynamic_partitions("iteration") == ["0000"]
        sensed = loop.sense()
        assert isinstance(sensed, dg.SkipReason)
        assert "the nightly occasion has just asked for curate" in str(sensed.skip_message)
