"""What is simulated of whole loops: many raters, pools used up, cross-fitting, one-sided students, second draws."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import polars as pl
from rich.console import RenderableType

from al_assets.commands.options import frame_table
from al_assets.formatting import decimal, percent
from benchmarks.statistics.check_draws import SIZES, CheckCell, check_draws
from benchmarks.statistics.depleting_pools import (
    FIGURES,
    JUDGED_ROUNDS,
    OF_STUDENT,
    PoolCell,
    depleting_pools,
    learning_pools,
    pool_coverage,
)
from benchmarks.statistics.estimates import EstimateCell
from benchmarks.statistics.many_raters import RatersCell, RatersSetting, many_raters, settings_of
from benchmarks.statistics.one_sided_students import SaidOfStudent, one_sided_students
from benchmarks.statistics.simulated_rounds import RoundsSetting
from benchmarks.statistics.undecided_answers import UndecidedCell, undecided_answers

# Targets hold from so many audit items a round on.
_JUDGED_AUDIT = 60


@dataclass(frozen=True)
class LoopSize:
    """How much of whole loops is simulated.

    :param learning: pools whose students learn, from all that is asked or from what is not held out.
    :param pool_loops: loops of each setting of ``pools`` and ``learning``; of pools above 5,000 items half as many.
    """

    raters: tuple[RatersSetting, ...]
    rater_samples: int
    pools: tuple[RoundsSetting, ...]
    learning: tuple[RoundsSetting, ...]
    judged: tuple[int, ...]
    pool_loops: int
    student_loops: int
    undecided_samples: int
    check_prevalences: tuple[float, ...]
    check_sizes: tuple[int, ...]
    check_loops: int
    resamples: int


FULL = LoopSize(
    raters=(
        *settings_of((3, 5, 10, 20), (150,), (0.05, 0.1, 0.3)),
        *settings_of((5, 20), (500,), (0.05, 0.1, 0.3)),
    ),
    rater_samples=200,
    pools=tuple(depleting_pools()),
    learning=tuple(learning_pools()),
    judged=JUDGED_ROUNDS,
    pool_loops=40,
    student_loops=60,
    undecided_samples=200,
    check_prevalences=(0.05, 0.1),
    check_sizes=SIZES,
    check_loops=60,
    resamples=400,
)
QUICK = replace(
    FULL,
    raters=tuple(settings_of((3, 20), (150,), (0.1,))),
    rater_samples=10,
    pools=(RoundsSetting(items=1_000, audit=30, rounds=3),),
    learning=tuple(RoundsSetting(items=1_000, audit=30, rounds=3, learning=True, folds=folds) for folds in (0, 5)),
    judged=(1, 3),
    pool_loops=5,
    student_loops=2,
    undecided_samples=20,
    check_prevalences=(0.1,),
    check_sizes=(90,),
    check_loops=5,
    resamples=200,
)


@dataclass(frozen=True)
class LoopBench:
    """What was found.

    :param outside: figures of many raters and of pools that miss a target by more than two standard errors, in words:
        a bias of at most .01, from 60 audit items a round on, and a coverage of .93 to .97.
    :param judged: figures held against the targets.
    """

    raters: tuple[RatersCell, ...]
    pools: tuple[PoolCell, ...]
    learning: tuple[PoolCell, ...]
    students: tuple[SaidOfStudent, ...]
    undecided: tuple[UndecidedCell, ...]
    checks: tuple[CheckCell, ...]
    judged: int
    outside: tuple[str, ...]


def bench_loops(size: LoopSize, *, seed: int = 0, progress: Callable[[str], None] = lambda _: None) -> LoopBench:
    """Simulate all of it."""
    raters = many_raters(
        size.raters, samples=size.rater_samples, resamples=size.resamples, seed=seed, progress=progress
    )
    pools, learning = (
        [
            cell
            for number, setting in enumerate(settings)
            for cell in pool_coverage(
                setting,
                figures,
                loops=size.pool_loops // (2 if setting.items > 5_000 else 1),
                resamples=size.resamples,
                seed=(seed, number),
                judged=size.judged,
                progress=progress,
            )
        ]
        for settings, figures in ((size.pools, FIGURES), (size.learning, OF_STUDENT))
    )
    judged = [
        *(figure for cell in raters for figure in cell.figures),
        *(figure for cell in (*pools, *learning) if cell.setting.audit >= _JUDGED_AUDIT for figure in cell.figures),
    ]
    return LoopBench(
        raters=tuple(raters),
        pools=tuple(pools),
        learning=tuple(learning),
        students=tuple(
            one_sided_students(loops=size.student_loops, resamples=size.resamples, seed=seed, progress=progress)
        ),
        undecided=tuple(undecided_answers(samples=size.undecided_samples, seed=seed)),
        checks=tuple(
            check_draws(
                prevalences=size.check_prevalences,
                sizes=size.check_sizes,
                loops=size.check_loops,
                resamples=size.resamples,
                seed=seed,
                progress=progress,
            )
        ),
        judged=len(judged),
        outside=tuple(outside(judged)),
    )


def outside(figures: Sequence[EstimateCell]) -> list[str]:
    """Return in words what misses its target, a figure a line."""
    return [f"{each.figure}, {each.setting}: {'; '.join(each.faults)}" for each in figures if each.faults]


def loop_tables(bench: LoopBench) -> Iterator[RenderableType]:
    """Yield what a person sees of it."""
    held_out, crossfit = (
        [cell for cell in bench.learning if bool(cell.setting.folds) is kind] for kind in (False, True)
    )
    of_raters = [(f"{cell.setting.raters} raters", figure) for cell in bench.raters for figure in cell.figures]
    tables = {
        "Many raters": of_raters,
        "Pools that are used up or grow": _by_round(bench.pools),
        "Some labels teach, some measure": _by_round(held_out),
        "Every label teaches and measures": _by_round(crossfit),
    }
    for title, figures in tables.items():
        rows = pl.DataFrame([{"where": where, **asdict(figure)} for where, figure in figures])
        summary = rows.group_by("figure", "where", maintain_order=True).agg(
            pl.col("bias").mean(),
            pl.col("bias").abs().max().alias("largest"),
            pl.col("coverage").mean(),
            pl.col("half_width").mean(),
            pl.len().alias("settings"),
        )
        yield frame_table(summary, f"{title}: means over the settings")
    yield f"{len(bench.outside)} of {bench.judged} figures miss a target by more than two standard errors"
    yield from (f"  outside: {line}" for line in bench.outside)
    for said in bench.students:
        yield (
            f"student {said.student}, round {said.round}: true gain {decimal(said.gain, sign=True)}, "
            f"{decimal(said.gap, sign=True)} to the experts; said better {percent(said.better)}, parity at the "
            f"boundary {percent(said.boundary_parity)}, in the pool {percent(said.population_parity)}, "
            f"both {percent(said.parity)}"
        )
    for cell in bench.undecided:
        yield (
            f"{percent(cell.undecided, 1)} undecided, {cell.raters} raters: {cell.figure} {decimal(cell.decisive, 3)} "
            f"where {decimal(cell.truth, 3)} is true; {decimal(cell.worst, 3)} to {decimal(cell.best, 3)} hold it in "
            f"{percent(cell.held)} of samples"
        )
    for each in bench.checks:
        yield (
            f"prevalence {each.prevalence:g}, round {each.round}, check {each.items} ({each.drawn}): sd of the gain "
            f"{decimal(each.gain.deviation, 3)}, bias {decimal(each.gain.bias, 3, sign=True)}, coverage "
            f"{decimal(each.gain.coverage, 2, missing='not asked')}; sd of kappa {decimal(each.kappa.deviation, 3)}"
        )


def _by_round(cells: Sequence[PoolCell]) -> list[tuple[str, EstimateCell]]:
    return [(f"round {cell.round}", figure) for cell in cells for figure in cell.figures]
