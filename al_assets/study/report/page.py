"""The report of a study: Markdown with pictures, one HTML page that needs nothing else, and the figures as JSON."""

import json
import platform
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from upath import UPath

from al_assets import formatting
from al_assets.curation.runner import THREADS
from al_assets.pictures import svg
from al_assets.storage.atomic import write_bytes
from al_assets.study.report import wording
from al_assets.study.report.arms import BASELINES, Setting, SummaryRow, matching, setting_of
from al_assets.study.report.canvas import for_file
from al_assets.study.report.pictures import study_figures
from al_assets.study.report.result_rows import rows_file, tidy_rows
from al_assets.study.report.saving import EXACT, FEWER, MORE
from al_assets.study.report.summary import PROBES, StudySummary, summarise
from al_assets.study.report.web_page import html_page
from al_assets.study.settings import Study

ROWS = "rows.csv.gz"
_LIBRARIES = ("al_assets", "numpy", "scikit-learn", "polars", "torch", "transformers", "trl", "sentence-transformers")


@dataclass(frozen=True)
class StudyAbout:
    """Where a study's figures come from; the report says it, and nothing else in it depends on time or place.

    :param file: the study file as it was given; ``settings_yaml``: what it says.
    :param command: what runs the study again.
    :param machine: in words; ``started``: when, in words.
    :param versions: of the libraries that matter, by name.
    """

    name: str
    file: str
    command: str
    machine: str
    started: str
    versions: Mapping[str, str]
    settings_yaml: str
    seed: int


def write_study_report(
    study: Study, rows: list[dict[str, Any]], folder: Path, *, file: Path | None = None, started: str = ""
) -> list[Path]:
    """Write a study's report with what it was run with, as ``write_report`` does.

    :param rows: as ``run_study`` returns them.
    :param file: the study file; None for a study made in Python.
    :param started: when it ran, in words.
    """
    settings = file.read_text(encoding="utf-8") if file else study.model_dump_json(indent=2, exclude={"base_dir"})
    about = StudyAbout(
        name=study.name,
        file=file.name if file else "",
        command=f"al study run {file}" if file else "run_study(study, folder)",
        machine=_machine(),
        started=started,
        versions=_versions(),
        settings_yaml=settings,
        seed=study.seed,
    )
    return write_report(pl.DataFrame(rows, infer_schema_length=None), about, folder, default=study.default)


def write_report(rows: pl.DataFrame, about: StudyAbout, folder: Path, *, default: str = "boundary_pairs") -> list[Path]:
    """Write the rows, summary.json, report.md with its pictures, and report.html; each whole or not at all.

    Figures are rounded to 6 digits first, so that the report can be written again from the file of rows alone.

    :param rows: as ``read_rows`` returns them.
    :param folder: made if it is not there; pictures that the study no longer has are left as they are.
    :param default: the strategy that the answer is about.
    :return: what was written, the rows first.
    :raises ValueError: see ``summarise``.
    :raises StorageError: the disk is full or the place cannot be written.
    """
    rows = tidy_rows(rows)
    summary = summarise(rows, default=default, seed=about.seed)
    drawings = {name: svg(figure) for name, figure in study_figures(summary).items()}
    text = markdown_report(summary, about, drawings)
    files = {
        Path(ROWS): rows_file(rows),
        Path("summary.json"): _summary_text(summary).encode(),
        **{Path("pictures", f"{name}.svg"): for_file(drawing) for name, drawing in drawings.items()},
        Path("report.md"): text.encode(),
        Path("report.html"): html_page(f"Study: {about.name}", text, drawings).encode(),
    }
    for name, data in files.items():
        write_bytes(UPath(folder / name), data)
    return [folder / name for name in files]


def markdown_report(summary: StudySummary, about: StudyAbout, pictures: Collection[str]) -> str:
    """Return the report in GitHub's Markdown; its pictures are ``pictures/NAME.svg`` beside it.

    The same rows and the same ``about`` give the same text.

    :param pictures: the names of those there are.
    """
    environment = _markdown_environment(summary.settings)
    template = environment.get_template("report.md.j2")
    return template.render(summary=summary, about=about, pictures=pictures).rstrip() + "\n"


def _markdown_environment(settings: Sequence[Setting]) -> Environment:
    """Return templates that escape for Markdown whatever is put in, and know how a study's figures are said."""
    environment = Environment(
        loader=PackageLoader("al_assets.study.report"), autoescape=True, finalize=_escaped, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip

    def title(row: SummaryRow | Setting) -> str:
        return wording.setting_title(row if isinstance(row, Setting) else setting_of(row), settings)

    said = (
        wording.decimal, wording.estimate, wording.difference, wording.differs, wording.ends, wording.percent,
        wording.p_value, wording.seeds_of, wording.seed_note, wording.crowd_interval, wording.crowd_labels,
        wording.certain, wording.reduction, wording.labels_amount, wording.factor, wording.limit_end,
        formatting.whole, formatting.joined,
    )  # fmt: skip
    environment.filters.update({form.__name__: form for form in said})
    environment.filters.update(
        setting_title=title,
        where=matching,
        first_or_none=lambda rows: next(iter(rows), None),
        last_or_none=lambda rows: next(iter(reversed(rows)), None),
        strong=lambda text, strong: Markup(f"**{_escaped(text)}**") if strong and text else text,
        line=lambda text: Markup(" ".join(text.split())),
        one_blank_line=lambda text: Markup(re.sub(r"\n{3,}", "\n\n", text)),
        code=_code,
    )
    environment.globals.update(
        EXACT=EXACT,
        MORE=MORE,
        FEWER=FEWER,
        PROBES=PROBES,
        BASELINES=BASELINES,
        estimate=wording.estimate,
        mean_decimal=lambda row: wording.decimal(row["mean"]),
        mean_percent=lambda row: wording.percent(row["mean"]),
    )
    return environment


def _escaped(value: Any) -> Markup:
    """Return a value as a text in which nothing is Markdown's, on one line; what is Markdown already as it is."""
    if isinstance(value, Markup):
        return value
    text = str(value)
    for mark in "\\`*<>[]|#":
        text = text.replace(mark, f"\\{mark}")
    # An underscore between letters is no markup in GitHub's Markdown.
    text = re.sub(r"(?<!\S)_|_(?!\S)", r"\\_", text)
    return Markup(re.sub(r"\s+", " ", text))


def _code(text: str, language: str) -> Markup:
    fence = "```"
    while fence in text:
        fence += "`"
    return Markup(f"{fence}{language}\n{text.rstrip()}\n{fence}")


def _machine() -> str:
    """Return the processor, how many cores this process may use, and the system."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor() or platform.machine()
    return f"{processor}, {THREADS.count} cores, {platform.system()}, Python {platform.python_version()}"


def _versions() -> dict[str, str]:
    """Return the installed versions of what figures depend on."""
    versions = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def _summary_text(summary: StudySummary) -> str:
    parts = []
    for name, value in summary.as_json().items():
        if isinstance(value, list) and value:
            lines = ",\n".join(f"  {json.dumps(row, ensure_ascii=False, allow_nan=False)}" for row in value)
            parts.append(f"{json.dumps(name)}: [\n{lines}\n]")
        else:
            parts.append(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
