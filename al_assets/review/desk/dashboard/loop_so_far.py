"""The loop so far and what it waits for, as its own tables and its own words tell it."""

from collections.abc import Callable
from dataclasses import dataclass

from al_assets.agreement.core.figures import Figure, figure_of
from al_assets.agreement.stopping.conclusion import conclusion_of
from al_assets.storage.root import RunRoot


@dataclass(frozen=True)
class FinishedIteration:
    """What the report of an iteration says."""

    iteration: str
    labels: int | None
    model: Figure | None
    experts: Figure | None
    verdict: str
    reason: str


@dataclass(frozen=True)
class LoopSoFar:
    """The loop so far.

    :param waits_for: a sentence; "" where the desk does not know the loop.
    :param problem: why something could not be read; "" if all could.
    """

    waits_for: str
    finished: tuple[FinishedIteration, ...]
    problem: str


def loop_so_far(root_url: str, loop_waits_for: Callable[[], str] | None) -> LoopSoFar:
    """Read the reports under a policy's root, the newest first, and ask what the loop waits for."""
    waits_for, problems = "", []
    if loop_waits_for is not None:
        try:
            waits_for = loop_waits_for()
        except Exception as error:
            # Whatever the loop's own store throws, the labelling goes on without it.
            problems.append(f"The loop could not be asked what it waits for: {error}")
    try:
        finished = _finished(root_url)
    except (OSError, ValueError) as error:
        finished = ()
        problems.append(f"The reports could not be read: {error}")
    return LoopSoFar(waits_for, finished, " ".join(problems))


def _finished(root_url: str) -> tuple[FinishedIteration, ...]:
    root = RunRoot(root_url)
    rows = []
    for iteration in reversed(root.table_keys("kappa_report")):
        report = root.read_table("kappa_report", iteration)
        labels, conclusion = figure_of(report, "labels", "loop"), conclusion_of(report)
        rows.append(
            FinishedIteration(
                iteration,
                None if labels is None or labels.estimate is None else int(labels.estimate),
                figure_of(report, "model_expert_kappa", "evaluation"),
                figure_of(report, "expert_expert_kappa", "evaluation"),
                conclusion.verdict,
                conclusion.verdict_reason,
            )
        )
    return tuple(rows)
