"""Everything that would fail later, found at once: policy, pool, models, disk, ledger."""

import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import getproxies

from al_assets.config import (
    CombinationSettings,
    EmbeddingSettings,
    EncoderStudent,
    LabelerSettings,
    LinearStudent,
    OpenAISettings,
    Policy,
    PolicyError,
    VLLMSettings,
    load_policy,
)
from al_assets.curation.queue.hidden import hidden_count
from al_assets.formatting import decimal
from al_assets.models.embedders import make_embedder
from al_assets.models.labelers import make_labeler
from al_assets.models.labelers.combination import LabelModelLabeler
from al_assets.models.labelers.yes_no import load_tokenizer, yes_no_tokens
from al_assets.review.hidden_items import load_gold
from al_assets.review.policy_versions import version_notes
from al_assets.storage.atomic import write_bytes
from al_assets.storage.ledger import Ledger
from al_assets.storage.pool_reader import read_pool
from al_assets.storage.root import RunRoot

MINIMUM_FREE_GB = 2.0
PATIENCE_SECONDS = 8
"""How long a server or a model hub may take to answer; a run waits longer, and asks again."""
PROBE_TEXT = "A short text to see whether the model answers."


@dataclass(frozen=True)
class Finding:
    """What one check found.

    :param ok: False means that a run would fail.
    """

    check: str
    ok: bool
    detail: str


def preflight(policy_path: str | Path) -> list[Finding]:
    """Try everything a run needs, models included, and return a finding for each; nothing of the loop is changed."""
    try:
        policy = load_policy(policy_path)
    except PolicyError as error:
        return [Finding("policy", False, str(error))]
    checks: dict[str, Callable[[Policy], str]] = {
        "pool": _pool,
        "labeler": _labeler,
        "embedding": lambda policy: _embedding(policy, policy.embedding),
        "student": _student,
        "disk": _disk,
        "ledger": _ledger,
    }
    if policy.selection.gold is not None:
        checks["gold"] = _gold
    read = Finding("policy", True, f"{policy.policy.name}, version {policy.policy.version}")
    return [read, *(_tried(name, check, policy) for name, check in checks.items())]


def _tried(name: str, check: Callable[[Policy], str], policy: Policy) -> Finding:
    try:
        return Finding(name, True, check(policy))
    except Exception as error:  # whatever a library raises here, a run would raise later
        return Finding(name, False, f"{type(error).__name__}: {error}")


def hub_answers() -> bool:
    """Whether something listens where models are fetched from; a proxy is not doubted."""
    hub = urlparse(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    if getproxies().get(hub.scheme):
        return True
    try:
        port = hub.port or (443 if hub.scheme == "https" else 80)
        socket.create_connection((hub.hostname or "", port), timeout=PATIENCE_SECONDS / 2).close()
    except (OSError, ValueError):
        return False
    return True


def _impatient(settings: LabelerSettings) -> LabelerSettings:
    """Return a labeler's settings with which a server that does not answer is given up soon."""
    if isinstance(settings, OpenAISettings):
        seconds = min(settings.timeout_seconds, PATIENCE_SECONDS)
        return settings.model_copy(update={"timeout_seconds": seconds, "max_retries": 0})
    if isinstance(settings, CombinationSettings):
        members = tuple(_impatient(member) for member in settings.labelers)
        return settings.model_copy(update={"labelers": members})
    return settings


def _pool(policy: Policy) -> str:
    pool = read_pool(policy.pool, policy.resolve(policy.pool.path))
    budget = policy.selection.budget
    if pool.items.height < budget:
        raise ValueError(f"selection.budget: {budget} items a round, but the pool has {pool.items.height}; lower it")
    return f"{pool.items.height} usable items, {pool.quarantine.height} quarantined"


def _labeler(policy: Policy) -> str:
    settings = _impatient(policy.labeler)
    with make_labeler(settings, policy) as labeler:
        if isinstance(settings, VLLMSettings):
            if shutil.which(settings.python) is None:
                raise ValueError(
                    f"labeler.python: {settings.python!r} is no program; name the vLLM environment's interpreter"
                )
            return f"{settings.kind}: not started here"
        if isinstance(labeler, LabelModelLabeler):
            # There is no label model before the first run: the members are what can fail.
            labeler.votes([PROBE_TEXT])
            return f"{settings.kind} answers ({len(labeler.members)} members of a label model)"
        return f"{settings.kind} answers (p_positive {decimal(labeler.score([PROBE_TEXT])[0], 3)})"


def _embedding(policy: Policy, settings: EmbeddingSettings) -> str:
    embedder = make_embedder(settings, policy)
    vectors = embedder.embed([PROBE_TEXT])
    return f"{settings.model}: {vectors.shape[1]} dimensions"


def _student(policy: Policy) -> str:
    settings = policy.student
    if isinstance(settings, LinearStudent):
        return _embedding(policy, settings.embedding)
    tokenizer = load_tokenizer(policy.resolve_model(settings.base_model), settings.revision)
    if isinstance(settings, EncoderStudent):
        return f"{settings.base_model}: tokenizer loaded"
    yes, no = yes_no_tokens(tokenizer, settings.yes, settings.no)
    return f"{settings.base_model}: answers with tokens {yes} and {no}"


def _disk(policy: Policy) -> str:
    root = RunRoot(policy.root)
    probe = root.base / ".probe"
    write_bytes(probe, b"probe")
    probe.unlink()
    if not root.is_local:
        return f"{root.base} can be written"
    free = shutil.disk_usage(root.base.path).free / 1e9
    if free < MINIMUM_FREE_GB:
        raise ValueError(
            f"storage.root: {root.base} has {decimal(free, 1)} GB free; a run needs {MINIMUM_FREE_GB:g} GB or more"
        )
    return f"{root.base} can be written, {decimal(free, 0)} GB free"


def _ledger(policy: Policy) -> str:
    with Ledger.of(policy) as ledger:
        published = f"{len(ledger.iterations())} iterations published, last vote {ledger.watermark()}"
        return "; ".join([published, *version_notes(ledger, policy)])


def _gold(policy: Policy) -> str:
    gold, selection = load_gold(policy), policy.selection
    wanted = hidden_count(selection.gold_share, selection.budget)
    rounds = (
        f", enough for {gold.height // wanted} rounds of {wanted}" if wanted else "; gold_share is 0: none is asked"
    )
    return f"{gold.height} items, {gold.filter(label='positive').height} of them positive{rounds}"
