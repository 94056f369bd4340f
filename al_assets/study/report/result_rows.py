"""The rows of a study, one a cell and round: checked, put in order and kept as one compressed file."""

import gzip
import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import polars as pl

FIXED: Mapping[str, type[pl.DataType]] = {
    **dict.fromkeys(("dataset", "strategy", "student", "embedding"), pl.String),
    **dict.fromkeys(("seed", "round", "labels"), pl.Int64),
    **dict.fromkeys(("kappa", "kappa_boundary", "average_precision", "positive_share", "seconds"), pl.Float64),
}
"""Columns that every study has; figures may be null, what names the row may not."""
_FIGURES = (
    "kappa_half", "kappa_best", "expert_kappa", "expert_kappa_boundary", "crowd_kappa", "crowd_kappa_boundary",
    "probe_embedding", "probe_student", "ceiling", "curation_seconds", "training_seconds", "prevalence",
    "estimated_prevalence", "promoted", "incumbent_kappa", "recommended_kappa", "gain", "gain_low", "gain_high",
    "better", "start_kappa", "kappa_tuned",
)  # fmt: skip
FURTHER: Mapping[str, type[pl.DataType]] = {
    "variant": pl.String,
    **dict.fromkeys(("budget", "votes"), pl.Int64),
    **dict.fromkeys(_FIGURES, pl.Float64),
    "training_items": pl.Int64,
}
"""Columns that may be missing or null; a missing variant is ""."""
FIGURES = tuple(name for name, kind in {**FIXED, **FURTHER}.items() if kind is pl.Float64)
KEY = ("dataset", "student", "embedding", "budget", "variant", "strategy")
"""What names an arm; with seed and round it names a row."""
_NEVER_NULL = ("dataset", "strategy", "student", "seed", "round", "labels")
_EXPECTED = {pl.String: "text", pl.Int64: "whole numbers", pl.Float64: "numbers or null"}
_DIGITS = 6


def read_rows(path: str | Path) -> pl.DataFrame:
    """Read a study's file of rows, gzipped CSV.

    :return: columns ``FIXED`` and ``FURTHER``, sorted by ``KEY``, seed and round; others are left out.
    :raises FileNotFoundError: there is no such file.
    :raises ValueError: it is no gzipped CSV, or see ``checked_rows``; the message names the file.
    """
    try:
        text = gzip.decompress(Path(path).read_bytes())
        return checked_rows(pl.read_csv(text, schema_overrides={**FIXED, **FURTHER}))
    except (gzip.BadGzipFile, EOFError, zlib.error, pl.exceptions.PolarsError) as error:
        raise ValueError(f"{path}: is no gzipped CSV ({error}); run the study again to write it anew") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def rows_file(rows: pl.DataFrame) -> bytes:
    """Return rows as ``read_rows`` takes them; the same rows give the same bytes.

    :param rows: as ``tidy_rows`` returns them.
    """
    unknown = [name for name in FURTHER if rows[name].null_count() == rows.height]
    return gzip.compress(rows.drop(unknown).write_csv().encode(), 9, mtime=0)


def checked_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the columns of a study's rows in their types, in the order of ``KEY``, seed and round.

    :raises ValueError: a column is missing or of the wrong kind, a row lacks what names it, or is there twice; the
        message names column and row.
    """
    missing = [name for name in FIXED if name not in rows.columns]
    if missing:
        raise ValueError(f"column {missing[0]!r} is missing; every study has {', '.join(FIXED)}")
    columns = [
        _column(rows[name], kind) if name in rows.columns else pl.Series(name, [None] * rows.height, dtype=kind)
        for name, kind in {**FIXED, **FURTHER}.items()
    ]
    frame = pl.DataFrame(columns).with_columns(pl.col(pl.String).fill_null("")).sort(*KEY, "seed", "round")
    twice = frame.filter(frame.select(*KEY, "seed", "round").is_duplicated())
    if not twice.is_empty():
        row = twice.row(0, named=True)
        name = ", ".join(f"{key} {row[key]!r}" for key in (*KEY, "seed", "round"))
        raise ValueError(f"rows: {name} is there twice; keep one of them")
    return frame


def tidy_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return checked rows with figures rounded to 6 digits: what is kept of a study.

    :raises ValueError: see ``checked_rows``.
    """
    checked = checked_rows(rows)
    return checked.with_columns(
        pl.Series(name, [rounded(value) for value in checked[name]], dtype=pl.Float64) for name in FIGURES
    )


def rounded(value: float | None) -> float | None:
    """Return a figure with six digits; None for what is not finite."""
    # Adding 0 turns -0 into 0.
    return None if value is None or not math.isfinite(value) else round(value, _DIGITS) + 0.0


def _column(values: pl.Series, kind: type[pl.DataType]) -> pl.Series:
    """Return a column in its type; a column of nothing fits every type."""
    name = values.name
    if name in _NEVER_NULL and values.null_count():
        row = values.is_null().arg_max()
        raise ValueError(f"row {row}: column {name!r} is null; only figures may be")
    fits = values.dtype == pl.Null or (values.dtype == pl.String if kind is pl.String else values.dtype.is_numeric())
    cast = values.cast(kind) if fits else values
    if not fits or (kind is pl.Int64 and not (cast == values).all()):
        shown = values.drop_nulls().to_list()[:3]
        raise ValueError(f"column {name!r} is {values.dtype} ({shown}); expected {_EXPECTED[kind]}")
    return cast.fill_nan(None) if kind is pl.Float64 else cast
