"""The one resource of the loop: the policy, where its data is kept, and the ledger of votes."""

import os
import socket
from functools import cached_property

import dagster as dg
import psutil

from al_assets.config import Policy, load_policy
from al_assets.storage.ledger import Ledger
from al_assets.storage.root import RunRoot

WORKER_TAG = "al/worker"


class LoopResource(dg.ConfigurableResource[None]):
    """Gives assets, checks and the sensor their policy, run root and ledger.

    :param policy_path: the policy file.
    """

    policy_path: str

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Write on the run which process executes it, so that a run whose worker died can be told from a slow one."""
        if context.run is not None and context.instance is not None:
            context.instance.add_run_tags(context.run.run_id, {WORKER_TAG: worker_identity()})

    @cached_property
    def policy(self) -> Policy:
        """The policy file, read once."""
        return load_policy(self.policy_path)

    @property
    def root(self) -> RunRoot:
        """Where this policy's loop keeps everything."""
        return RunRoot(self.policy.root)

    def ledger(self) -> Ledger:
        """Open the ledger of votes."""
        return Ledger.of(self.policy)


def worker_identity() -> str:
    """Return ``host/pid/start time`` of this process: what identifies it even after the pid was reused."""
    process = psutil.Process()
    return f"{socket.gethostname()}/{os.getpid()}/{process.create_time():.0f}"


def worker_is_gone(identity: str) -> bool:
    """Tell whether the process of :func:`worker_identity` is certainly gone; those of other hosts never are."""
    host, pid, started = identity.split("/")
    if host != socket.gethostname():
        return False
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(started)) > 1
    except psutil.NoSuchProcess:
        return True
