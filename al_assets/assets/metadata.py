"""Metadata a person wants to see: pictures and short tables, as Markdown that the Dagster UI shows."""

import base64
import re
from collections.abc import Callable

import dagster as dg
import polars as pl

_MARKUP = "|<>&[]*_`!\\~"
# The UI turns addresses into links after entities were decoded; an empty comment inside one keeps it text. The pool of
# a moderation team is full of links that nobody should follow by accident.
_IN_AN_ADDRESS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)


def picture(png: bytes) -> dg.MetadataValue:
    """Return a PNG as metadata that the UI shows, behind ``[Show Markdown]``."""
    return dg.MetadataValue.md(f"![picture](data:image/png;base64,{base64.b64encode(png).decode()})")


def table(frame: pl.DataFrame, *, longest: int = 120) -> dg.MetadataValue:
    """Return a small frame as a Markdown table; long texts are cut, and nothing in them is taken as markup."""
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + "---|" * frame.width]
    for row in frame.iter_rows():
        lines.append("| " + " | ".join(_cell(value, longest) for value in row) + " |")
    return dg.MetadataValue.md("\n".join(lines))


def progress_logger(context: dg.AssetExecutionContext, what: str, *, parts: int = 10) -> Callable[[int, int], None]:
    """Return a callback ``(done, total)`` that writes about ``parts`` lines into the run's log."""
    logged = -1

    def report(done: int, total: int) -> None:
        nonlocal logged
        part = done * parts // total if total else parts
        if part > logged:
            logged = part
            context.log.info(f"{what}: {done} of {total}")

    return report


def _cell(value: object, longest: int) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    text = " ".join(str(value).split())
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    escaped = "".join(f"&#{ord(sign)};" if sign in _MARKUP else sign for sign in text)
    return _IN_AN_ADDRESS.sub("<!-- -->", escaped)
