"""The figures of docs/replication.md that average over settings or hold curated against crowd labels one for one.

python studies/pooled_figures.py docs/replication/strategies/rows.csv.gz
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import typer

from al_assets.agreement.core.kappa import Floats
from al_assets.study.cells import CROWD
from al_assets.study.report.arms import BASELINES, METRICS, Arm, arms_of, baseline
from al_assets.study.report.comparison import AREA, LAST, difference_by_seed
from al_assets.study.report.result_rows import read_rows
from al_assets.study.report.seed_statistics import mean_over_seeds

DEFAULT = "boundary_pairs"
FIGURES = (*METRICS, "average_precision", "kappa_half", "kappa_best")
MEASURES = {LAST: "last round", AREA: "whole curve"}


def main(path: Path) -> None:
    """Print the differences of every arm from the default, and the default's from the crowd at equal labels."""
    arms = arms_of(read_rows(path))
    loops: dict[str, list[Arm]] = {}
    for arm in arms:
        if arm.strategy not in BASELINES:
            loops.setdefault(_name(arm), []).append(arm)
    base = next(name for name, found in loops.items() if (found[0].strategy, found[0].variant) == (DEFAULT, ""))
    typer.echo(f"{path}\nMinus {base}; mean of all data sets [each], 95 % interval over seeds")
    for figure in FIGURES:
        for measure, words in MEASURES.items():
            typer.echo(f"\n{figure}, {words}")
            for name, found in loops.items():
                if name != base and len(found) == len(loops[base]):
                    pairs = zip(found, loops[base], strict=True)
                    gaps = [difference_by_seed(arm, other, figure, measure) for arm, other in pairs]
                    each = " ".join(f"{gap.mean():+.3f}" for gap in gaps)
                    typer.echo(f"  {name:70} {_interval(np.mean(gaps, axis=0))} [{each}]")
    typer.echo("\nDefault minus the crowd at equal labels, one crowd vote each; by data set")
    for arm in arms:
        crowd = baseline(arms, CROWD, arm.setting) if arm.strategy == DEFAULT else None
        for figure in METRICS if crowd else ():
            above = [_above(arm, crowd, seed, figure) for seed in arm.seeds] if crowd else []
            typer.echo(f"  {arm.setting.dataset:10} {_name(arm):70} {figure:15} {_interval(above)}")


def _name(arm: Arm) -> str:
    return " / ".join(filter(None, (arm.setting.student, arm.setting.embedding, arm.strategy, arm.variant)))


def _above(arm: Arm, crowd: Arm, seed: int, figure: str) -> float:
    """Return the last round's figure minus that of as many crowd labels, linear in their logarithm."""
    labels, level = (crowd.on([seed], name)[0] for name in ("labels", figure))
    return float(arm.last([seed], figure)[0] - np.interp(np.log(arm.last([seed], "labels")[0]), np.log(labels), level))


def _interval(gaps: Floats | Sequence[float]) -> str:
    found = mean_over_seeds(np.asarray(gaps))
    said = "unknown" if found.mean is None else f"{found.mean:+.3f}"
    return said if found.low is None or found.high is None else f"{said} ({found.low:+.3f} to {found.high:+.3f})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
