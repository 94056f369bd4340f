"""The two jobs of an iteration: curate, up to the published queue; learn, from the votes to report and marts."""

from typing import TYPE_CHECKING

import dagster as dg

from al_assets.automation.observe import JOB_TAG, POLICY_TAG
from al_assets.automation.state import Job

if TYPE_CHECKING:
    # Dagster gives what define_asset_job returns no public name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob

CURATE_ASSETS = (
    "incumbent_model", "pool", "quarantine", "pseudo_labels", "embeddings", "cluster_assignments", "boundary_pairs",
    "overlap_map", "review_queue",
)  # fmt: skip
LEARN_ASSETS = (
    "expert_labels", "label_split", "sft_checkpoint", "evaluation_scores", "kappa_report", "representation_probe",
)  # fmt: skip
_DESCRIPTIONS = {
    Job.CURATE: "First half of an iteration: from the pool to the queue that the experts see.",
    Job.LEARN: "Second half of an iteration: from the votes to the student, the kappa report and the marts.",
}


def assets_of(marts: list[str]) -> dict[Job, list[str]]:
    """Return the assets of each half of an iteration; both end by bringing the unpartitioned marts up to date."""
    return {Job.CURATE: [*CURATE_ASSETS, *marts], Job.LEARN: [*LEARN_ASSETS, *marts]}


def loop_jobs(policy_name: str, marts: list[str]) -> list["AssetJob"]:
    """Return the jobs ``curate`` and ``learn``, tagged so that the loop recognises its own runs."""
    return [
        dg.define_asset_job(
            job.value,
            selection=dg.AssetSelection.assets(*names),
            description=_DESCRIPTIONS[job],
            tags={JOB_TAG: job.value, POLICY_TAG: policy_name},
        )
        for job, names in assets_of(marts).items()
    ]
