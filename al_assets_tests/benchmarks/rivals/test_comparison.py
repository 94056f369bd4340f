import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest
from rich.console import Console

from al_assets.curation.checks import CurationError
from al_assets_tests.benchmarks.rivals.misbehaving import system
from al_assets_tests.benchmarks.rivals.small_pool import small_pool
from al_assets_tests.support.processes import wait_until
from benchmarks.rivals import systems
from benchmarks.rivals.comparison import RivalResult, bench_rivals, distinct_open, rivals_json, rivals_table
from benchmarks.rivals.question import pose
from benchmarks.rivals.systems import SYSTEMS, System, check_installed, chosen_systems


def _ask(strategy: str, *, limit_s: float = 60, memory_mb: float = 4_000) -> RivalResult:
    found = bench_rivals(
        [small_pool()], budget=30, limit_s=limit_s, memory_mb=memory_mb, seed=0, systems=[system(strategy)]
    )
    assert len(found) == 1
    return found[0]


def test_a_query_is_timed_and_its_picks_are_judged() -> None:
    lines: list[str] = []
    pools = [small_pool(), replace(small_pool(seed=1), name="other")]
    found = bench_rivals(pools, budget=None, seed=0, systems=[system("first")], progress=lines.append)
    assert lines == ["small, 300 items: misbehaving first", "other, 300 items: misbehaving first"]
    assert [(each.system, each.strategy, each.version, each.pool, each.n) for each in found] == [
        ("misbehaving", "first", "1.2.3", "small", 300),
        ("misbehaving", "first", "1.2.3", "other", 300),
    ]
    first = found[0]
    assert first.stopped is False
    assert (first.budget, first.picked) == (7, 7)
    assert first.wall_s is not None
    assert first.cpu_s is not None
    assert 0 < first.wall_s < 60
    assert first.baseline_rss_mb is not None
    assert first.peak_rss_mb is not None
    assert 20 < first.baseline_rss_mb <= first.peak_rss_mb < 1_000
    assert first.quality is not None
    picked = pose(small_pool(), 7, 0).open_rows[:7]
    assert first.quality.positive_share == pytest.approx(small_pool().truth[picked].mean())


def test_the_peak_is_the_querys_own_however_large_this_process_is() -> None:
    ballast = np.ones(60_000_000)
    peak = _ask("first").peak_rss_mb
    assert peak is not None
    assert peak < ballast.nbytes / 2**20


def test_a_query_over_its_time_is_killed_with_its_children_and_nothing_else(tmp_path: Path) -> None:
    note = tmp_path / "grandchild"
    pool = small_pool()
    pool = replace(pool, item_ids=pl.Series("item_id", [str(note), *pool.item_ids[1:].to_list()]))
    bystander = psutil.Popen(["sleep", "600"])
    try:
        (found,) = bench_rivals([pool], budget=30, limit_s=1.0, seed=0, systems=[system("sleep")])
        assert found.stopped is True
        assert found.wall_s is not None
        assert 1.0 <= found.wall_s < 60
        assert found.cpu_s is not None
        assert found.cpu_s < 0.9
        assert found.quality is None
        assert (found.picked, found.version) == (0, "1.2.3")
        grandchild = int(note.read_text(encoding="utf-8"))
        # It is told to end and may take a moment to do so.
        assert wait_until(lambda: _ended(grandchild), 10)
        assert bystander.is_running()
        assert bystander.pid != os.getpid()
    finally:
        bystander.kill()
        bystander.wait()


def test_a_query_over_its_memory_is_killed() -> None:
    found = _ask("hoard", memory_mb=500)
    assert found.stopped == "memory"
    assert found.quality is None
    assert found.peak_rss_mb is not None
    assert 500 < found.peak_rss_mb < 1_500


@pytest.mark.parametrize(
    ("strategy", "stopped"),
    [
        ("refused", "memory"),
        ("fail", "error: RuntimeError: no such luck"),
        ("die", "error: its process ended with status 7: last words"),
        ("repeat", "error: 2 of 30 picks repeat or were labelled before"),
    ],
)
def test_what_goes_wrong_is_in_the_list(strategy: str, stopped: str) -> None:
    found = _ask(strategy)
    assert found.stopped == stopped
    assert found.quality is None


def test_more_picks_than_unlabelled_items_are_refused() -> None:
    with pytest.raises(CurationError, match="budget: 281 items of the pool 'small', which has 280 unlabelled ones"):
        bench_rivals([small_pool()], budget=281, seed=0, systems=[system("first")])
    with pytest.raises(CurationError, match="budget: 0 is too small"):
        bench_rivals([small_pool()], budget=0, seed=0, systems=[system("first")])


def test_picks_count_once_and_only_if_they_were_open() -> None:
    question = pose(small_pool(), 30, 0)
    rows = np.array([question.open_rows[5], question.open_rows[2], question.open_rows[5], question.labelled_rows[0]])
    assert distinct_open(rows, question).tolist() == [question.open_rows[5], question.open_rows[2]]


def test_systems_are_chosen_by_name() -> None:
    assert chosen_systems() == list(SYSTEMS)
    assert chosen_systems(["modAL", "small-text:BreakingTies"]) == [
        systems.MODAL,
        System("small-text", systems.SMALL_TEXT.module, "small_text", ("BreakingTies",)),
    ]
    with pytest.raises(CurationError, match="'ModAl' is not one of al_assets, small-text"):
        chosen_systems(["ModAl"])
    with pytest.raises(CurationError, match="'badge' is not a strategy of small-text; name one of BreakingTies"):
        chosen_systems(["small-text:badge"])


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(CurationError, match=r"systems: absent not installed; pip install 'al_assets\[bench\]'"):
        check_installed([System("absent", "x", "no_such_package_anywhere", ("y",))])


def test_the_table_and_the_json_hold_what_returned_and_what_did_not() -> None:
    found = bench_rivals([small_pool()], budget=30, seed=0, systems=[system("fail", "first")])
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(rivals_table(found, "small"))
    text = console.export_text()
    lines = text.splitlines()
    assert lines[0].strip() == "small: 300 items, 30 picks"
    # What was stopped comes last.
    assert [line.split("│")[2].strip() for line in lines if "misbehaving" in line] == ["first", "fail"]
    assert "error: RuntimeError: no such luck" in text
    plain = json.loads(json.dumps(rivals_json(found), allow_nan=False))
    assert [each["stopped"] for each in plain] == ["error: RuntimeError: no such luck", False]
    assert plain[0]["quality"] is None
    assert set(plain[1]["quality"]) == {
        "band_share", "topics_covered", "topics", "mislabelled_share", "positive_share",
    }  # fmt: skip


def _ended(process: int) -> bool:
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
