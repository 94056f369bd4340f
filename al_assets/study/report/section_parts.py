"""What the sections of a study's report have in common."""

from collections.abc import Collection, Mapping

import polars as pl

from al_assets.study.report.arms import Setting
from al_assets.study.report.document import Block, Cell, Picture
from al_assets.study.report.summary import StudySummary
from al_assets.study.report.wording import Row, capital, estimate, seeds_of, setting_title


def shown(captions: Mapping[str, str], pictures: Collection[str]) -> list[Block]:
    """Return the pictures that there are."""
    return [Picture(name, caption.rstrip("."), caption) for name, caption in captions.items() if name in pictures]


def seed_note(frame: pl.DataFrame) -> str:
    """Return on how many seeds a table rests, as a sentence after its caption."""
    counts = sorted(set(frame["seeds"].to_list()))
    if len(counts) < 2:
        return f" {capital(seeds_of(counts[0]))}." if counts else ""
    return f" {counts[0]} to {counts[-1]} seeds."


def title_of(row: Row, summary: StudySummary) -> str:
    """Return the name of a row's setting."""
    return setting_title(Setting(*(row[name] for name in Setting._fields)), summary.settings)


def difference(row: Row, name: str = "difference", low: str = "low", high: str = "high") -> Cell:
    """Return a difference with its interval, in bold if that leaves 0 out."""
    ends = {"low": row[low], "high": row[high]}
    sure = ends["low"] is not None and (ends["low"] > 0 or ends["high"] < 0)
    return Cell(estimate({name: row[name], **ends}, name, 3, sign=True), sure)
