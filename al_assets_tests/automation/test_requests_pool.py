from pathlib import Path

import dagster as dg

from al_assets.assets.loop_assets import LOOP_POOL
from al_assets.automation.requests import decide
from al_assets.automation.state import Occasion
from al_assets.demo.prepare import write_dagster_home
from al_assets_tests.support.small_loop import SmallLoop


def test_a_new_home_limits_the_pool_before_its_first_run(curated: SmallLoop, tmp_path: Path) -> None:
    write_dagster_home(tmp_path / "home")
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        instance.add_dynamic_partitions("iteration", ["0000"])
        assert not instance.event_log_storage.get_pool_limits()
        decide(instance, curated.loop, Occasion.SENSOR)
        limits = {each.name: each.limit for each in instance.event_log_storage.get_pool_limits()}
    assert limits == {LOOP_POOL: 1}
