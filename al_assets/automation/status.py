"""Where the loop stands and what it waits for, in one answer."""

import os
from dataclasses import dataclass, field

import dagster as dg
import polars as pl

from al_assets.agreement.core.figures import estimate_of, figure_of
from al_assets.agreement.stopping.conclusion import conclusion_of
from al_assets.assets.resource import LoopResource
from al_assets.automation.observe import observe
from al_assets.automation.requests import explained
from al_assets.automation.state import Occasion, next_step


@dataclass(frozen=True)
class Status:
    """The loop's state.

    :param queued: items of the newest iteration, check items among them.
    :param check_items: of them check items, asked after training; ``check_complete`` of them have enough votes.
    :param open_items: for each rater how many items wait for this rater's vote.
    :param reports: for each finished iteration its labels, kappas and verdict.
    """

    policy: str
    iteration: str | None
    action: str
    next: str
    queued: int = 0
    complete: int = 0
    check_items: int = 0
    check_complete: int = 0
    votes: int = 0
    open_items: dict[str, int] = field(default_factory=dict)
    reports: list[dict[str, object]] = field(default_factory=list)
    instance: str = ""


def loop_status(loop: LoopResource) -> Status:
    """Return where the loop stands, by what is stored and by the Dagster instance that ``DAGSTER_HOME`` names."""
    home = os.environ.get("DAGSTER_HOME")
    with dg.DagsterInstance.from_config(home) if home else dg.DagsterInstance.ephemeral() as instance:
        state = observe(instance, loop, look_at_pool=True)
    step = next_step(state, Occasion.SENSOR)
    policy = loop.policy
    instance_name = home or "none (DAGSTER_HOME is not set, so runs are not looked at)"
    if state.current is None:
        return Status(policy.policy.name, None, step.action.value, explained(step), instance=instance_name)
    with loop.ledger() as ledger:
        progress = ledger.progress(state.current.key, policy.review.votes_per_item)
    return Status(
        policy.policy.name,
        state.current.key,
        step.action.value,
        explained(step),
        queued=progress.queued,
        complete=progress.complete,
        check_items=progress.check_queued,
        check_complete=progress.check_complete,
        votes=progress.votes,
        open_items={rater: len(items) for rater, items in progress.open_items.items()},
        reports=[
            _summary(key, loop.root.read_table("kappa_report", key)) for key in loop.root.table_keys("kappa_report")
        ],
        instance=instance_name,
    )


def _summary(key: str, report: pl.DataFrame) -> dict[str, object]:
    def interval(figure: str, scope: str) -> list[float | None] | None:
        found = figure_of(report, figure, scope)
        return None if found is None or found.estimate is None else [found.estimate, found.low, found.high]

    conclusion = conclusion_of(report)
    return {
        "iteration": key,
        "labels": int(estimate_of(report, "labels", "loop")),
        "model_expert_boundary": interval("model_expert_kappa", "boundary"),
        "model_expert_audit": interval("model_expert_kappa", "audit"),
        "expert_expert": interval("expert_expert_kappa", "loop"),
        "expert_expert_audit": interval("expert_expert_kappa", "audit"),
        "verdict": conclusion.verdict,
        "reason": conclusion.verdict_reason,
        "recommended": conclusion.recommended,
        "better": conclusion.better_reason,
    }
