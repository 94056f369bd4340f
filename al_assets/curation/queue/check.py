"""The check: a second draw of an iteration, after training, in strata of what two models call the items.

Whether the student or the model it is compared with is better is decided by the items on which they differ, and a
sample of the pool holds few of them. The items are drawn from the stop set, a uniform random sample of the pool that
both have scored, so their labels speak for the pool like those of an audit (Kossen et al. 2021, "Active testing", arXiv
2103.05331, draw to judge one model).
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError, check_at_least, check_columns, check_item_ids
from al_assets.curation.queue.strata import StrataPlan, allocate
from al_assets.curation.settings import LEAST_CHECK_ITEMS
from al_assets.tables import CHECK_QUEUE

# Positives assumed among items called: negative by both, positive by one, positive by both; worth so many labels.
_ASSUMED_RATES = np.array([0.02, 0.4, 0.4, 0.8])
_ASSUMED_WORTH = 10.0
_LEAST_RATE = 0.01
# A label moves the gain where the two differ, and kappa and the prevalence everywhere. In simulated pools of 3,000 with
# 5 to 20 % positive and 90 items, three times as much for the former takes the standard deviation of the gain from .13
# (Neyman's rule for the prevalence) to .08 at 5 %, from .12 to .07 at 10 %, and widens kappa and the prevalence by less
# than a tenth; ten times would widen them by a quarter to a half. An audit of as many items has .18 and .15.
_DIFFERING_MATTERS = 3.0


def draw_check(
    stop_set: pl.DataFrame, known: pl.DataFrame, *, wanted: int, askable: int, other: str = "incumbent", seed: int = 0
) -> pl.DataFrame:
    """Draw the check items of an iteration, in random order.

    Strata are what the student and the other model call an item. Their shares follow Neyman's rule, n_h ~ N_h S_h, with
    S_h from the share of positives among labels drawn at random before; the strata in which the two differ weigh three
    times. No stratum gets fewer than two items, so every item of the pool had a chance above 0.

    :param stop_set: item_id, text; student, other and incumbent (booleans: called positive); p_incumbent. A uniform
        random sample of the items of the pool that may be asked. None of them: nothing is drawn.
    :param known: student, other, positive_share: items drawn at random that experts have answered.
    :param wanted: items to draw; all are drawn if there are no more.
    :param askable: items of the pool that may be asked, which the stop set stands for.
    :param other: what the other model is called in the names of strata; the incumbent itself, or another.
    :return: columns of ``check_queue`` but the revision. The size of a stratum is scaled from the stop set to the pool,
        and the chance of an item is that of being in the stop set times that of being drawn from it.
    :raises CurationError: a column or label is missing, an item repeats, or a number is out of range.
    """
    check_columns(stop_set, "stop_set", ("item_id", "text", "student", "other", "incumbent", "p_incumbent"))
    check_columns(known, "known", ("student", "other", "positive_share"))
    check_item_ids(stop_set["item_id"])
    check_at_least("check_items", wanted, LEAST_CHECK_ITEMS)
    check_at_least("askable", askable, stop_set.height)
    unlabelled = stop_set.filter(pl.any_horizontal(pl.col("student", "other").is_null())).height
    if unlabelled:
        raise CurationError(
            f"stop_set: {unlabelled} of {stop_set.height} items are not called by both models; score the whole stop set"
        )
    items = stop_set.sort("item_id")
    if items.is_empty():
        return CHECK_QUEUE.empty().drop("revision")
    plan = _plan(items, known, min(wanted, items.height), other)
    generator = np.random.default_rng((seed, 5))
    rows = generator.permutation(plan.draw(generator))
    scale = askable / items.height
    return items[rows].select(
        "item_id",
        "text",
        pl.Series("stratum", plan.names[plan.member[rows]].tolist()),
        pl.Series("stratum_size", np.rint(plan.sizes * scale).astype(np.int64)[plan.member[rows]]),
        pl.Series("inclusion_probability", plan.inclusion_probability[rows] / scale),
        p_positive="p_incumbent",
        called=pl.when("incumbent").then(pl.lit("positive")).otherwise(pl.lit("negative")),
    )


def _plan(items: pl.DataFrame, known: pl.DataFrame, budget: int, other: str) -> StrataPlan:
    strata, member = np.unique(_stratum(items), return_inverse=True)
    sizes = np.bincount(member).astype(np.int64)
    spread = _spread(known)[strata]
    names = [f"student {_word(each // 2)}, {other} {_word(each % 2)}" for each in strata.tolist()]
    return StrataPlan(np.array(names, dtype=np.str_), member.astype(np.int64), sizes, allocate(sizes, spread, budget))


def _stratum(items: pl.DataFrame) -> NDArray[np.int64]:
    """Return 0 to 3: negative by both, positive by the other model, by the student, by both."""
    return (2 * items["student"].cast(pl.Int64) + items["other"].cast(pl.Int64)).to_numpy()


def _spread(known: pl.DataFrame) -> NDArray[np.float64]:
    """Return what to take for each stratum's S_h, shape (4,), times how much a label of it matters."""
    answered = _stratum(known)
    labels = np.bincount(answered, minlength=4)
    positive = np.bincount(answered, weights=known["positive_share"].to_numpy(), minlength=4)
    rates = np.maximum((positive + _ASSUMED_WORTH * _ASSUMED_RATES) / (labels + _ASSUMED_WORTH), _LEAST_RATE)
    rates = np.minimum(rates, 1 - _LEAST_RATE)
    return np.asarray(np.sqrt(rates * (1 - rates)) * np.array([1.0, _DIFFERING_MATTERS, _DIFFERING_MATTERS, 1.0]))


def _word(positive: int) -> str:
    return ("negative", "positive")[positive]
