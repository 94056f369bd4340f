"""``al bench``: what is fast, and what the statistics are worth, measured on this machine."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from al_assets.commands.options import JsonOption, console, frame_table, print_json, say

bench_app = typer.Typer(help="Benchmarks: figures, floors and rivals measured in the same run.", no_args_is_help=True)
SeedOption = Annotated[int, typer.Option(help="Same seed, same figures.")]


@bench_app.command()
def agreement(
    items: Annotated[int, typer.Option(min=2, help="Labelled items.")] = 1_000,
    raters: Annotated[int, typer.Option(min=2)] = 5,
    resamples: Annotated[int, typer.Option(min=200)] = 2_000,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Time the panel of agreement figures against a loop over scikit-learn."""
    from al_assets.bench.agreement import bench_agreement

    found = bench_agreement(items, raters, resamples, seed)
    if as_json:
        print_json(asdict(found))
        return
    say(f"{items} items, {raters} raters, {resamples} BCa resamples, one core: {found.seconds:.2f} s")
    say(f"{found.figures} figures with intervals; {found.cpu_seconds:.2f} s of CPU")
    say(
        f"the same {found.loop_kappas} kappas in a loop over scikit-learn: {found.loop_seconds:.0f} s "
        f"(scaled up from {found.loop_timed} resamples), ratio {found.ratio:.0f}"
    )


@bench_app.command()
def coverage(
    quick: Annotated[bool, typer.Option(help="A small grid: seconds instead of minutes.")] = False,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare the nominal coverage of the intervals with the actual one, by simulation."""
    import polars as pl

    from al_assets.bench.coverage import FULL, QUICK, bench_coverage

    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), transient=True) as bar:
        task = bar.add_task("simulating")
        found = bench_coverage(
            QUICK if quick else FULL, seed=seed, progress=lambda line: bar.update(task, description=line)
        )
    if as_json:
        print_json(asdict(found))
        return
    cells = pl.DataFrame([asdict(each) for each in found.cells])
    shown = [name for name in ("figure", "n", "groups", "prevalence", "kappa", "coverage", "error", "half_width")]
    console.print(frame_table(cells.select(shown), f"Actual coverage of nominal {found.nominal:.0%} intervals"))
    say(f"{found.summary.accepted} of {found.summary.judged} cells with n >= 150 lie between .93 and .97")
    for line in found.summary.outside:
        say(f"  outside: {line}")
    audit = found.audit
    say(
        f"audit of known pools: largest bias {audit.largest_bias:.4f}; coverage {audit.coverage:.3f} "
        f"({audit.lowest:.3f} to {audit.highest:.3f})"
    )
    for line in audit.outside:
        say(f"  outside: {line}")


@bench_app.command()
def stopping(
    replicates: Annotated[int, typer.Option(min=1, help="Simulated loops of each scenario.")] = 200,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Count how often each stopping rule is right, early, late or silent on loops whose truth is known."""
    from al_assets.bench.stopping import bench_stopping, endings_table, stopping_table

    found = bench_stopping(replicates=replicates, seed=seed)
    if as_json:
        print_json(asdict(found))
        return
    say("Right / early / late / never, in % of the loops:")
    say(stopping_table(found))
    say("\nHow the loops end, in %:")
    say(endings_table(found))
    say(f"\n{found.replicates} loops of each scenario, {found.seconds:.0f} s")
