"""Nominal against actual coverage of the intervals: of kappa, of audits of known pools, and of whole loops."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import sqrt

import numpy as np

from benchmarks.statistics import loop_coverage
from benchmarks.statistics.audit_coverage import PROMISED, AuditCell, audit_coverage, simulated_pool
from benchmarks.statistics.estimates import ACCEPTED
from benchmarks.statistics.kappa_coverage import DIFFERENCE, CoverageCell, Setting, kappa_coverage
from benchmarks.statistics.loop_coverage import LoopBench, LoopSize, bench_loops

TARGET_SHARE = 0.9
JUDGED_FROM = 150
# The table of statistics.md, 4: half-widths near kappa .78 with 40 % positive.
HALF_WIDTH_KAPPA, HALF_WIDTH_PREVALENCE = 0.78, 0.4


@dataclass(frozen=True)
class BenchSize:
    """How much is simulated.

    :param samples: simulated samples of each setting of the grid, each with ``resamples`` resamples.
    :param paired: prevalences and kappas of the grid that are simulated once more with pairs as groups.
    :param audits: simulated audits of each kind: items a round, rounds.
    """

    items: tuple[int, ...] = (50, 150, 500)
    prevalences: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    kappas: tuple[float, ...] = (0.3, 0.5, 0.65, 0.8)
    paired: tuple[tuple[float, float], ...] = ((0.1, 0.5), (0.1, 0.8), (0.4, 0.5), (0.4, 0.8))
    half_width_items: tuple[int, ...] = (150, 250, 500, 1_000, 2_000)
    samples: int = 1_000
    resamples: int = 1_000
    pool: int = 400_000
    pool_prevalences: tuple[float, ...] = (0.05, 0.1, 0.15)
    audit_rounds: tuple[tuple[int, int], ...] = ((30, 1), (100, 1), (400, 1))
    audits: int = 200
    loops: LoopSize = loop_coverage.FULL

    def settings(self) -> list[Setting]:
        """Return the grid, first with items on their own, then with pairs."""
        alone = [Setting(*setting) for setting in product(self.items, self.prevalences, self.kappas)]
        paired = [Setting(n, *setting, pairs=True) for n, setting in product(self.items, self.paired)]
        return alone + paired


FULL = BenchSize()
QUICK = BenchSize(
    items=(50, 150),
    prevalences=(0.2, 0.4),
    kappas=(0.5, 0.8),
    paired=((0.4, 0.5),),
    half_width_items=(150,),
    samples=60,
    resamples=200,
    pool=20_000,
    pool_prevalences=(0.1,),
    audit_rounds=((100, 1), (100, 2)),
    audits=20,
    loops=loop_coverage.QUICK,
)


@dataclass(frozen=True)
class HalfWidth:
    """The mean half-width of the 95 % interval of expert-expert kappa at kappa .78 and 40 % positive."""

    n: int
    half_width: float | None


@dataclass(frozen=True)
class KappaSummary:
    """The target: in at least ``wanted`` of the cells with n >= 150, coverage between .93 and .97.

    :param accepted: cells within; ``judged`` cells with n >= 150 of expert-expert and model-expert kappa.
    :param outside: the others, in words.
    """

    accepted: int
    judged: int
    wanted: float
    reached: bool
    outside: tuple[str, ...]


@dataclass(frozen=True)
class AuditBench:
    """The audits of the simulated pools.

    :param bias: mean over the pools and kinds of audit of the prevalence's mean estimate minus the truth, and its
        standard error; the prevalence is estimated without bias, ratios such as kappa only nearly so.
    :param largest_bias: the largest of those biases; ``largest_z`` the largest in units of its own standard error.
    :param coverage: mean coverage of the prevalence, precision, recall and model-expert kappa intervals of audits of
        100 items or more; ``lowest`` and ``highest`` of those.
    """

    bias: float
    bias_error: float
    largest_bias: float
    largest_z: float
    coverage: float
    lowest: float
    highest: float
    outside: tuple[str, ...]
    cells: tuple[AuditCell, ...]


@dataclass(frozen=True)
class CoverageBench:
    """What ``python -m benchmarks coverage`` reports.

    :param cells: expert-expert and model-expert kappa, every setting of the grid.
    :param differences: the same for their difference, whose truth is 0.
    """

    nominal: float
    cells: tuple[CoverageCell, ...]
    differences: tuple[CoverageCell, ...]
    summary: KappaSummary
    half_widths: tuple[HalfWidth, ...]
    audit: AuditBench
    loops: LoopBench


def bench_coverage(
    size: BenchSize = FULL, *, seed: int = 0, progress: Callable[[str], None] = lambda _: None
) -> CoverageBench:
    """Measure the coverage of the 95 % intervals by simulation.

    :param size: ``FULL`` takes 25 minutes of one core, ``QUICK`` seconds.
    :param progress: called with a line after each part.
    """
    cells: list[CoverageCell] = []
    for number, setting in enumerate(size.settings()):
        cells += kappa_coverage(
            setting,
            samples=size.samples,
            resamples=size.resamples,
            seed=np.random.default_rng((seed, number)),
        )
        progress(f"n {setting.n}, prevalence {setting.prevalence:g}, kappa {setting.kappa:g}")
    kappas = tuple(cell for cell in cells if cell.figure != DIFFERENCE)
    return CoverageBench(
        nominal=0.95,
        cells=kappas,
        differences=tuple(cell for cell in cells if cell.figure == DIFFERENCE),
        summary=summarise(kappas),
        half_widths=tuple(half_widths(size, seed)),
        audit=_audits(size, seed, progress),
        loops=bench_loops(size.loops, seed=seed, progress=progress),
    )


def summarise(cells: tuple[CoverageCell, ...]) -> KappaSummary:
    """Count the cells with n >= 150 whose coverage is accepted, and name the others."""
    judged = [cell for cell in cells if cell.n >= JUDGED_FROM]
    outside = tuple(_outside(cell) for cell in judged if not _accepted(cell.coverage))
    accepted = len(judged) - len(outside)
    return KappaSummary(
        accepted, len(judged), TARGET_SHARE, bool(judged) and accepted >= TARGET_SHARE * len(judged), outside
    )


def half_widths(size: BenchSize, seed: int) -> list[HalfWidth]:
    """Return the mean half-widths to hold against the table of statistics.md, 4."""
    widths = []
    for n in size.half_width_items:
        setting = Setting(n, HALF_WIDTH_PREVALENCE, HALF_WIDTH_KAPPA)
        rng = np.random.default_rng((seed, n, 1))
        cell = kappa_coverage(setting, samples=min(size.samples, 200), resamples=size.resamples, seed=rng)[0]
        widths.append(HalfWidth(n, cell.half_width))
    return widths


def _accepted(coverage: float | None) -> bool:
    return coverage is not None and ACCEPTED[0] <= coverage <= ACCEPTED[1]


def _outside(cell: CoverageCell) -> str:
    shared = cell.prevalence * (cell.prevalence + (1 - cell.prevalence) * cell.kappa)
    where = f"{cell.figure}, n {cell.n} in {cell.groups}, prevalence {cell.prevalence:g}, kappa {cell.kappa:g}"
    if cell.coverage is None:
        return f"{where}: no interval"
    return (
        f"{where}: {cell.coverage:.3f} +- {cell.error:.3f}, "
        f"where two raters both say positive on {cell.n * shared:.1f} items and differ on "
        f"{2 * cell.n * (cell.prevalence - shared):.1f}"
    )


def _audits(size: BenchSize, seed: int, progress: Callable[[str], None]) -> AuditBench:
    cells: list[AuditCell] = []
    for place, prevalence in enumerate(size.pool_prevalences):
        pool = simulated_pool(size.pool, prevalence, seed + place)
        for items, rounds in size.audit_rounds:
            cells += audit_coverage(
                pool, items=items, rounds=rounds, audits=size.audits, resamples=size.resamples, seed=seed
            )
            progress(f"pool of {size.pool} with {prevalence:g} positive, {rounds} audits of {items}")
    unbiased = [cell for cell in cells if cell.figure == "prevalence"]
    promised = [cell for cell in cells if cell.figure in PROMISED and cell.items >= 100]
    coverage = [cell.coverage for cell in promised if cell.coverage is not None]
    return AuditBench(
        bias=float(np.mean([cell.bias for cell in unbiased])),
        bias_error=sqrt(sum(cell.bias_error**2 for cell in unbiased)) / len(unbiased),
        largest_bias=max((cell.bias for cell in unbiased), key=abs),
        largest_z=max((cell.bias / cell.bias_error for cell in unbiased), key=abs),
        coverage=float(np.mean(coverage)),
        lowest=min(coverage),
        highest=max(coverage),
        outside=tuple(
            f"{cell.figure}, {cell.rounds} x {cell.items} items, prevalence {cell.prevalence:.3f}: "
            + ("no interval" if cell.coverage is None else f"{cell.coverage:.3f} +- {cell.coverage_error:.3f}")
            for cell in cells
            if not _accepted(cell.coverage)
        ),
        cells=tuple(cells),
    )
