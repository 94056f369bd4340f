"""Hidden items of a queue: gold, whose answer is known, and repeats, which a rater answered before.

They come on top of the round's budget and look like any other item. Gold shows how well a rater applies the policy,
repeats how well a rater agrees with their own answers. The answers to both are kept apart: never labels, so nothing is
fine-tuned, evaluated or audited with them and no agreement between experts or with the model counts them.
"""

import math
from collections.abc import Collection
from datetime import datetime

import numpy as np
import polars as pl

from al_assets.curation.checks import CurationError, check_at_least, check_columns, check_item_ids, check_share

GOLD, REPEAT = "gold", "repeat"
HIDDEN = (GOLD, REPEAT)
GOLD_COLUMNS = ("item_id", "text", "label", "why")
_VOTES = ("item_id", "rater", "label", "policy_version", "voted_at")


def hidden_count(share: float, budget: int) -> int:
    """Return how many hidden items a share of the budget makes: rounded up, so a share above 0 asks at least one.

    :raises CurationError: the share is not between 0 and 1, or the budget is below 0.
    """
    check_share("hidden share", share)
    check_at_least("budget", budget, 0)
    # Rounded first, because .07 of 100 is a hair above 7 in binary.
    return math.ceil(round(share * budget, 9))


def gold_twins(pool: pl.DataFrame, gold: pl.DataFrame) -> list[str]:
    """Return the pool's items that gold stands for: of the same id or the same text, but for case and white space.

    They must not be asked for a label: raters would see the text twice, and its answer is known.

    :param pool: item_id, text.
    :param gold: item_id, text.
    :raises CurationError: a gold item has the id of a pool item with another text.
    """
    check_columns(pool, "pool", ("item_id", "text"))
    check_columns(gold, "gold", ("item_id", "text"))
    if not gold.height:
        return []
    known = pool.select("item_id", plain=_plain("text"))
    golden = gold.select("item_id", gold_plain=_plain("text"))
    wrong = known.join(golden, on="item_id").filter(pl.col("plain") != pl.col("gold_plain"))
    if wrong.height:
        raise CurationError(
            f"gold.item_id: {wrong['item_id'][0]!r} is an item of the pool with another text; give the gold item an id "
            "of its own, or the pool's text"
        )
    return known.filter(pl.col("plain").is_in(golden["gold_plain"].implode()))["item_id"].sort().to_list()


def draw_gold(gold: pl.DataFrame, *, wanted: int, asked: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Draw gold items that no queue has held yet: a rater who meets one again remembers it.

    :param gold: item_id, text.
    :param wanted: how many; fewer come back when the file is used up.
    :param asked: item_id, text of every item queued so far; neither their ids nor their texts are drawn.
    :return: rows of a queue, reason ``gold``, no inclusion probability: they say nothing about the pool.
    """
    check_columns(gold, "gold", ("item_id", "text"))
    check_item_ids(gold["item_id"])
    free = (
        gold.with_columns(plain=_plain("text"))
        .filter(
            ~pl.col("item_id").is_in(asked["item_id"].implode())
            & ~pl.col("plain").is_in(asked.select(_plain("text"))["text"].implode())
        )
        .unique("plain", keep="first", maintain_order=True)
        .sort("item_id")
    )
    drawn = free[_draw(free.height, wanted, (seed, 2))]
    return _rows(drawn, GOLD, group=pl.col("item_id"), chance=None)


def draw_repeats(
    votes: pl.DataFrame,
    queue: pl.DataFrame,
    *,
    wanted: int,
    raters: Collection[str],
    version: str,
    before: datetime,
    seed: int = 0,
) -> pl.DataFrame:
    """Draw items to ask a second time, uniformly from those that a present rater answered long enough ago.

    An answer counts when it was decisive and cast under the present version of the policy: a change of mind after an
    edit says nothing about the rater. An item that another present rater answered too lately waits, because all who
    answered it are asked again. No item is repeated twice.

    :param votes: the votes that count: item_id, rater, label, policy_version, voted_at.
    :param queue: every item queued so far with the text raters saw: item_id, text, reason, group_id.
    :param raters: who votes now; whose answers may be repeated.
    :param before: answers after this moment are too fresh.
    :return: rows of a queue, reason ``repeat``; inclusion_probability is drawn / eligible.
    """
    check_columns(votes, "votes", _VOTES)
    check_columns(queue, "queue", ("item_id", "text", "reason", "group_id"))
    present = votes.filter(pl.col("rater").is_in(list(raters)))
    answered = present.filter((pl.col("label") != "undecided") & (pl.col("policy_version") == version))
    fresh = present.filter(pl.col("voted_at") > before)["item_id"]
    repeated = queue.filter(pl.col("reason") == REPEAT)["item_id"]
    eligible = (
        queue.filter(
            ~pl.col("reason").is_in(HIDDEN)
            & pl.col("item_id").is_in(answered["item_id"].implode())
            & ~pl.col("item_id").is_in(pl.concat([repeated, fresh]).implode())
        )
        .unique("item_id", keep="first", maintain_order=True)
        .sort("item_id")
    )
    drawn = eligible[_draw(eligible.height, wanted, (seed, 3))]
    return _rows(drawn, REPEAT, group=pl.col("group_id"), chance=drawn.height / max(eligible.height, 1))


def mix_hidden(queue: pl.DataFrame, hidden: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Return the queue with hidden items at random places; the order among the other items stays.

    :raises CurationError: a hidden item is in the queue already.
    """
    check_item_ids(pl.concat([queue["item_id"], hidden["item_id"]]))
    total = queue.height + hidden.height
    places = np.zeros(total, dtype=np.bool_)
    places[_draw(total, hidden.height, (seed, 4))] = True
    rows = np.where(places, queue.height + np.cumsum(places) - 1, np.cumsum(~places) - 1)
    return pl.concat([queue, hidden], how="diagonal")[rows]


def _draw(count: int, wanted: int, stream: tuple[int, int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    # Streams of their own, or the lots of audit and control would be drawn again.
    generator = np.random.default_rng(stream)
    return np.sort(generator.choice(count, min(wanted, count), replace=False)).astype(np.int64)


def _plain(column: str) -> pl.Expr:
    return pl.col(column).str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


def _rows(drawn: pl.DataFrame, reason: str, *, group: pl.Expr, chance: float | None) -> pl.DataFrame:
    return drawn.select(
        "item_id",
        "text",
        pl.lit(reason).alias("reason"),
        pl.lit(None, dtype=pl.String).alias("pair_id"),
        group.alias("group_id"),
        pl.lit(None, dtype=pl.String).alias("stratum"),
        pl.lit(None, dtype=pl.Int64).alias("stratum_size"),
        pl.lit(chance, dtype=pl.Float64).alias("inclusion_probability"),
    )
