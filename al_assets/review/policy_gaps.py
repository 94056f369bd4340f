"""The list for the policy's owner: what raters could not decide, with the texts and what they said about them."""

from collections.abc import Collection
from pathlib import Path

import polars as pl
from upath import UPath

from al_assets.agreement.policy_gaps import policy_gaps as gaps_of
from al_assets.review.files.exchange import checked_target, write_sheet
from al_assets.storage.ledger import Ledger


def policy_gaps(
    ledger: Ledger, iterations: Collection[str] | None = None, watermark: int | None = None
) -> pl.DataFrame:
    """Return the items with a "cannot decide" of each iteration, those with the most first within the iteration.

    An item asked again as a hidden repeat has a row in each iteration where somebody could not decide.

    :param iterations: None takes all.
    :param watermark: as of this place in the ledger; None is now.
    :return: the columns of ``agreement.policy_gaps`` with the text after the item.
    """
    answers = ledger.answers(iterations, watermark)
    gaps = pl.concat(
        [
            gaps_of(answers.filter(pl.col("iteration") == iteration))
            for iteration in answers["iteration"].unique().sort()
        ]
        or [gaps_of(answers)]
    )
    texts = answers.select("iteration", "item_id", "text").unique()
    joined = gaps.join(texts, on=["iteration", "item_id"], how="left", maintain_order="left")
    return joined.select("iteration", "item_id", "text", pl.exclude("iteration", "item_id", "text"))


def export_policy_gaps(
    ledger: Ledger, path: UPath | Path | str, iterations: Collection[str] | None = None, watermark: int | None = None
) -> int:
    """Write the list for the policy's owner and return its number of items; raters are counted, not named.

    :param path: .csv, .jsonl or .parquet; replaced if it exists.
    """
    target = checked_target(path)
    gaps = policy_gaps(ledger, iterations, watermark).drop("undecided_raters")
    remarks = pl.col("comments").list.eval(pl.element().str.replace(r"^.*?: ", "")).list.join(" | ")
    write_sheet(target, gaps.with_columns(remarks, pl.col("policy_versions").list.join(", ")))
    return gaps.height
