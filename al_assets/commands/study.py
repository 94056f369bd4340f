"""``al study``: the loop run offline, many times, on texts whose labels are known: what curation is worth."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from al_assets.commands.options import fail, say

if TYPE_CHECKING:
    from al_assets.study.run import StudyState
    from al_assets.study.settings import Study

study_app = typer.Typer(help="Replicate: what curation is worth on texts whose labels are known.", no_args_is_help=True)
FileArgument = Annotated[Path, typer.Argument(help="The study file (YAML).")]
FolderOption = Annotated[
    Path | None, typer.Option(help="What the study keeps, and its report; .al/studies/NAME if left out.")
]
_SECONDS_BETWEEN_LINES = 30


@study_app.command()
def run(
    file: FileArgument,
    folder: FolderOption = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; one for each core if left out.")] = None,
) -> None:
    """Run what is not done yet and write the report; killed, it goes on where it was."""
    from al_assets.study import StudyError
    from al_assets.study.run import run_study
    from al_assets.study.settings import load_study

    study = load_study(file)
    kept = _folder(study, folder)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        with _progress() as tell:
            rows = run_study(study, kept, jobs=jobs, progress=tell)
    except StudyError as error:
        fail(str(error))
    _write(study, file, kept, rows, started)


@study_app.command()
def report(file: FileArgument, folder: FolderOption = None) -> None:
    """Write tables and pictures of what is done so far: rows.csv.gz, summary.json, report.md, report.html."""
    from al_assets.study.run import read_rows_of
    from al_assets.study.settings import load_study

    study = load_study(file)
    kept = _folder(study, folder)
    rows, missing = read_rows_of(study, kept)
    if not rows:
        fail(f"{kept}: nothing is done yet; run 'al study run {file}' first")
    if missing:
        say(f"{missing} cells are not done yet; the report leaves them out")
    _write(study, file, kept, rows, datetime.now(UTC).isoformat(timespec="seconds"))


@study_app.command()
def scores(
    file: FileArgument,
    source: Annotated[str, typer.Option(help="Where the model is from and how it was made, in words.")],
    folder: FolderOption = None,
) -> None:
    """Ask LLM-0 of every data set that names a file of scores, and keep there what it says; killed, it goes on."""
    from al_assets.study import StudyError
    from al_assets.study.run import StudyState
    from al_assets.study.settings import load_study
    from al_assets.study.workshop import Workshop

    study = load_study(file)
    workshop = Workshop(study, _folder(study, folder))
    # Data sets of the same texts share a file.
    by_file = {found: name for name in study.datasets if (found := workshop.scores_file(name)) and not found.exists()}
    if not by_file:
        fail(f"{file}: no data set names a file of scores that is not there yet; delete one to ask again")
    try:
        with _progress() as tell:
            for name in by_file.values():
                say(str(workshop.write_scores(name, source, lambda line: tell(StudyState(0, len(by_file), line)))))
    except StudyError as error:
        fail(str(error))


def _folder(study: "Study", folder: Path | None) -> Path:
    return folder or Path(".al/studies") / study.name


def _write(study: "Study", file: Path, folder: Path, rows: list[dict[str, Any]], started: str) -> None:
    from al_assets.study.report.page import write_study_report

    for path in write_study_report(study, rows, folder / "report", file=file, started=started):
        if path.suffix != ".svg":
            say(str(path))


@contextmanager
def _progress() -> Iterator[Any]:
    """Yield what to tell a study's state: a bar on a terminal, now and then a line elsewhere."""
    error = Console(stderr=True)
    if not error.is_terminal:
        last = 0.0

        def line(state: "StudyState") -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _SECONDS_BETWEEN_LINES or state.done == state.total:
                last = now
                said = f"{state.done} of {state.total}: {state.doing}"
                Console(stderr=True).print(said, markup=False, highlight=False, soft_wrap=True)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=error, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def tell(state: "StudyState") -> None:
            bar.update(task, completed=state.done, total=state.total, description=state.doing)

        yield tell
