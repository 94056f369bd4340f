"""What is hidden in the queues: gold, whose answer is known, and repeats; and how good the raters are by them."""

import io
from collections.abc import Collection
from typing import NamedTuple

import polars as pl
from upath import UPath

from al_assets.agreement.core.bootstrap import Resampling
from al_assets.agreement.raters.gold_accuracy import gold_accuracy
from al_assets.agreement.raters.retest import retest
from al_assets.config import Policy
from al_assets.curation.queue.hidden import GOLD, GOLD_COLUMNS
from al_assets.review.files.vote_files import SUFFIXES, label_names
from al_assets.storage.ledger import Ledger
from al_assets.storage.ledger.votes import is_storable

_GOLD_LABELS = ("positive", "negative")


class GoldError(ValueError):
    """The gold file cannot be used; the message names the file, the row, what is wrong and the way out."""


def load_gold(policy: Policy) -> pl.DataFrame:
    """Return the gold items of ``selection.gold``, without rows where the policy names no file.

    :return: item_id, text, label (positive or negative, whatever the policy calls them), why ("" if not given).
    :raises GoldError: the file is missing, of another kind or damaged, or a row is not of its form.
    """
    schema = pl.Schema(dict.fromkeys(GOLD_COLUMNS, pl.String()))
    if policy.selection.gold is None:
        return schema.to_frame()
    file = UPath(policy.resolve(policy.selection.gold))
    gold_file = _read(file).rename(lambda column: column.strip().lower())
    missing = [column for column in GOLD_COLUMNS[:3] if column not in gold_file.columns]
    if missing:
        raise GoldError(
            f"{file.name}: column {', '.join(missing)} is missing; found {', '.join(gold_file.columns)}; expected "
            f"{', '.join(GOLD_COLUMNS)}"
        )
    if "why" not in gold_file.columns:
        gold_file = gold_file.with_columns(why=pl.lit(""))
    trimmed = gold_file.select(pl.col(GOLD_COLUMNS).cast(pl.String).fill_null("").str.strip_chars())
    names = label_names(policy.policy.labels)
    rows = [_checked_row(file.name, number, row, names) for number, row in enumerate(trimmed.iter_rows(named=True), 1)]
    gold = pl.DataFrame(rows, schema=schema)
    repeated = gold.filter(gold["item_id"].is_duplicated())["item_id"]
    if len(repeated):
        raise GoldError(f"{file.name}: item_id {repeated[0]!r} is there twice; give every gold item an id of its own")
    return gold


def _read(file: UPath) -> pl.DataFrame:
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        raise GoldError(f"{file.name}: gold is read from .csv, .jsonl or .parquet; save it as one of these")
    try:
        data = file.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise GoldError(f"selection.gold: {file} cannot be read: {reason}; paths are relative to the policy") from error
    try:
        if suffix == ".csv":
            return pl.read_csv(io.BytesIO(data), infer_schema=False)
        return pl.read_parquet(io.BytesIO(data)) if suffix == ".parquet" else pl.read_ndjson(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise GoldError(f"{file.name}: is damaged or no {suffix} file ({error}); write it again") from error


def _checked_row(name: str, number: int, row: dict[str, str], names: dict[str, str]) -> dict[str, str]:
    for column in ("item_id", "text"):
        if not row[column]:
            raise GoldError(f"{name}: row {number}: {column} is empty; every gold item needs one")
        if not is_storable(row[column]):
            raise GoldError(f"{name}: row {number}: {column} holds a character no database stores; remove it")
    label = names.get(row["label"].casefold())
    if label not in _GOLD_LABELS:
        known = ", ".join(key for key, meaning in names.items() if meaning in _GOLD_LABELS)
        raise GoldError(f"{name}: row {number}: label {row['label']!r} is no answer gold can have; expected {known}")
    return {**row, "label": label}


class HiddenItemFigures(NamedTuple):
    """Figures from hidden items.

    :param gold: accuracy of each rater by iteration, see ``gold_accuracy``; no rows without answers to gold.
    :param retest: agreement of each rater and of all with themselves, see ``retest``; without repeats undefined, with
        the reason.
    """

    gold: pl.DataFrame
    retest: pl.DataFrame


def rater_quality(
    ledger: Ledger, policy: Policy, iterations: Collection[str] | None = None, watermark: int | None = None
) -> HiddenItemFigures:
    """Judge the raters by the hidden items of some iterations' queues, None for all.

    :param watermark: as of this place in the ledger; None is now.
    :raises GoldError: the policy's gold file cannot be used.
    """
    answers = ledger.answers(iterations, watermark).filter(reason=GOLD)
    how = Resampling(policy.stopping.resamples, policy.stopping.seed)
    return HiddenItemFigures(
        gold_accuracy(answers, load_gold(policy)), retest(ledger.retests(iterations, watermark), how)
    )
