"""Running a study: its cells side by side in processes, each kept when done, so that a killed study goes on."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

from filelock import FileLock, Timeout
from upath import UPath

from al_assets.config import LinearStudent
from al_assets.curation.runner import THREADS
from al_assets.storage.atomic import write_bytes
from al_assets.study import StudyError
from al_assets.study.cells import Cell, StudyRow, cell_name, cells_of, run_cell
from al_assets.study.settings import Study
from al_assets.study.workshop import Workshop

_SECONDS_BETWEEN_LOOKS = 2.0


@dataclass(frozen=True)
class StudyState:
    """How far a study is.

    :param done: cells whose rows are kept; ``total`` all cells.
    :param doing: what is going on.
    """

    done: int
    total: int
    doing: str


StudyProgress = Callable[[StudyState], None]


def run_study(
    study: Study, folder: Path, *, jobs: int | None = None, progress: StudyProgress = lambda _: None
) -> list[StudyRow]:
    """Run what is not done yet and return all rows, in the order of the study file.

    Stopped at any moment and called again, it repeats at most the cells that it was at; of a fine-tuned student, at
    most its last training. Every figure but the seconds is the same whatever ``jobs`` is and however often it stopped.

    :param folder: holds everything the study keeps; one folder for each study file.
    :param jobs: processes; None is one for each core this process may use, or one where a student is fine-tuned, whose
        training uses all cores.
    :raises StudyError: a data set or a setting cannot be used, another run is at work in the folder, or cells failed,
        those that did not fail being kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if jobs is None:
        fine_tuned = any(not isinstance(each, LinearStudent) for each in study.students.values())
        jobs = 1 if fine_tuned else THREADS.count
    try:
        with FileLock(folder / ".lock", timeout=0):
            return _run(study, folder, jobs, progress)
    except Timeout:
        raise StudyError(f"{folder}: another run is at work there; wait for it, or name another folder") from None


def read_rows_of(study: Study, folder: Path) -> tuple[list[StudyRow], int]:
    """Return the rows of all cells that are done, in the order of the study file, and how many cells are not.

    :raises StudyError: a data set cannot be used.
    """
    workshop = Workshop(study, folder)
    files = [_file(workshop, cell) for cell in cells_of(study)]
    done = [file for file in files if file.exists()]
    return _rows(done), len(files) - len(done)


def _run(study: Study, folder: Path, jobs: int, progress: StudyProgress) -> list[StudyRow]:
    workshop = Workshop(study, folder)
    cells = cells_of(study)
    workshop.prepare(lambda line: progress(StudyState(0, len(cells), line)))
    files = {cell: _file(workshop, cell) for cell in cells}
    left = [cell for cell, file in files.items() if not file.exists()]
    done = len(cells) - len(left)
    progress(StudyState(done, len(cells), f"{len(left)} cells to run, {jobs} at once"))
    failed: dict[Cell, str] = {}

    def tell(doing: str) -> None:
        progress(StudyState(done, len(cells), doing))

    if jobs == 1:
        outcomes: Iterable[tuple[Cell, str | None]] = ((cell, _keep(workshop, cell, tell)) for cell in left)
    else:
        outcomes = _in_processes(study, folder, left, jobs)
    for cell, error in outcomes:
        if error is None:
            done += 1
        else:
            failed[cell] = error
        progress(StudyState(done, len(cells), _said(cell)))
    if failed:
        first, error = next(iter(failed.items()))
        raise StudyError(
            f"{len(failed)} of {len(cells)} cells failed, the first {_said(first)}: {error}; mend it and run the study "
            "again: what is done is kept"
        )
    return _rows(files.values())


def _rows(files: Iterable[Path]) -> list[StudyRow]:
    return [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))]


def _in_processes(study: Study, folder: Path, cells: list[Cell], jobs: int) -> Iterable[tuple[Cell, str | None]]:
    pool = ProcessPoolExecutor(
        min(jobs, len(cells)) or 1, get_context("spawn"), initializer=_begin, initargs=(os.getpid(),)
    )
    futures: dict[Future[str | None], Cell] = {}
    try:
        futures = {pool.submit(_work, study, folder, cell): cell for cell in cells}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise StudyError(
            "a process of the study was killed, most likely for want of memory; run it again with fewer jobs: what is "
            "done is kept"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(parent: int) -> None:
    """End with the process that started this one, even if that was killed, and use one thread."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@lru_cache(maxsize=1)
def _workshop(settings: str, base_dir: Path, folder: Path) -> Workshop:
    study = Study.model_validate({**json.loads(settings), "base_dir": base_dir})
    return Workshop(study, folder)


def _work(study: Study, folder: Path, cell: Cell) -> str | None:
    # A study holds dictionaries and cannot be a key; what it reads is kept from cell to cell.
    return _keep(_workshop(study.model_dump_json(), study.base_dir, folder), cell, lambda _: None)


def _keep(workshop: Workshop, cell: Cell, say: Callable[[str], None]) -> str | None:
    """Run a cell and keep its rows; return the error if it failed."""
    from threadpoolctl import threadpool_limits

    file = _file(workshop, cell)
    student = workshop.study.students.get(cell.student)
    fine_tuned = student is not None and not isinstance(student, LinearStudent)
    try:
        # One thread as in every process of a study, so that the figures do not depend on how many there are; a
        # language model takes all there are.
        with nullcontext() if fine_tuned else threadpool_limits(1):
            rows = run_cell(workshop, cell, lambda line: say(f"{_said(cell)}: {line}"))
    except ValueError as error:
        return str(error)
    write_bytes(UPath(file), json.dumps(rows).encode())
    return None


def _file(workshop: Workshop, cell: Cell) -> Path:
    return workshop.folder / "cells" / f"{cell_name(workshop.study, cell, workshop.inputs(cell.dataset))}.json"


def _said(cell: Cell) -> str:
    parts = (cell.dataset, cell.student, cell.strategy, cell.variant, f"seed {cell.seed}")
    return ", ".join(part for part in parts if part)
