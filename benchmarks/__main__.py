"""``python -m benchmarks``: what is fast, and what the statistics are worth, measured on this machine."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from al_assets.commands.options import JsonOption, console, fail, frame_table, print_json, say

app = typer.Typer(help="Benchmarks: figures, floors and rivals measured in the same run.", no_args_is_help=True)
SeedOption = Annotated[int, typer.Option(help="Same seed, same figures.")]


@app.command()
def agreement(
    items: Annotated[int, typer.Option(min=2, help="Labelled items.")] = 1_000,
    raters: Annotated[int, typer.Option(min=2)] = 5,
    resamples: Annotated[int, typer.Option(min=200)] = 2_000,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Time the panel of agreement figures against a loop over scikit-learn."""
    from benchmarks.statistics.agreement_speed import bench_agreement

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


@app.command()
def coverage(
    quick: Annotated[bool, typer.Option(help="A small grid: seconds instead of minutes.")] = False,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare the nominal coverage of the intervals with the actual one, by simulation."""
    import polars as pl

    from benchmarks.statistics.coverage import FULL, QUICK, bench_coverage

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


@app.command()
def selection(
    n: Annotated[int, typer.Option("--n", min=100, help="Items of the generated pool.")] = 100_000,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in a vector.")] = 384,
    rivals: Annotated[bool, typer.Option(help="Compare with small-text, scikit-activeml and modAL.")] = False,
    ray: Annotated[bool, typer.Option(help="Compare threads with a Ray cluster of two nodes on this machine.")] = False,
    pools: Annotated[int, typer.Option(min=1, help="With --rivals: generated pools, seeds from --seed on.")] = 1,
    real: Annotated[
        list[Path] | None, typer.Option(help="With --rivals: .npz of vectors, truth, scores instead; may be repeated.")
    ] = None,
    system: Annotated[
        list[str] | None, typer.Option(help="With --rivals: such as modAL or small-text:BADGE alone; may be repeated.")
    ] = None,
    limit: Annotated[float, typer.Option(help="With --rivals: seconds for each query.")] = 120,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Time the selection engine against its own matrix products, and say what its picks are worth."""
    from benchmarks.selection_command import bench_engine, bench_ray, bench_rivals

    with _progress() as (bar, task):

        def tell(line: str) -> None:
            bar.update(task, description=line)

        if rivals:
            found = bench_rivals(n, dim, pools, real or [], system, limit, seed, tell)
        elif ray:
            found = bench_ray(n, dim, seed, tell)
        else:
            found = bench_engine(n, dim, seed, tell)
    if as_json:
        print_json(found.figures)
        return
    for part in found.shown:
        console.print(part, highlight=False)


@app.command("cold-start")
def cold_start(
    data: Annotated[Path, typer.Argument(help="JSONL with text and label (true or false, 1 or 0) in each row.")],
    model: Annotated[str, typer.Option(help="A sentence-transformers model or its folder.")],
    sentence: Annotated[str, typer.Option(help="What LLM-0 compares each text with: the policy in one sentence.")],
    text: Annotated[str, typer.Option(help="The column of the text.")] = "text",
    label: Annotated[str, typer.Option(help="The column of the label.")] = "label",
    seeds: Annotated[int, typer.Option(min=2, help="Loops of each kind.")] = 10,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure on labelled texts how the cold start divides the budget, against fixed divisions of it."""
    from benchmarks.selection.cold_start import bench_cold_start, cold_start_table
    from benchmarks.selection_command import labelled_texts

    with _progress() as (bar, task):
        texts = labelled_texts(data, text, label, model, sentence, seed)
        found = bench_cold_start(
            [texts], seeds=seeds, seed=seed, progress=lambda line: bar.update(task, description=line)
        )
    if as_json:
        print_json(asdict(found))
        return
    console.print(cold_start_table(found))


@app.command()
def desk(
    raters: Annotated[int, typer.Option(min=1, help="At once.")] = 50,
    items: Annotated[int, typer.Option(min=1, help="Of the queue; each takes two votes.")] = 6_000,
    seconds: Annotated[float, typer.Option(min=1, help="Of each phase, not counting restarts.")] = 10,
    kills: Annotated[int, typer.Option(min=0, help="Of the server, in the last phase.")] = 3,
    database: Annotated[list[str] | None, typer.Option(help="sqlite or postgresql; both if left out.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Let raters answer at once through a real review desk, in peace and while its server is killed."""
    import polars as pl

    from benchmarks.desk.desk_load import DATABASES, bench_desk

    with _progress() as (bar, task):
        found = bench_desk(
            raters=raters,
            items=items,
            seconds=seconds,
            kills=kills,
            databases=database or DATABASES,
            seed=seed,
            progress=lambda line: bar.update(task, description=line),
        )
    if as_json:
        print_json(asdict(found))
        return
    figures = pl.DataFrame([asdict(each) for each in found.phases]).drop("raters", "first_errors")
    for (name,), phases in figures.group_by("database", maintain_order=True):
        # Of one type, so that counts stay whole numbers when the columns become rows.
        words = phases.drop("database").with_columns(pl.selectors.float().round(2)).cast(pl.String)
        shown = words.transpose(include_header=True, header_name="figure", column_names="name")
        console.print(frame_table(shown, f"{name}, {raters} raters at once"))
    for database_name, floor in found.floor_votes_per_s.items():
        say(
            f"{database_name}: without a desk one process records {floor:.0f} single votes a second; "
            f"the desk flat out {found.ratio[database_name]:.2f} times as many"
        )
    for line in (each for phase in found.phases for each in phase.first_errors):
        say(f"  error: {line}")


@contextmanager
def _progress() -> Iterator[tuple[Progress, TaskID]]:
    """Yield a line that says what is going on, gone at the end."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar, bar.add_task("starting")


@app.command()
def stopping(
    replicates: Annotated[int, typer.Option(min=1, help="Simulated loops of each scenario.")] = 200,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Count how often each stopping rule is right, early, late or silent on loops whose truth is known."""
    from benchmarks.statistics.stopping_rules import bench_stopping, endings_table, stopping_table

    found = bench_stopping(replicates=replicates, seed=seed)
    if as_json:
        print_json(asdict(found))
        return
    say("Right / early / late / never, in % of the loops:")
    say(stopping_table(found))
    say("\nHow the loops end, in %:")
    say(endings_table(found))
    say(f"\n{found.replicates} loops of each scenario, {found.seconds:.0f} s")


def main() -> None:
    """Run a benchmark; what the reader can mend is said in a line, without a traceback."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        app(prog_name="python -m benchmarks")
    except (OSError, ValueError) as error:
        fail(str(error))


if __name__ == "__main__":
    main()
