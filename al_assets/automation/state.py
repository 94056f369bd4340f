"""The loop's state machine: a pure function from what is stored to what happens next.

    open -> curated (queue published) -> waiting for labels -> labelled -> learned -> checking -> reported: one of
        continue | parity | plateau | stable | budget spent | guideline problem

Where the policy asks for no check items, learning and the report are one run, and nothing lies between them.

The sensor and the nightly schedule both call :func:`next_step`, so they cannot disagree.
"""

from dataclasses import dataclass
from enum import StrEnum

from al_assets.partitions import FIRST_KEY, Job, next_key

CONTINUE = "continue"


class Occasion(StrEnum):
    """Who asks: the sensor every few seconds, or the schedule once a night."""

    SENSOR = "sensor"
    NIGHTLY = "nightly"


class Action(StrEnum):
    """What to do now."""

    RUN = "run"
    WAIT = "wait"
    REST = "rest"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class RunHistory:
    """The runs of one job of an iteration.

    :param attempts: runs that ended, well or not.
    :param failures: runs that failed since the last success.
    """

    in_flight: bool = False
    attempts: int = 0
    failures: int = 0


@dataclass(frozen=True)
class LabelProgress:
    """How far the experts are with an iteration's queue, or with its check items.

    :param complete: queued items with enough votes.
    :param hours_open: since they were published.
    :param late: answers and adjudications that came in or changed after the report was made.
    """

    queued: int = 0
    complete: int = 0
    hours_open: float = 0.0
    late: int = 0


@dataclass(frozen=True)
class IterationState:
    """What is stored of the newest iteration.

    :param labels: of its queue, check items aside.
    :param verdict: of its kappa report; None before there is one.
    :param check_drawn: whether its check items were drawn, even if there were none to draw.
    :param check: of its check items.
    """

    key: str
    queue_published: bool = False
    labels: LabelProgress = LabelProgress()
    verdict: str | None = None
    curate: RunHistory = RunHistory()
    learn: RunHistory = RunHistory()
    check_drawn: bool = False
    check: LabelProgress = LabelProgress()
    report: RunHistory = RunHistory()


@dataclass(frozen=True)
class LoopState:
    """Everything the decision rests on.

    :param current: the newest iteration; None before the first.
    :param checking: whether the policy asks for check items between learning and the report.
    :param items_left: items of the pool that the next iteration may ask about; None unless the report says continue.
    :param pool_growth: items that came into the pool since the newest snapshot, as a share of it.
    """

    current: IterationState | None
    max_attempts: int
    deadline_hours: float | None
    deadline_coverage: float
    checking: bool = False
    items_left: int | None = None
    pool_growth: float = 0.0
    reopen_growth: float = 0.2
    foreign_run_in_flight: str | None = None


@dataclass(frozen=True)
class Step:
    """The decision and its reason in words.

    :param new_partition: the iteration has to be added before the run can start.
    """

    action: Action
    reason: str
    iteration: str | None = None
    job: Job | None = None
    attempt: int = 0
    new_partition: bool = False

    @property
    def run_key(self) -> str:
        """Identifies the wanted run: asking for it twice starts it once, and a retry is another run."""
        return f"{self.iteration}/{self.job}/{self.attempt}"


def next_step(state: LoopState, occasion: Occasion) -> Step:
    """Decide what happens next.

    Only the nightly occasion starts the first iteration, learns again from labels that came in after the loop had
    ended, and opens an iteration because the pool has grown.
    """
    current = state.current
    if state.foreign_run_in_flight is not None:
        return Step(Action.WAIT, f"run {state.foreign_run_in_flight} of the loop's assets is in flight")
    if current is None:
        if occasion is Occasion.NIGHTLY:
            return _run(FIRST_KEY, Job.CURATE, RunHistory(), state, "the loop has not started", new_partition=True)
        return Step(
            Action.REST, "the loop has not started; materialize iteration 0000 or wait for the nightly schedule"
        )
    for job, history in ((Job.CURATE, current.curate), (Job.LEARN, current.learn), (Job.REPORT, current.report)):
        if history.in_flight:
            return Step(Action.WAIT, f"{job} is running", current.key, job)
    if not current.queue_published:
        return _run(current.key, Job.CURATE, current.curate, state, "its queue is not published yet")
    if current.verdict is None:
        return _towards_the_report(current, state)
    if current.verdict == CONTINUE and state.items_left != 0:
        following = next_key(current.key)
        return _run(
            following, Job.CURATE, RunHistory(), state, f"the report of {current.key} says continue", new_partition=True
        )
    return _after_the_end(current, state, occasion)


def _towards_the_report(current: IterationState, state: LoopState) -> Step:
    labels, check = current.labels, current.check
    reason = _why_enough(labels, "items", state)
    if reason is None:
        return _waiting("waiting for labels", labels, "items", Job.LEARN, current, state)
    if not state.checking or not current.check_drawn:
        return _run(current.key, Job.LEARN, current.learn, state, reason)
    reason = _why_enough(check, "check items", state) if check.queued else "no item of the stop set was left to check"
    if reason is None:
        return _waiting("checking", check, "check items", Job.REPORT, current, state)
    return _run(current.key, Job.REPORT, current.report, state, reason)


def _why_enough(labels: LabelProgress, items: str, state: LoopState) -> str | None:
    """Return why the labels suffice; None if they do not."""
    if labels.queued and labels.complete >= labels.queued:
        return f"all {labels.queued} {items} are labelled"
    if _overdue(labels, state) and labels.queued and labels.complete / labels.queued >= state.deadline_coverage:
        return f"the deadline passed with {labels.complete} of {labels.queued} {items} labelled"
    return None


def _overdue(labels: LabelProgress, state: LoopState) -> bool:
    return state.deadline_hours is not None and labels.hours_open >= state.deadline_hours


def _waiting(
    doing: str, labels: LabelProgress, items: str, job: Job, current: IterationState, state: LoopState
) -> Step:
    late = f"; the deadline passed, {state.deadline_coverage:.0%} would do" if _overdue(labels, state) else ""
    return Step(Action.WAIT, f"{doing}: {labels.complete} of {labels.queued} {items} complete{late}", current.key, job)


def _after_the_end(current: IterationState, state: LoopState, occasion: Occasion) -> Step:
    if occasion is Occasion.NIGHTLY and current.labels.late:
        reason = f"{current.labels.late} answers or adjudications came in or changed after the report"
        if state.checking:
            return _run(current.key, Job.REPORT, current.report, state, reason)
        return _run(current.key, Job.LEARN, current.learn, state, reason)
    if occasion is Occasion.NIGHTLY and state.pool_growth > state.reopen_growth:
        reason = f"the pool has grown by {state.pool_growth:.0%} since {current.key}"
        return _run(next_key(current.key), Job.CURATE, RunHistory(), state, reason, new_partition=True)
    why = "every item of the pool has been asked" if current.verdict == CONTINUE else current.verdict
    return Step(Action.REST, f"the loop has ended: {why}", current.key)


def _run(
    iteration: str, job: Job, history: RunHistory, state: LoopState, reason: str, *, new_partition: bool = False
) -> Step:
    if history.failures >= state.max_attempts:
        return Step(
            Action.BLOCKED,
            f"{job} failed {history.failures} times in a row; read the run's error, mend it, then run {job} by hand",
            iteration,
            job,
        )
    return Step(Action.RUN, reason, iteration, job, history.attempts, new_partition)
