"""The file for the policy's owner: what raters could not decide, with the texts and what they said about them."""

from pathlib import Path

import polars as pl
from upath import UPath

from al_assets.agreement.policy_gaps import policy_gaps
from al_assets.review.files.exchange import checked_target, write_sheet
from al_assets.storage.ledger import Ledger


def export_policy_gaps(ledger: Ledger, path: UPath | Path | str) -> int:
    """Write the items that raters could not decide and return how many; raters are counted, not named.

    :param path: .csv, .jsonl or .parquet; replaced if it exists.
    """
    target = checked_target(path)
    gaps = policy_gaps(ledger.answers()).drop("undecided_raters")
    said = pl.col("comments").list.eval(pl.element().struct.field("text")).list.join(" | ")
    write_sheet(target, gaps.with_columns(said, pl.col("policy_versions").list.join(", ")))
    return gaps.height
