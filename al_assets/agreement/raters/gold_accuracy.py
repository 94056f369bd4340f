"""How often each rater is right on hidden gold: items whose answer is known."""

import polars as pl

from al_assets.agreement.core.labelled_items import require_columns
from al_assets.tables import GOLD_ACCURACY

ALL = "all"
_ANSWERS = ("item_id", "rater", "label", "iteration")


def gold_accuracy(answers: pl.DataFrame, gold: pl.DataFrame, *, confidence: float = 0.95) -> pl.DataFrame:
    """Return each rater's accuracy on gold, in each iteration and over all of them.

    :param answers: answers to gold items: item_id, rater, label, iteration; one row for each of these and the rater.
    :param gold: item_id, label (positive or negative). Answers to items that are no longer in it are left out.
    :return: columns of GOLD_ACCURACY; a row for each iteration and rater, then one for each rater under ``all``.
        ``items`` are the decisive answers, accuracy is right / items with its Wilson interval (1927, JASA
        22:209-212); without a decisive answer it is null, with the reason. "Cannot decide" is counted, neither right
        nor wrong.
    :raises ValueError: a column is missing.
    """
    for name, frame, wanted in (("answers", answers, _ANSWERS), ("gold", gold, ("item_id", "label"))):
        require_columns(frame, name, wanted)
    known = answers.select(_ANSWERS).join(gold.select("item_id", truth="label"), on="item_id")
    label, truth = pl.col("label"), pl.col("truth")
    counts = {
        "items": label != "undecided",
        "right": label == truth,
        "false_positive": (label == "positive") & (truth == "negative"),
        "false_negative": (label == "negative") & (truth == "positive"),
        "undecided": label == "undecided",
    }
    both = pl.concat([known, known.with_columns(iteration=pl.lit(ALL))])
    counted = both.group_by("iteration", "rater").agg(
        count.sum().cast(pl.Int64).alias(name) for name, count in counts.items()
    )
    rows = [{**row, **_judged(row["right"], row["items"], confidence)} for row in counted.iter_rows(named=True)]
    # Iterations are numbers, so "all" comes last.
    return pl.DataFrame(rows, schema=GOLD_ACCURACY.schema).sort("iteration", "rater")


def _judged(right: int, items: int, confidence: float) -> dict[str, float | str | None]:
    from scipy.stats import binomtest

    if not items:
        return {"accuracy": None, "low": None, "high": None, "reason": "no decisive answer to a gold item"}
    ends = binomtest(right, items).proportion_ci(confidence, method="wilson")
    return {"accuracy": right / items, "low": float(ends.low), "high": float(ends.high), "reason": None}
