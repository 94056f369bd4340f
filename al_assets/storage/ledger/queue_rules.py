"""What a queue has to be before it is published."""

import polars as pl

from al_assets.tables import REVIEW_QUEUE, WHY_QUEUED


def checked_queue(queue: pl.DataFrame) -> pl.DataFrame:
    """Return the queue as a REVIEW_QUEUE frame of revision 0; a missing column of WHY_QUEUED holds nulls.

    :raises ValueError: no items, a wrong column, inclusion probability or number, or text that no database stores.
    """
    missing = [pl.lit(None).alias(name) for name in WHY_QUEUED if name not in queue.columns]
    checked = REVIEW_QUEUE.check(queue.with_columns(*missing, revision=pl.lit(0, dtype=pl.Int64)))
    if checked.is_empty():
        raise ValueError("review_queue: has no items; every item of the pool may be labelled: let the pool grow")
    chance = pl.col("inclusion_probability")
    wrong = checked.filter(chance.is_nan() | (chance <= 0) | (chance > 1))
    if not wrong.is_empty():
        row = wrong.row(0, named=True)
        raise ValueError(
            f"review_queue.inclusion_probability: {row['inclusion_probability']} for item {row['item_id']!r}; expected "
            "above 0 and at most 1, or null where none is known"
        )
    for name in WHY_QUEUED:
        if checked.schema[name] == pl.Float64 and not checked[name].is_finite().all():
            found = checked.filter(~pl.col(name).is_finite()).row(0, named=True)
            raise ValueError(
                f"review_queue.{name}: {found[name]} for item {found['item_id']!r}; expected a finite number, or null "
                "where it is not known"
            )
    for name, dtype in checked.schema.items():
        if dtype == pl.String and checked[name].str.contains("\0", literal=True).any():
            raise ValueError(f"review_queue.{name}: holds a NUL character, which no database stores; remove it")
    return checked
