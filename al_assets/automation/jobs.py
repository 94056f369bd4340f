"""The jobs of an iteration: curate, learn and, where check items are asked in between, report."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import dagster as dg

from al_assets.assets.loop_assets import declarations_of
from al_assets.automation.observe import JOB_TAG, POLICY_TAG
from al_assets.partitions import Job
from al_assets.tables import CHECK_QUEUE

if TYPE_CHECKING:
    # Dagster gives what define_asset_job returns no public name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob

_DESCRIPTIONS = {
    Job.CURATE: "From the pool to the queue that the experts see.",
    Job.LEARN: "From the votes to the student, and on to the kappa report or to the check items that come before it.",
    Job.REPORT: "From the votes on queue and check items to the kappa report; the student is found again.",
}


def tables_of_jobs(assets: Iterable[dg.AssetsDefinition], marts: Iterable[str]) -> dict[Job, list[str]]:
    """Return what each job of an iteration makes; all end by bringing the unpartitioned marts up to date.

    Without check items among the assets ``learn`` makes the report too, and there is no job ``report``. With them
    ``report`` first makes again what ``learn`` made, from all votes.

    :param assets: those of the loop, each of which declares its job.
    """
    declared = declarations_of(assets)
    curated, learnt, reported = ([name for name, each in declared.items() if each.job is job] for job in Job)
    if CHECK_QUEUE.name not in declared:
        return {Job.CURATE: [*curated, *marts], Job.LEARN: [*learnt, *reported, *marts]}
    return {
        Job.CURATE: [*curated, *marts],
        Job.LEARN: [*learnt, *marts],
        Job.REPORT: [*learnt, *reported, *marts],
    }


def loop_jobs(policy_name: str, tables: Mapping[Job, list[str]]) -> list["AssetJob"]:
    """Return the jobs, tagged so that the loop recognises its own runs."""
    return [
        dg.define_asset_job(
            job.value,
            selection=dg.AssetSelection.assets(*names),
            description=_DESCRIPTIONS[job],
            tags={JOB_TAG: job.value, POLICY_TAG: policy_name},
        )
        for job, names in tables.items()
    ]
