"""The two jobs of an iteration: curate, up to the published queue; learn, from the votes to report and marts."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import dagster as dg

from al_assets.assets.loop_assets import declarations_of
from al_assets.automation.observe import JOB_TAG, POLICY_TAG
from al_assets.partitions import Job

if TYPE_CHECKING:
    # Dagster gives what define_asset_job returns no public name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob

_DESCRIPTIONS = {
    Job.CURATE: "First half of an iteration: from the pool to the queue that the experts see.",
    Job.LEARN: "Second half of an iteration: from the votes to the student, the kappa report and the marts.",
}


def halves_of(assets: Iterable[dg.AssetsDefinition], marts: Iterable[str]) -> dict[Job, list[str]]:
    """Return what each half of an iteration makes; both end by bringing the unpartitioned marts up to date.

    :param assets: those of the loop, each of which declares its half.
    """
    declared = declarations_of(assets)
    return {job: [*(name for name, each in declared.items() if each.job is job), *marts] for job in Job}


def loop_jobs(policy_name: str, halves: Mapping[Job, list[str]]) -> list["AssetJob"]:
    """Return the jobs ``curate`` and ``learn``, tagged so that the loop recognises its own runs."""
    return [
        dg.define_asset_job(
            job.value,
            selection=dg.AssetSelection.assets(*names),
            description=_DESCRIPTIONS[job],
            tags={JOB_TAG: job.value, POLICY_TAG: policy_name},
        )
        for job, names in halves.items()
    ]
