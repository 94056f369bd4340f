"""Raters at once, against SQLite and PostgreSQL, in peace and while the server is killed."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from al_assets.review.desk.security.secret import desk_secret
from al_assets.storage.ledger import Ledger, Vote
from benchmarks.desk.desk_server import DeskServer, Effort, Meter, running_desk
from benchmarks.desk.prepared_desk import ITERATION, PreparedDesk, check_ledger, prepare_desk
from benchmarks.desk.raters import Rater, RaterLog, WorkingTime
from benchmarks.processes import running_cluster

DATABASES = ("sqlite", "postgresql")
PHASES = ("paced", "flat out", "killed")
THINK_SECONDS = 2.0
_FLOOR_SECONDS = 2.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Phase:
    """Some seconds of work by all raters.

    :param name: paced (a rater thinks about 2 s before each answer), flat out (none thinks) or killed (flat out, while
        the server is killed).
    :param p50_ms: from sending an answer to having the next question, which comes after the vote is durable; answers
        that had to be sent again are left out.
    :param longest_outage_ms: of the answers that had to be sent again after a kill; 0 without kills.
    :param errors: answers of the server that were none of a working desk, and raters who gave up.
    :param lost: answers that the page called saved and that are not on record.
    :param doubled: rows on record beyond one for each rater and question.
    :param too_many: votes beyond those asked for each item. Without kills there are none: what lies before one rater
        is given to no third. A kill makes the desk forget what lay before whom, so that after each as many votes too
        many may come in as questions lay before raters.
    :param kills: times that the server was killed.
    :param server_cpu_ms: processor time of the server for each vote, starting left out.
    :param server_peak_mb: the server's largest resident size.
    :param cores_of_raters: how many cores the raters themselves kept busy on average; they run on the same machine.
    :param cores_of_others: how many cores all other processes kept busy, a database server among them.
    """

    database: str
    name: str
    raters: int
    seconds: float
    votes: int
    votes_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    longest_outage_ms: float
    errors: int
    lost: int
    doubled: int
    too_many: int
    kills: int
    server_cpu_ms: float
    server_peak_mb: float
    cores_of_raters: float
    cores_of_others: float
    first_errors: tuple[str, ...]


@dataclass(frozen=True)
class DeskBench:
    """All phases, and the floor they are compared with.

    :param floor_votes_per_s: single votes that one process records durably one after the other, without a desk, over
        connections such as the desk's, in the same run, by database.
    :param ratio: votes a second of the desk flat out for each of the floor, by database; it may be above 1, because the
        desk makes the votes of several raters durable together.
    """

    phases: tuple[Phase, ...]
    floor_votes_per_s: dict[str, float]
    ratio: dict[str, float]


def bench_desk(
    *,
    raters: int = 50,
    items: int = 6_000,
    seconds: float = 10.0,
    kills: int = 3,
    databases: Sequence[str] = DATABASES,
    phases: Sequence[str] = PHASES,
    seed: int = 0,
    progress: Say = lambda line: None,
) -> DeskBench:
    """Let raters answer through a real server and count what the ledger has of it.

    :param items: of the queue; each takes two votes, and a phase ends early when none is left.
    :param seconds: of each phase; the times without a server come on top.
    :param kills: times that the server is killed and started again in the phase killed.
    :param phases: some of PHASES.
    :raises MissingPostgresError: PostgreSQL is wanted and its programs are not installed.
    """
    results: list[Phase] = []
    floors = {}
    for database in databases:
        with tempfile.TemporaryDirectory(prefix="al_bench_desk_") as scratch, _ledgers(database, Path(scratch)) as new:
            progress(f"{database}: single votes without a desk")
            single = prepare_desk(_folder(scratch, "floor"), new(), 2, 5_000, seed)
            floors[database] = _floor(single, min(seconds, _FLOOR_SECONDS))
            for name in phases:
                progress(f"{database}: {raters} raters, {name}")
                desk = prepare_desk(_folder(scratch, name), new(), raters, items, seed)
                think, wanted = (THINK_SECONDS if name == "paced" else 0.0), (kills if name == "killed" else 0)
                results.append(_phase(database, name, desk, seconds, think, wanted))
    ratio = {
        phase.database: phase.votes_per_s / floors[phase.database] for phase in results if phase.name == "flat out"
    }
    return DeskBench(tuple(results), floors, ratio)


@contextmanager
def _ledgers(database: str, folder: Path) -> Iterator[Callable[[], str]]:
    """Yield what gives the URL of an empty ledger each time."""
    if database == "sqlite":
        numbers = iter(range(1_000))
        yield lambda: f"sqlite:///{folder}/ledger{next(numbers)}.sqlite"
    elif database == "postgresql":
        with running_cluster(durable=True) as cluster:
            yield cluster.new_database
    else:
        raise ValueError(f"database: {database!r} is unknown; expected one of {', '.join(DATABASES)}")


def _folder(scratch: str, name: str) -> Path:
    folder = Path(scratch) / name.replace(" ", "_")
    folder.mkdir()
    return folder


def _floor(desk: PreparedDesk, seconds: float) -> float:
    """Return how many single votes a second one process records durably."""
    rater = next(iter(desk.links))
    done, began = 0, time.perf_counter()
    with Ledger.of(desk.policy, keep_connections=True) as ledger:
        for item in ledger.queue(ITERATION)["item_id"]:
            if time.perf_counter() - began > seconds:
                break
            ledger.record([Vote(item, ITERATION, rater, "negative", "1", datetime.now(UTC))])
            done += 1
    return done / (time.perf_counter() - began)


def _phase(database: str, name: str, desk: PreparedDesk, seconds: float, think: float, kills: int) -> Phase:
    log = RaterLog()
    with running_desk(desk.policy_file, desk.policy_file.parent / "desk.log") as server:
        effort = asyncio.run(_work(desk, server, seconds, think, kills, log))
        server.note_memory()
        peak = server.peak_mb
    recorded = check_ledger(desk, desk_secret(desk.policy), log.accepted)
    p50, p95, p99 = (float(quantile) * 1_000 for quantile in np.percentile(log.seconds or [np.nan], [50, 95, 99]))
    return Phase(
        database=database,
        name=name,
        raters=len(desk.links),
        seconds=effort.seconds,
        votes=recorded.votes,
        votes_per_s=recorded.votes / effort.seconds,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        longest_outage_ms=max(log.outages, default=0.0) * 1_000,
        errors=len(log.errors),
        lost=recorded.lost,
        doubled=recorded.doubled,
        too_many=recorded.too_many,
        kills=effort.kills,
        server_cpu_ms=effort.server / max(recorded.votes, 1) * 1_000,
        server_peak_mb=peak,
        cores_of_raters=effort.raters / effort.seconds,
        cores_of_others=effort.others / effort.seconds,
        first_errors=tuple(log.errors[:3]),
    )


async def _work(
    desk: PreparedDesk, server: DeskServer, seconds: float, think: float, kills: int, log: RaterLog
) -> Effort:
    """Let everybody sign in and work; return what it took from the first question to the last answer."""
    raters = [Rater(name, server.port) for name in desk.links]
    for rater in raters:
        await rater.sign_in(desk.links[rater.name])
    meter = Meter(server)
    working_time = WorkingTime(meter.began + seconds)
    at_work = [asyncio.create_task(rater.work(working_time, think, log)) for rater in raters]
    for _ in range(kills):
        # Each server lives equally long, or the next ones would not get far enough to lose anything.
        await asyncio.sleep(seconds / (kills + 1))
        killed_at = time.monotonic()
        server.kill()
        await asyncio.to_thread(server.start)
        working_time.ends += time.monotonic() - killed_at
        meter.kills += 1
    await asyncio.gather(*at_work)
    effort = meter.effort()
    for rater in raters:
        rater.leave()
    return effort
