"""Code versions: what has to be computed again after an edit of the policy, by asset."""

from al_assets.config import Policy, fingerprint_of

ALGORITHM = {
    "pool": 1, "pseudo_labels": 2, "embeddings": 1, "cluster_assignments": 2, "boundary_pairs": 2, "overlap_map": 1,
    "review_queue": 3, "expert_labels": 2, "label_split": 2, "sft_checkpoint": 1, "evaluation_scores": 2,
    "kappa_report": 2, "incumbent_model": 1, "quarantine": 1, "representation_probe": 1,
}  # fmt: skip
"""Raise an asset's number when a change of the code changes what it holds."""


def code_versions(policy: Policy) -> dict[str, str]:
    """Return each asset's code version: its algorithm's number and the fingerprints of the sections it depends on.

    The embedder's fingerprint is the code version of ``embeddings``, so that a change of the model shows there.
    """
    asked, clustering, selection = policy.policy, policy.clustering, policy.selection
    folds = [f"{policy.calibration_folds} folds, seed {policy.calibration.seed}"] if policy.calibration_folds else []
    parts: dict[str, list[str]] = {
        "incumbent_model": [policy.labeler.fingerprint(), asked.fingerprint()],
        "pool": [policy.pool.fingerprint()],
        "quarantine": [policy.pool.fingerprint()],
        "pseudo_labels": [str(asked.expected_prevalence)],
        "embeddings": [policy.embedding.fingerprint()],
        "cluster_assignments": [clustering.fingerprint()],
        "boundary_pairs": [selection.fingerprint()],
        "overlap_map": [],
        "review_queue": [selection.fingerprint()],
        "expert_labels": [],
        "label_split": [policy.split.fingerprint()],
        "sft_checkpoint": [policy.student.fingerprint()],
        "evaluation_scores": [str(policy.stopping.stop_set_size), *folds],
        "kappa_report": [
            policy.stopping.fingerprint(),
            str(asked.expected_prevalence),
            policy.calibration.fingerprint(),
        ],  # fmt: skip
        "representation_probe": [
            f"{policy.stopping.resamples} resamples, seed {policy.stopping.seed}",
            str(asked.expected_prevalence),
        ],
    }
    return {
        name: f"{ALGORITHM[name]}-{each[0] if len(each) == 1 else fingerprint_of(each)}"
        if each
        else str(ALGORITHM[name])
        for name, each in parts.items()
    }
