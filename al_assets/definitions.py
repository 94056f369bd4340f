"""One Definitions object: nothing but assembly."""

import os

import dagster as dg

from al_assets.assets import (
    clusters,
    embeddings,
    incumbent,
    labels,
    overlap,
    pairs,
    pool,
    probe,
    pseudo_labels,
    queue,
    report,
    scores,
    split,
    student,
)
from al_assets.assets.marts import build_marts
from al_assets.assets.provenance import build_provenance
from al_assets.assets.resource import LoopResource
from al_assets.automation.checks import CHECKS
from al_assets.automation.jobs import loop_jobs
from al_assets.automation.schedule import nightly_schedule
from al_assets.automation.sensor import loop_sensor
from al_assets.automation.versions import code_versions
from al_assets.config import POLICY_VARIABLE, load_policy, policy_from_environment
from al_assets.storage.io import TableIOManager

STAGES = [
    incumbent, pool, pseudo_labels, embeddings, clusters, pairs, overlap, queue, labels, split, student, scores, report,
    probe,
]  # fmt: skip


def build(policy_path: str) -> dg.Definitions:
    """Assemble the loop of one policy.

    :raises PolicyError: the policy file is missing or wrong.
    """
    policy = load_policy(policy_path)
    versions = code_versions(policy)
    loop_assets = [
        asset.map_asset_specs(
            lambda spec: (
                spec.replace_attributes(code_version=versions[spec.key.path[-1]])
                if spec.key.path[-1] in versions
                else spec
            )
        )
        for asset in dg.load_assets_from_modules(STAGES)
        if isinstance(asset, dg.AssetsDefinition)
    ]
    marts = [build_provenance(loop_assets), *build_marts()]
    names = [key.path[-1] for mart in marts for key in mart.keys]
    jobs = loop_jobs(policy.policy.name, names)
    automation = policy.automation
    return dg.Definitions(
        assets=[pool.POOL_SOURCE, *loop_assets, *marts],
        asset_checks=CHECKS,
        jobs=jobs,
        sensors=[loop_sensor(jobs, automation.sensor_interval_seconds)],
        schedules=[nightly_schedule(names, automation.nightly_cron, automation.timezone)],
        resources={"loop": LoopResource(policy_path=policy_path), "io_manager": TableIOManager(base_dir=policy.root)},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the loop of the policy file that ``AL_POLICY`` names."""
    policy_from_environment()
    return build(os.environ[POLICY_VARIABLE])
