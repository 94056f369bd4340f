"""The figures of docs/replication.md that average over settings or hold curated against crowd labels one for one.

python studies/pooled_figures.py docs/replication/strategies/results.json
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import typer
from numpy.typing import NDArray

from al_assets.study.report.result_rows import read_rows
from al_assets.study.report.seed_statistics import Estimate, mean_over_seeds

DEFAULT, BASELINES = "boundary_pairs", ("crowd", "llm0")
METRICS = ("kappa", "kappa_boundary", "average_precision", "kappa_half", "kappa_best")
ARM = ("student", "embedding", "strategy", "variant")


def main(path: Path) -> None:
    """Print the differences of every arm from the default, and the default's from the crowd at equal labels."""
    rows = read_rows(path)
    loops = rows.filter(~pl.col("strategy").is_in(BASELINES))
    base = (
        loops.filter((pl.col("strategy") == DEFAULT) & (pl.col("variant") == "")).select(ARM).unique().sort(ARM).row(0)
    )
    typer.echo(
        f"{path}\nMinus {' / '.join(filter(None, base))}; mean of all data sets [each], 95 % interval over seeds"
    )
    for metric in METRICS:
        for measure in ("last round", "whole curve"):
            typer.echo(f"\n{metric}, {measure}")
            own = levels(loops, base, metric, measure)
            for arm in loops.select(ARM).unique(maintain_order=True).iter_rows():
                other = levels(loops, arm, metric, measure)
                if arm != base and other.shape == own.shape:
                    typer.echo(f"  {' / '.join(filter(None, arm)):70} {said(other - own)}")
    if "crowd" in rows["strategy"]:
        typer.echo("\nDefault minus the crowd at equal labels, one crowd vote each; by data set")
        against_crowd(rows, loops)


def levels(loops: pl.DataFrame, arm: tuple[str, ...], metric: str, measure: str) -> NDArray[np.float64]:
    """Return an arm's last round, or its mean over the curve by the trapezoid rule; shape (data sets, seeds)."""
    own = loops.filter(pl.all_horizontal(pl.col(name) == value for name, value in zip(ARM, arm, strict=True)))
    return np.array(
        [
            [
                _level(seed.sort("round")[metric].to_numpy(), measure)
                for _, seed in dataset.sort("seed").group_by("seed", maintain_order=True)
            ]
            for _, dataset in own.sort("dataset").group_by("dataset", maintain_order=True)
        ]
    )


def against_crowd(rows: pl.DataFrame, loops: pl.DataFrame) -> None:
    """Print, for each variant of the default, kappa minus that of as many crowd labels, linear in their logarithm."""
    for dataset in loops["dataset"].unique(maintain_order=True):
        here = rows.filter(pl.col("dataset") == dataset)
        mine = loops.filter((pl.col("dataset") == dataset) & (pl.col("strategy") == DEFAULT))
        for arm in mine.select(ARM).unique(maintain_order=True).iter_rows():
            for metric in ("kappa", "kappa_boundary"):
                gaps = []
                for (seed,), curve in mine.filter(
                    pl.all_horizontal(pl.col(name) == value for name, value in zip(ARM, arm, strict=True))
                ).group_by("seed", maintain_order=True):
                    crowd = here.filter(
                        (pl.col("strategy") == "crowd") & (pl.col("seed") == seed) & (pl.col("student") == arm[0])
                    ).sort("labels")
                    last = curve.sort("round").tail(1)
                    level = np.interp(
                        np.log(last["labels"][0]), np.log(crowd["labels"].to_numpy()), crowd[metric].to_numpy()
                    )
                    gaps.append(last[metric][0] - level)
                found = mean_over_seeds(np.array(gaps))
                typer.echo(f"  {dataset:10} {' / '.join(filter(None, arm)):70} {metric:15} {interval(found)}")


def said(gaps: NDArray[np.float64]) -> str:
    """Return the mean over data sets and seeds with its interval over seeds, and each data set's mean."""
    each = " ".join(f"{value:+.3f}" for value in gaps.mean(axis=1))
    return f"{interval(mean_over_seeds(gaps.mean(axis=0)))} [{each}]"


def interval(found: Estimate) -> str:
    """Return a mean with its interval, if there is one."""
    if found.mean is None or found.low is None or found.high is None:
        return f"{found.mean:+.3f}" if found.mean is not None else "unknown"
    return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def _level(values: NDArray[np.float64], measure: str) -> float:
    if measure == "last round" or len(values) == 1:
        return float(values[-1])
    return float(((values[1:] + values[:-1]) / 2).mean())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
