"""``python -m benchmarks``: what is fast, and what the statistics are worth, measured on this machine."""

import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from al_assets.commands.options import JsonOption, console, fail, frame_table, print_json, say
from al_assets.formatting import decimal, percent, whole

if TYPE_CHECKING:
    from benchmarks.pools.bench_pool import BenchPool

app = typer.Typer(help="Benchmarks: figures, floors and rivals measured in the same run.", no_args_is_help=True)
ItemsOption = Annotated[int, typer.Option("--n", min=100, help="Items of the generated pool.")]
DimensionsOption = Annotated[int, typer.Option("--dim", min=1, help="Numbers in a vector.")]
SeedOption = Annotated[int, typer.Option(help="Same seed, same figures.")]
Say = Callable[[str], None]


@app.command()
def agreement(
    items: Annotated[int | None, typer.Option(min=2, help="Labelled items; with --raters: this case alone.")] = None,
    raters: Annotated[int | None, typer.Option(min=2)] = None,
    resamples: Annotated[int, typer.Option(min=200)] = 2_000,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Time the panel of agreement figures against a loop over scikit-learn: 1,000 items of 5 raters, 5,000 of 20."""
    from benchmarks.statistics.agreement_speed import CASES, bench_agreement

    cases = CASES if items is None and raters is None else ((items or CASES[0][0], raters or CASES[0][1]),)
    # A hundred resamples of the loop over 20 raters would take a quarter of an hour.
    benches = [bench_agreement(*case, resamples, seed, loop_timed=100 if case[1] < 10 else 5) for case in cases]
    _show([asdict(bench) for bench in benches], as_json, lambda: [line for bench in benches for line in (
        f"{whole(bench.items)} items, {bench.raters} raters, {bench.resamples} BCa resamples, one core: "
        f"{bench.seconds:.2f} s",
        f"{whole(bench.figures)} figures with intervals; {bench.cpu_seconds:.2f} s of CPU",
        f"the same {bench.loop_kappas} kappas in a loop over scikit-learn: {whole(bench.loop_seconds)} s "
        f"(scaled up from {bench.loop_timed} resamples), ratio {bench.ratio:.0f}",
    )])  # fmt: skip


@app.command()
def coverage(
    quick: Annotated[bool, typer.Option(help="A small grid: seconds instead of minutes.")] = False,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare the nominal coverage of the intervals with the actual one, by simulation."""
    import polars as pl

    from benchmarks.statistics.coverage import FULL, QUICK, bench_coverage
    from benchmarks.statistics.loop_coverage import loop_tables

    with _progress() as tell:
        bench = bench_coverage(QUICK if quick else FULL, seed=seed, progress=tell)

    def shown() -> Iterator[RenderableType]:
        columns = ("figure", "n", "groups", "prevalence", "kappa", "coverage", "error", "half_width")
        cells = pl.DataFrame([asdict(cell) for cell in bench.cells]).select(columns)
        yield frame_table(cells, f"Actual coverage of nominal {percent(bench.nominal)} intervals")
        yield f"{bench.summary.accepted} of {bench.summary.judged} cells with n >= 150 lie between .93 and .97"
        yield from (f"  outside: {cell}" for cell in bench.summary.outside)
        audit = bench.audit
        yield (
            f"audit of known pools: largest bias {decimal(audit.largest_bias, 4)}; coverage "
            f"{decimal(audit.coverage, 3)} ({decimal(audit.lowest, 3)} to {decimal(audit.highest, 3)})"
        )
        yield from (f"  outside: {cell}" for cell in audit.outside)
        yield from loop_tables(bench.loops)

    _show(asdict(bench), as_json, shown)


@app.command()
def stopping(
    replicates: Annotated[int, typer.Option(min=1, help="Simulated loops of each scenario.")] = 200,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Count how often each stopping rule is right, early, late or silent on loops whose truth is known."""
    from benchmarks.statistics.near_parity import bench_near_parity, parity_table
    from benchmarks.statistics.stopping_rules import bench_stopping, endings_table, stopping_table

    bench, near = bench_stopping(replicates=replicates, seed=seed), bench_near_parity(replicates=replicates, seed=seed)
    _show({**asdict(bench), "near_parity": asdict(near)}, as_json, lambda: (
        "Right / early / late / never, in % of the loops:",
        stopping_table(bench),
        "\nParity declared, in % of the loops (* falsely):",
        parity_table(near),
        "\nHow the loops end, in %:",
        endings_table(bench),
        f"\n{bench.replicates} loops of each scenario, {bench.seconds + near.seconds:.0f} s",
    ))  # fmt: skip


@app.command()
def selection(
    n: ItemsOption = 100_000,
    dim: DimensionsOption = 384,
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
    if not rivals and not ray:
        _engine(n, dim, seed, as_json)
        return
    from benchmarks.pools.bench_pool import make_pool, read_pool

    with tempfile.TemporaryDirectory(prefix="al-bench-") as folder:
        made = [read_pool(path) for path in real or []] if rivals else []
        made = made or [make_pool(n, dim, seed=seed + number, folder=Path(folder)) for number in range(pools)]
        if rivals:
            _rivals(made, system, limit, seed, as_json)
        else:
            _threads_and_ray(made[0], seed, as_json)


@app.command()
def pools(
    n: ItemsOption = 8_000,
    dim: DimensionsOption = 384,
    difficulty: Annotated[str, typer.Option(help="real or easy.")] = "real",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure how hard a generated pool is, thinned to 6,000 items at 5 % positives, and hold it to real texts."""
    import polars as pl

    from benchmarks.pools.bench_pool import make_pool
    from benchmarks.pools.pool_measures import ITEMS, PREVALENCE, VADER, WEBIS, measure, misses, thinned

    pool = make_pool(n, dim, difficulty, seed=seed)
    rows = thinned(pool.truth, min(ITEMS, round(0.8 * n)), PREVALENCE, seed)
    measures = measure(pool.vectors[rows], pool.truth[rows])
    outside = misses(measures)
    measured = asdict(measures)
    table = pl.DataFrame({"figure": VADER.keys(), "VADER": VADER.values(), "Webis": WEBIS.values()}).with_columns(
        pl.Series("generated", [measured[name] for name in VADER]),
        pl.Series("as hard", [name not in outside for name in VADER]),
    )
    _show({"measures": measured, "outside": outside}, as_json, lambda: [frame_table(table)])


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
    from benchmarks.selection.cold_start import bench_cold_start, cold_start_table, labelled_texts

    with _progress() as tell:
        texts = labelled_texts(data, text, label, model, sentence, seed)
        bench = bench_cold_start([texts], seeds=seeds, seed=seed, progress=tell)
    _show(asdict(bench), as_json, lambda: [cold_start_table(bench)])


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

    with _progress() as tell:
        bench = bench_desk(
            raters=raters,
            items=items,
            seconds=seconds,
            kills=kills,
            databases=database or DATABASES,
            seed=seed,
            progress=tell,
        )

    def shown() -> Iterator[RenderableType]:
        figures = pl.DataFrame([asdict(phase) for phase in bench.phases]).drop("raters", "first_errors")
        for (name,), phases in figures.group_by("database", maintain_order=True):
            # Of one type, so that counts stay whole numbers when the columns become rows.
            words = phases.drop("database").with_columns(pl.selectors.float().round(2)).cast(pl.String)
            columns = words.transpose(include_header=True, header_name="figure", column_names="name")
            yield frame_table(columns, f"{name}, {raters} raters at once")
        for name, floor in bench.floor_votes_per_s.items():
            yield (
                f"{name}: without a desk one process records {floor:.0f} single votes a second; "
                f"the desk flat out {bench.ratio[name]:.2f} times as many"
            )
        yield from (f"  error: {line}" for phase in bench.phases for line in phase.first_errors)

    _show(asdict(bench), as_json, shown)


def _engine(n: int, dim: int, seed: int, as_json: bool) -> None:
    import polars as pl

    from benchmarks.selection.engine import bench_selection

    with _progress() as tell:
        bench = bench_selection(n, dim, seed, say=tell)
    quality = bench.quality
    stages = pl.DataFrame(
        {
            "stage": list(bench.stages),
            "CPU s": [decimal(seconds) for seconds in bench.stages.values()],
            "wall s": [decimal(seconds) for seconds in bench.walls.values()],
        }
    )
    _show(asdict(bench), as_json, lambda: (
        f"{whole(n)} items of {dim} numbers: {bench.wall_s:.1f} s on {bench.threads} threads, "
        f"{bench.cpu_s:.1f} CPU s, at most {whole(bench.peak_rss_mb)} MB",
        f"floor, the same {whole(bench.products)} products ({bench.tflop:.2f} TFLOP) as plain sgemm: "
        f"{bench.floor_cpu_s:.1f} CPU s; ratio {bench.ratio:.2f}",
        f"recall at 10 of the neighbours across labels: {decimal(bench.recall_at_10, 3)}; "
        f"{whole(bench.candidates)} candidate pairs",
        f"250 picks: {percent(quality.band_share)} inside the boundary band, {quality.topics_covered} of "
        f"{quality.topics} boundary topics, {percent(quality.mislabelled_share)} mislabelled, "
        f"{percent(quality.positive_share)} positive",
        f"folding near-duplicates among as many texts, before all this: {bench.fold_cpu_s:.1f} CPU s",
        frame_table(stages),
    ))  # fmt: skip


def _rivals(pools: "list[BenchPool]", systems: list[str] | None, limit: float, seed: int, as_json: bool) -> None:
    from benchmarks.rivals.comparison import bench_rivals, rivals_json, rivals_table
    from benchmarks.rivals.systems import chosen_systems

    chosen = chosen_systems(systems)
    with _progress() as tell:
        results = bench_rivals(pools, budget=None, limit_s=limit, seed=seed, systems=chosen, progress=tell)
    _show(rivals_json(results), as_json, lambda: [rivals_table(results, pool.name) for pool in pools])


def _threads_and_ray(pool: "BenchPool", seed: int, as_json: bool) -> None:
    from benchmarks.selection.threads_and_ray import bench_selection_ray

    with _progress() as tell:
        tell("selecting by threads and by Ray")
        bench = bench_selection_ray(pool, seed=seed)
    _show(asdict(bench), as_json, lambda: (
        f"{whole(bench.n)} items by {bench.shards} shards on {len(bench.nodes)} nodes: {bench.ray.wall_s:.1f} s, "
        f"{bench.task_cpu_s:.1f} CPU s in tasks; by {bench.cores} threads: {bench.threads.wall_s:.1f} s, "
        f"{bench.threads.cpu_s:.1f} CPU s",
        f"clusters that are the same: {percent(bench.same_clusters, 2)}; pairs: {percent(bench.same_pairs, 2)}; "
        f"recall at 10 of the neighbours: {decimal(bench.recall_at_10, 4)}",
    ))  # fmt: skip


def _show(figures: Any, as_json: bool, shown: Callable[[], Iterable[RenderableType]]) -> None:
    """Print the figures as JSON, or what a person sees of them."""
    if as_json:
        print_json(figures)
        return
    for part in shown():
        if isinstance(part, str):
            say(part)
        else:
            console.print(part)


@contextmanager
def _progress() -> Iterator[Say]:
    """Yield what writes a line that says what is going on, gone at the end."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting")
        yield lambda line: bar.update(task, description=line)


def main() -> None:
    """Run a benchmark; what the reader can mend is said in a line, without a traceback."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        app(prog_name="python -m benchmarks")
    except (OSError, ValueError) as error:
        fail(str(error))


if __name__ == "__main__":
    main()
