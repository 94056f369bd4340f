import json
from dataclasses import asdict, replace

from rich.console import Console

from benchmarks.statistics.loop_coverage import QUICK, bench_loops, loop_tables, outside
from benchmarks.statistics.many_raters import settings_of
from benchmarks.statistics.simulated_rounds import RoundsSetting

TINY = replace(
    QUICK,
    raters=tuple(settings_of((3,), (150,), (0.1,))),
    rater_samples=3,
    pools=(RoundsSetting(items=600, audit=60, rounds=2),),
    learning=tuple(RoundsSetting(items=600, audit=60, rounds=2, learning=True, folds=folds) for folds in (0, 5)),
    judged=(1, 2),
    pool_loops=2,
    student_loops=1,
    undecided_samples=3,
    check_loops=2,
    resamples=80,
)


def test_the_benchmark_is_repeatable_fits_into_json_and_is_shown() -> None:
    lines: list[str] = []
    found = bench_loops(TINY, progress=lines.append)
    again = bench_loops(TINY)
    assert json.dumps(asdict(found)) == json.dumps(asdict(again))
    # Three figures of raters, and six of the pool and five of either way to learn, after either round.
    assert found.judged == 3 + 2 * 6 + 2 * 2 * 5
    assert len(found.outside) <= found.judged
    console = Console(record=True, width=200)
    for part in loop_tables(found):
        console.print(part)
    shown = console.export_text()
    assert "Pools that are used up or grow" in shown
    assert "Every label teaches and measures" in shown
    assert "student gain -0.18, round 1" in shown
    assert lines


def test_what_misses_a_target_is_named() -> None:
    cell = bench_loops(replace(TINY, pools=())).raters[0].figures[0]
    sound = replace(cell, bias=0.0, coverage=0.95, given=1.0, samples=400)
    assert outside([sound]) == []
    (line,) = outside([replace(sound, coverage=0.8)])
    assert line == "expert_expert_kappa, 3 raters, 150 items, prevalence 0.1: coverage 0.800 +- 0.011"
