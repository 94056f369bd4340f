"""Which runner a policy asks for."""

from collections.abc import Iterator
from contextlib import contextmanager

from al_assets.config import Policy
from al_assets.curation.runner import THREADS, Runner


@contextmanager
def runner_of(policy: Policy) -> Iterator[Runner]:
    """Yield what runs the selection's large steps: a Ray cluster if the policy names one, else threads.

    :raises ScaleError: Ray is not installed, or the cluster does not answer.
    """
    settings = policy.scale.ray
    if settings is None:
        yield THREADS
        return
    from al_assets.scale.ray_runner import RayRunner

    with RayRunner(settings.shards, settings.address) as runner:
        yield runner
