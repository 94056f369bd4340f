"""What a rater is shown: the questions of an iteration, blind, in the rater's own order.

Gold and repeats must look like every other item. An id could give them away: gold may be numbered in another way, and a
repeat has the id it had on an earlier sheet. So where a queue holds hidden items every question goes by a code, another
in each iteration, instead of the item's id; ``coded_items`` turns codes back.
"""

import hashlib
import re

import polars as pl

from al_assets.config import Policy
from al_assets.curation.queue.hidden import HIDDEN
from al_assets.review.ordering import blind_order
from al_assets.storage.ledger import Ledger

_CODE = re.compile(r"q[0-9a-f]{12}")


def questions(ledger: Ledger, policy: Policy, iteration: str, rater: str | None = None) -> pl.DataFrame:
    """Return the questions of an iteration that still wait for a rater's answer, in the rater's order.

    Of the repeats a rater sees those only that he answered before. Only ``shown_id`` and ``text`` are for his eyes.

    :param rater: None for a sheet that anyone may fill in: every item, in an order of its own.
    :return: shown_id (the item's id, or its code where the queue holds hidden items), item_id, text.
    :raises ValueError: the iteration has no published queue.
    """
    queue = ledger.queue(iteration)
    if queue.is_empty():
        published = ", ".join(ledger.iterations()) or "none"
        raise ValueError(f"iteration: {iteration!r} has no published queue; published are {published}")
    coded = bool(queue["reason"].is_in(HIDDEN).any())
    sheet = blind_order(queue, policy.policy.name, iteration, rater or "")
    if rater is not None:
        answered = ledger.answers([iteration]).filter(pl.col("rater") == rater)["item_id"].to_list()
        of_others = [each for each, raters in ledger.repeat_raters(iteration).items() if rater not in raters]
        sheet = sheet.filter(~pl.col("item_id").is_in(answered + of_others))
    codes = [question_code(ledger.policy_name, iteration, item_id) for item_id in sheet["item_id"]]
    shown = pl.Series("shown_id", codes, dtype=pl.String) if coded else sheet["item_id"].alias("shown_id")
    return sheet.select(shown, "item_id", "text")


def question_code(policy_name: str, iteration: str, item_id: str) -> str:
    """Return the code a question goes by on sheets: 12 hex digits that say nothing about the item."""
    digest = hashlib.sha256("\x1f".join((policy_name, iteration, item_id)).encode()).hexdigest()
    return f"q{digest[:12]}"


def looks_coded(shown_id: str) -> bool:
    """Whether an id may be a question's code."""
    return _CODE.fullmatch(shown_id) is not None


def coded_items(ledger: Ledger) -> dict[str, tuple[str, str]]:
    """Return iteration and item of every question's code."""
    queue = ledger.queue().select("iteration", "item_id")
    return {question_code(ledger.policy_name, *row): row for row in queue.iter_rows()}
