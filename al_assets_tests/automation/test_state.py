import itertools
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest

from al_assets.automation.state import (
    Action,
    IterationState,
    LabelProgress,
    LoopState,
    Occasion,
    RunHistory,
    Step,
    next_step,
)
from al_assets.partitions import Job

MAX_ATTEMPTS = 3
DEADLINE = 24.0
COVERAGE = 0.8
GROWTH = 0.2
ENDED = ("parity", "plateau", "stable", "budget spent", "guideline problem")

HISTORIES = [
    RunHistory(in_flight, failures + successes, failures)
    for in_flight, failures, successes in itertools.product((False, True), (0, MAX_ATTEMPTS - 1, MAX_ATTEMPTS), (0, 2))
]
LABELS = [
    LabelProgress(queued, complete, hours, late)
    for (queued, complete), hours, late in itertools.product(
        ((10, 0), (10, 7), (10, 8), (10, 10)), (DEADLINE - 0.01, DEADLINE), (0, 3)
    )
]
FEW_HISTORIES = [RunHistory(), RunHistory(in_flight=True), RunHistory(False, MAX_ATTEMPTS, MAX_ATTEMPTS)]
CHECKS = [(drawn, check) for drawn in (False, True) for check in (LabelProgress(), *LABELS)]
PUBLISHED_AND_VERDICT = [(False, None), *((True, verdict) for verdict in (None, "continue", *ENDED))]


def loop_state(current: IterationState | None, **facets: object) -> LoopState:
    values = {
        "max_attempts": MAX_ATTEMPTS, "deadline_hours": DEADLINE, "deadline_coverage": COVERAGE,
        "reopen_growth": GROWTH, **facets,
    }  # fmt: skip
    return LoopState(current=current, **values)  # type: ignore[arg-type]


@cache
def all_states() -> list[LoopState]:
    """Return every combination of what the decision may depend on."""
    currents: list[IterationState | None] = [None]
    currents += [
        IterationState("0004", published, labels, verdict, curate, learn)
        for (published, verdict), labels, curate, learn in itertools.product(
            PUBLISHED_AND_VERDICT, LABELS, HISTORIES, HISTORIES
        )
    ]
    return [
        loop_state(current, deadline_hours=deadline, items_left=left, pool_growth=growth, foreign_run_in_flight=foreign)
        for current, deadline, left, growth, foreign in itertools.product(
            currents, (None, DEADLINE), (0, 7), (GROWTH, GROWTH + 0.01), (None, "run-7")
        )
    ] + checking_states()


@cache
def checking_states() -> list[LoopState]:
    """Return what check items add to the decision: whether they are wanted, drawn and answered, and the job report."""
    return [
        loop_state(
            IterationState("0004", published, labels, verdict, curate, learn, drawn, check, report),
            checking=checking, deadline_hours=deadline, items_left=left, pool_growth=growth,
        )
        for (published, verdict), labels, (drawn, check), curate, learn, report, checking, deadline, (left, growth)
        in itertools.product(
            PUBLISHED_AND_VERDICT[:4], (LABELS[0], LABELS[10], LABELS[-1]), CHECKS, FEW_HISTORIES[:2], FEW_HISTORIES,
            FEW_HISTORIES, (False, True), (None, DEADLINE), ((7, GROWTH), (0, GROWTH + 0.01)),
        )
    ]  # fmt: skip


Decision = tuple[Action, str | None, Job | None, bool]


def wanted(state: LoopState, occasion: Occasion) -> Decision:
    """The rules as a table, written from the design rather than from the code: the first that applies decides."""
    now, nightly = state.current, occasion is Occasion.NIGHTLY
    wait, rest = Action.WAIT, Action.REST

    def run(key: str, job: Job, failures: int, new: bool = False) -> Decision:
        return (Action.RUN if failures < state.max_attempts else Action.BLOCKED, key, job, new)

    if state.foreign_run_in_flight:
        return wait, None, None, False
    if now is None:
        return run("0000", Job.CURATE, 0, new=True) if nightly else (rest, None, None, False)

    def enough(labels: LabelProgress) -> bool:
        overdue = state.deadline_hours is not None and labels.hours_open >= state.deadline_hours
        return labels.complete == labels.queued or (overdue and labels.complete / labels.queued >= COVERAGE)

    labels, unreported = now.labels, now.verdict is None
    checking = state.checking and now.check_drawn
    last, runs = (Job.REPORT, now.report) if state.checking else (Job.LEARN, now.learn)
    ended = now.verdict in ENDED or (now.verdict == "continue" and state.items_left == 0)
    table = [
        (now.curate.in_flight, (wait, "0004", Job.CURATE, False)),
        (now.learn.in_flight, (wait, "0004", Job.LEARN, False)),
        (now.report.in_flight, (wait, "0004", Job.REPORT, False)),
        (not now.queue_published, run("0004", Job.CURATE, now.curate.failures)),
        (unreported and not enough(labels), (wait, "0004", Job.LEARN, False)),
        (unreported and not checking, run("0004", Job.LEARN, now.learn.failures)),
        (unreported and enough(now.check), run("0004", Job.REPORT, now.report.failures)),
        (unreported, (wait, "0004", Job.REPORT, False)),
        (now.verdict == "continue" and not ended, run("0005", Job.CURATE, 0, new=True)),
        (ended and nightly and labels.late > 0, run("0004", last, runs.failures)),
        (ended and nightly and state.pool_growth > GROWTH, run("0005", Job.CURATE, 0, new=True)),
        (ended, (rest, "0004", None, False)),
    ]
    return next(decision for applies, decision in table if applies)


def decision(step: Step) -> Decision:
    # Only a run makes a partition, whatever else a step says.
    return step.action, step.iteration, step.job, step.new_partition


@pytest.mark.slow
def test_every_combination_of_the_states_facets_is_decided_as_the_table_says() -> None:
    seen = set()
    count = 0
    for state in all_states():
        for occasion in Occasion:
            step = next_step(state, occasion)
            assert decision(step) == wanted(state, occasion), (state, occasion, step)
            assert step.reason
            seen.add((step.action, step.job, step.new_partition, occasion))
            count += 1
    assert count == 2 * 16 * (1 + len(PUBLISHED_AND_VERDICT) * len(LABELS) * len(HISTORIES) ** 2) + 2 * len(
        checking_states()
    )
    # The enumeration reaches everything the machine can do.
    for occasion in Occasion:
        reached = {step for step in seen if step[3] is occasion}
        assert {action for action, *_ in reached} == set(Action)
        jobs = {(job, job is Job.CURATE) for job in Job}
        assert {(Action.RUN, job, new_partition, occasion) for job, new_partition in jobs} <= reached
        assert (Action.WAIT, Job.REPORT, False, occasion) in reached


def test_no_run_is_asked_for_while_one_is_in_flight() -> None:
    for state in all_states():
        now = state.current
        runs = (now.curate, now.learn, now.report) if now else ()
        busy = state.foreign_run_in_flight or any(history.in_flight for history in runs)
        if busy:
            for occasion in Occasion:
                assert next_step(state, occasion).action is Action.WAIT


def test_the_sensor_and_the_schedule_disagree_only_before_the_start_and_after_the_end() -> None:
    for state in all_states():
        now = state.current
        if now is not None and now.verdict not in ENDED and state.items_left:
            assert next_step(state, Occasion.SENSOR) == next_step(state, Occasion.NIGHTLY)


def test_late_votes_and_a_grown_pool_are_the_nights_business() -> None:
    for state in all_states():
        now = state.current
        calm = replace(
            state, pool_growth=0.0, current=now and replace(now, labels=replace(now.labels, late=0))
        )  # fmt: skip
        assert next_step(state, Occasion.SENSOR) == next_step(calm, Occasion.SENSOR)


def test_a_loop_that_asked_about_everything_rests_and_says_why() -> None:
    current = IterationState("0003", True, LabelProgress(10, 10, 1.0), verdict="continue")
    step = next_step(loop_state(current, items_left=0), Occasion.SENSOR)
    assert (step.action, step.reason) == (
        Action.REST, "the loop has ended: every item of the pool has been asked"
    )  # fmt: skip
    assert next_step(loop_state(current, items_left=1), Occasion.SENSOR).iteration == "0004"
    assert next_step(loop_state(current, items_left=0, pool_growth=1.0), Occasion.NIGHTLY).iteration == "0004"


def test_a_run_key_names_iteration_job_and_attempt() -> None:
    current = IterationState("0002", queue_published=False, curate=RunHistory(attempts=1, failures=1))
    step = next_step(loop_state(current), Occasion.SENSOR)
    assert step.run_key == "0002/curate/1"
    assert next_step(loop_state(current), Occasion.NIGHTLY).run_key == step.run_key
    again = replace(current, curate=RunHistory(attempts=2, failures=2))
    assert next_step(loop_state(again), Occasion.SENSOR).run_key == "0002/curate/2"


def test_learning_from_late_votes_is_another_run_than_the_first() -> None:
    current = IterationState(
        "0002", True, LabelProgress(10, 10, 1.0, late=4), verdict="parity", learn=RunHistory(attempts=1)
    )
    step = next_step(loop_state(current), Occasion.NIGHTLY)
    assert step.action is Action.RUN
    assert step.run_key == "0002/learn/1"
    assert "4 answers" in step.reason


@pytest.mark.parametrize("failures", range(MAX_ATTEMPTS + 2))
def test_a_job_is_tried_so_often_and_no_more(failures: int) -> None:
    current = IterationState("0000", queue_published=False, curate=RunHistory(attempts=failures, failures=failures))
    step = next_step(loop_state(current), Occasion.SENSOR)
    assert step.action is (Action.RUN if failures < MAX_ATTEMPTS else Action.BLOCKED)
    if step.action is Action.BLOCKED:
        assert f"failed {failures} times" in step.reason
        assert "by hand" in step.reason


def test_reasons_tell_how_many_items_are_labelled() -> None:
    waiting = IterationState("0001", True, LabelProgress(queued=120, complete=80, hours_open=30))
    assert "80 of 120" in next_step(loop_state(waiting), Occasion.SENSOR).reason
    assert "80%" in next_step(loop_state(waiting), Occasion.SENSOR).reason
    late = replace(waiting, labels=replace(waiting.labels, complete=96))
    step = next_step(loop_state(late), Occasion.SENSOR)
    assert step.action is Action.RUN
    assert "deadline" in step.reason
    assert "96 of 120" in step.reason


def test_the_check_is_waited_for_and_told_as_such() -> None:
    checking = partial(loop_state, checking=True)
    current = IterationState("0001", True, LabelProgress(120, 120, 50), learn=RunHistory(attempts=1))
    assert next_step(checking(current), Occasion.SENSOR).job is Job.LEARN
    drawn = replace(current, check_drawn=True, check=LabelProgress(90, 40, DEADLINE - 1))
    step = next_step(checking(drawn), Occasion.SENSOR)
    assert (step.action, step.job, step.reason) == (
        Action.WAIT, Job.REPORT, "checking: 40 of 90 check items complete"
    )  # fmt: skip
    # Its deadline counts from its own publication, not from that of the queue.
    overdue = replace(drawn, check=LabelProgress(90, 40, DEADLINE))
    assert next_step(checking(overdue), Occasion.SENSOR).reason.endswith("; the deadline passed, 80% would do")
    enough = next_step(checking(replace(drawn, check=LabelProgress(90, 72, DEADLINE))), Occasion.SENSOR)
    assert (enough.run_key, enough.reason) == (
        "0001/report/0", "the deadline passed with 72 of 90 check items labelled"
    )  # fmt: skip
    none = next_step(checking(replace(drawn, check=LabelProgress())), Occasion.SENSOR)
    assert (none.run_key, none.reason) == ("0001/report/0", "no item of the stop set was left to check")


def test_check_items_that_are_not_asked_for_any_more_hold_up_nothing() -> None:
    labels, check = LabelProgress(120, 120), LabelProgress(90, 40)
    current = IterationState("0001", True, labels, learn=RunHistory(attempts=1), check_drawn=True, check=check)
    step = next_step(loop_state(current), Occasion.SENSOR)
    assert (step.action, step.run_key) == (Action.RUN, "0001/learn/1")


class World:
    """Runs, votes and a pool that change by chance; what the machine asks for is started as Dagster would."""

    def __init__(self, seed: int, checking: bool) -> None:
        self.chance = np.random.default_rng(seed)
        self.keys: set[str] = set()
        self.state = loop_state(None, deadline_hours=None, checking=checking)
        self.finished_iterations = 0

    def tick(self, occasion: Occasion) -> None:
        step = next_step(self.state, occasion)
        if step.action is Action.BLOCKED:
            # A person mends what was wrong and runs the job by hand.
            assert self.state.current is not None
            self.set_history(self.state.current, str(step.job), in_flight=True)
        if step.action is not Action.RUN:
            return
        assert self.running() is None, "two runs in flight"
        # Dagster drops a request whose run key it has seen: the loop would then wait for ever.
        assert step.run_key not in self.keys
        self.keys.add(step.run_key)
        current = self.state.current
        if step.new_partition:
            assert current is None or step.iteration == f"{int(current.key) + 1:04d}"
            current = IterationState(str(step.iteration))
        assert current is not None
        assert step.iteration == current.key
        self.set_history(current, str(step.job), in_flight=True)

    def set_history(self, current: IterationState, job: str, **changes: object) -> None:
        history = replace(getattr(current, job), **changes)
        self.state = replace(self.state, current=replace(current, **{job: history}))

    def running(self) -> str | None:
        now = self.state.current
        return next((job for job in ("curate", "learn", "report") if now and getattr(now, job).in_flight), None)

    def finish(self) -> None:
        job, now = self.running(), self.state.current
        if job is None or now is None:
            return
        history: RunHistory = getattr(now, job)
        if self.chance.random() < 0.3:
            self.set_history(now, job, in_flight=False, attempts=history.attempts + 1, failures=history.failures + 1)
            if job != "curate":
                self.state = replace(self.state, current=replace(self.state.current, verdict=None))  # type: ignore[type-var]
            return
        if job == "curate":
            now = replace(now, queue_published=True, labels=LabelProgress(queued=10))
            self.state = replace(self.state, pool_growth=0.0)
        elif job == "learn" and self.state.checking:
            if not now.check_drawn:
                now = replace(now, check_drawn=True, check=LabelProgress(queued=int(self.chance.choice([0, 6]))))
        else:
            verdict = str(self.chance.choice(["continue", "parity"]))
            now = replace(now, verdict=verdict, labels=replace(now.labels, late=0))
            self.finished_iterations += 1
        self.set_history(now, job, in_flight=False, attempts=history.attempts + 1, failures=0)

    def vote(self) -> None:
        now = self.state.current
        if now and now.queue_published:
            late = now.labels.late + (now.verdict is not None)
            complete = min(10, now.labels.complete + int(self.chance.integers(6)))
            checked = min(now.check.queued, now.check.complete + int(self.chance.integers(4)))
            labels, check = replace(now.labels, complete=complete, late=late), replace(now.check, complete=checked)
            self.state = replace(self.state, current=replace(now, labels=labels, check=check))

    def grow(self) -> None:
        self.state = replace(self.state, pool_growth=self.state.pool_growth + 0.15)


@pytest.mark.parametrize("checking", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_a_loop_that_lives_by_chance_never_starts_two_runs_nor_asks_for_one_twice(seed: int, checking: bool) -> None:
    world = World(seed, checking)
    events = [
        lambda: world.tick(Occasion.SENSOR), lambda: world.tick(Occasion.NIGHTLY), world.finish, world.vote, world.grow,
    ]  # fmt: skip
    for event in world.chance.choice(len(events), size=600, p=[0.4, 0.1, 0.25, 0.2, 0.05]):
        events[event]()
    assert world.finished_iterations >= 2
