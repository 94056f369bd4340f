"""The report of a study: Markdown with pictures, one HTML file that needs nothing else, and the figures as JSON."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from upath import UPath

from al_assets.pictures import svg, with_own_ids
from al_assets.storage.atomic import write_bytes
from al_assets.study.report.canvas import COLOURS, DARK, for_file, for_page
from al_assets.study.report.document import Block, Bullets, Code, Document, Paragraph, Part, markdown
from al_assets.study.report.pictures import study_figures
from al_assets.study.report.result_rows import rows_text, tidy_rows
from al_assets.study.report.sections import all_parts
from al_assets.study.report.summary import StudySummary, summarise

PICTURES = "pictures"


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


def markdown_report(summary: StudySummary, about: StudyAbout) -> str:
    """Return the report in Markdown; its pictures are ``pictures/NAME.svg`` beside it.

    The same rows and the same ``about`` give the same text.
    """
    return markdown(_document(summary, about, study_figures(summary)))


def html_report(summary: StudySummary, about: StudyAbout) -> str:
    """Return the report as one HTML page: pictures inline, light or dark, no script, no network; texts are escaped."""
    drawings = {name: svg(figure) for name, figure in study_figures(summary).items()}
    return _page(_document(summary, about, drawings), drawings)


def write_report(rows: pl.DataFrame, about: StudyAbout, folder: Path, *, default: str = "boundary_pairs") -> list[Path]:
    """Write results.json, summary.json, report.md with its pictures, and report.html; each whole or not at all.

    Figures are rounded to 6 digits first, so that the report can be written again from results.json alone.

    :param rows: as ``read_rows`` returns them.
    :param folder: made if it is not there; pictures that the study no longer has are left as they are.
    :param default: the strategy that the answer is about.
    :return: what was written, results.json first.
    :raises ValueError: see ``summarise``.
    :raises StorageError: the disk is full or the place cannot be written.
    """
    rows = tidy_rows(rows)
    summary = summarise(rows, default=default, seed=about.seed)
    drawings = {name: svg(figure) for name, figure in study_figures(summary).items()}
    document = _document(summary, about, drawings)
    files = {
        Path("results.json"): rows_text(rows).encode(),
        Path("summary.json"): _summary_text(summary).encode(),
        **{Path(PICTURES, f"{name}.svg"): for_file(drawing) for name, drawing in drawings.items()},
        Path("report.md"): markdown(document).encode(),
        Path("report.html"): _page(document, drawings).encode(),
    }
    for name, data in files.items():
        write_bytes(UPath(folder / name), data)
    return [folder / name for name in files]


def _document(summary: StudySummary, about: StudyAbout, pictures: Collection[str]) -> Document:
    return Document(f"Study: {about.name}", [*all_parts(summary, pictures), *_run(about)])


def _run(about: StudyAbout) -> Iterable[Part]:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(about.versions.items()))
    texts = [
        f"Study file: {about.file}",
        f"Seed: {about.seed}",
        f"Machine: {about.machine}",
        f"Started: {about.started}",
        f"Versions: {versions or 'unknown'}",
    ]
    blocks: list[Block] = [
        Bullets(texts),
        Code(about.command, "sh"),
        Paragraph("The study file:"),
        Code(about.settings_yaml, "yaml"),
    ]
    yield Part("How it was run", blocks)


def _page(document: Document, drawings: Mapping[str, str]) -> str:
    environment = Environment(
        loader=PackageLoader("al_assets.study.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    # Matplotlib has escaped the texts of its drawings.
    pictures = {name: Markup(with_own_ids(for_page(drawing), name)) for name, drawing in drawings.items()}
    template = environment.get_template("report.html")
    return template.render(document=document, pictures=pictures, light=COLOURS, dark=DARK)


def _summary_text(summary: StudySummary) -> str:
    parts = []
    for name, value in summary.as_json().items():
        if isinstance(value, list) and value:
            lines = ",\n".join(f"  {json.dumps(row, ensure_ascii=False, allow_nan=False)}" for row in value)
            parts.append(f"{json.dumps(name)}: [\n{lines}\n]")
        else:
            parts.append(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
