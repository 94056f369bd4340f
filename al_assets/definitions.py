"""One Definitions object: nothing but assembly."""

import os
from types import ModuleType

import dagster as dg

import al_assets.assets
from al_assets.assets.loop_assets import declarations_of, loop_assets, wanted_assets, with_code_versions
from al_assets.assets.marts import build_marts
from al_assets.assets.pool import POOL_SOURCE
from al_assets.assets.provenance import build_provenance
from al_assets.assets.resource import LoopResource
from al_assets.automation.checks import CHECKS
from al_assets.automation.jobs import loop_jobs, tables_of_jobs
from al_assets.automation.requests import loop_sensor, nightly_schedule
from al_assets.config import POLICY_VARIABLE, load_policy, policy_from_environment


def build(policy_path: str, *more: ModuleType) -> dg.Definitions:
    """Assemble the loop of one policy.

    :param more: packages whose modules declare assets beside the loop's own.
    :raises PolicyError: the policy file is missing or wrong.
    """
    # pyarrow's datasets bring pandas along, which takes half a second; only a loop that is assembled needs them.
    from al_assets.storage.io import TableIOManager

    policy = load_policy(policy_path)
    every = loop_assets(al_assets.assets, *more)
    declared = wanted_assets(every, policy)
    absent = set(declarations_of(every)) - set(declarations_of(declared))
    made = with_code_versions(declared, policy)
    marts = [build_provenance(made), *build_marts(absent=absent)]
    tables = tables_of_jobs(declared, [key.path[-1] for mart in marts for key in mart.keys])
    jobs = loop_jobs(policy.policy.name, tables)
    automation = policy.automation
    return dg.Definitions(
        assets=[POOL_SOURCE, *made, *marts],
        asset_checks=CHECKS,
        jobs=jobs,
        sensors=[loop_sensor(jobs, tables, automation.sensor_interval_seconds)],
        schedules=[nightly_schedule(tables, automation.nightly_cron, automation.timezone)],
        resources={"loop": LoopResource(policy_path=policy_path), "io_manager": TableIOManager(base_dir=policy.root)},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the loop of the policy file that ``AL_POLICY`` names."""
    policy_from_environment()
    return build(os.environ[POLICY_VARIABLE])
