"""Writing a study's report from its rows, with what it was run with."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from al_assets.curation.runner import THREADS
from al_assets.study.report.page import StudyAbout, write_report
from al_assets.study.settings import Study


def write_study_report(
    study: Study, rows: list[dict[str, Any]], folder: Path, *, file: Path | None = None, started: str = ""
) -> list[Path]:
    """Write results.json, summary.json, report.md with its pictures and report.html; return what was written.

    :param rows: as ``run_study`` returns them.
    :param file: the study file; None for a study made in Python.
    :param started: when it ran, in words.
    :raises ValueError: there are no rows.
    :raises StorageError: the disk is full or the place cannot be written.
    """
    settings = file.read_text(encoding="utf-8") if file else study.model_dump_json(indent=2, exclude={"base_dir"})
    about = StudyAbout(
        name=study.name,
        file=file.name if file else "",
        command=f"al study run {file}" if file else "run_study(study, folder)",
        machine=machine(),
        started=started,
        versions=versions(),
        settings_yaml=settings,
        seed=study.seed,
    )
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return write_report(frame, about, folder, default=study.default)


LIBRARIES = ("al_assets", "numpy", "scikit-learn", "polars", "torch", "transformers", "trl", "sentence-transformers")


def machine() -> str:
    """Return the processor, how many cores this process may use, and the system."""
    return f"{_processor()}, {THREADS.count} cores, {platform.system()}, Python {platform.python_version()}"


def versions() -> dict[str, str]:
    """Return the installed versions of what figures depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
