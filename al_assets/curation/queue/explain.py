"""Why an item is in the queue: as columns of the queue, as sentences for people, and as a table of examples."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from al_assets.curation.checks import CurationError, check_at_least, check_columns, check_item_ids
from al_assets.curation.queue.hidden import GOLD, REPEAT
from al_assets.curation.split import CHECK
from al_assets.curation.strategies.registry import declared_of_reason
from al_assets.tables import REVIEW_QUEUE, WHY_QUEUED

EXPLANATION = pl.Schema({name: REVIEW_QUEUE.schema[name] for name in WHY_QUEUED if name != "rank"})
"""What ``explain_queue`` adds to a queue; all of it may be null."""

NO_NAMES: Mapping[int, str] = MappingProxyType({})

_RANDOM = {
    "audit": "Audit: drawn by chance within strata of score and label, so that labels speak for the pool.",
    "control": "Control: drawn by chance alone, to compare the other picks with.",
    CHECK: "Check: drawn by chance after training, most often where the student and the model it is compared with "
    "differ, to tell which is better.",
    GOLD: "Hidden gold: its answer is known. The raters' answers show how well they apply the policy; none is a label.",
    REPEAT: "Hidden repeat: raters answered it before, and whether they agree with themselves shows now; no second "
    "answer is a label.",
}
"""What no strategy picked."""


def explain_queue(
    queue: pl.DataFrame, *, scores: pl.DataFrame, clusters: pl.DataFrame, pairs: pl.DataFrame
) -> pl.DataFrame:
    """Return the queue with the columns of ``EXPLANATION`` behind its own, row for row.

    What a table does not know of an item is null: gold has neither score nor region, only members of a pair have a
    partner, and they have each other. Columns of these names that the queue has already are made anew.

    :param queue: item_id, pair_id (null if none) and whatever else it has, such as reason and rank.
    :param scores: item_id, p_positive, label (the pseudo-label).
    :param clusters: item_id, region, cell.
    :param pairs: pair_id, positive_item, negative_item, similarity, mixing, positive_region, negative_region.
    :raises CurationError: a column is missing, or an item or pair of the queue is in a table more than once.
    """
    check_columns(queue, "queue", ("item_id", "pair_id"))
    check_columns(scores, "scores", ("item_id", "p_positive", "label"))
    check_columns(clusters, "clusters", ("item_id", "region", "cell"))
    check_item_ids(queue["item_id"])
    bare = queue.drop(EXPLANATION.names(), strict=False)
    called = pl.when("label").then(pl.lit("positive")).when(~pl.col("label")).then(pl.lit("negative"))
    scored = _known(scores, bare).select("item_id", "p_positive", called=called)
    placed = _known(clusters, bare).select("item_id", "cell", "region")
    return (
        bare.join(scored, on="item_id", how="left", maintain_order="left")
        .join(placed, on="item_id", how="left", maintain_order="left")
        .join(_members(pairs, bare), on=["item_id", "pair_id"], how="left", maintain_order="left")
        .select(*bare.columns, *(pl.col(name).cast(dtype) for name, dtype in EXPLANATION.items()))
    )


def why_sentences(row: Mapping[str, Any], regions: Mapping[int, str] = NO_NAMES) -> list[str]:
    """Return why an item was queued, in short sentences; ranks count from 1.

    The chance that is named has a meaning of its own for each reason: in the audit it is n_h / N_h, in the control that
    of both draws together, in the check that of being in the stop set and drawn from it; for all others it holds given
    the strategy's order and what earlier parts of the queue had taken, so it says nothing about the pool.

    :param row: a row of ``review_queue``; a column that is missing counts as null, which is said where it matters:
        queues of earlier releases have no explanation.
    :param regions: the names of the iteration's regions by number; one that has none is called by its number.
    """
    reason = str(row["reason"])
    picked_by = declared_of_reason(reason)
    said = [_RANDOM.get(reason) or (picked_by.sentence if picked_by else f"Picked by the strategy {reason}.")]
    if reason == "audit":
        said += _audit(row)
    elif reason == "control":
        said += _chance(row, "Counting the audit's draw and its own, its chance to become a control item was {}.")
    elif reason == CHECK:
        said += _check(row)
    elif reason == REPEAT:
        said += _chance(row, "Of the items whose answers were old enough, each had a chance of {}.")
    elif reason == "random":
        said += _chance(row, "Given what earlier parts of the queue had taken, its chance was {}.")
    elif reason != GOLD:
        said += _place(row, reason)
    return [*said, *known_sentences(row, regions)]


def known_sentences(row: Mapping[str, Any], regions: Mapping[int, str] = NO_NAMES) -> list[str]:
    """Return what the incumbent and the map of the pool said of an item: score, label, region, partner, mixing.

    :param row: the columns of ``EXPLANATION``, and reason and pair_id where the item was queued.
    :param regions: see ``why_sentences``.
    """
    said = []
    if row.get("called") is not None:
        score = "not recorded" if row.get("p_positive") is None else _number(row["p_positive"])
        where = "" if row.get("region") is None else f", in region {regions.get(row['region'], row['region'])}"
        cell = "" if row.get("cell") is None else f", cell {row['cell']}"
        said.append(f"Called {row['called']} (p {score}){where}{cell}.")
    elif row.get("reason") != GOLD:
        said.append("Its score and label then are not recorded.")
    if row.get("partner_item") is not None:
        said += _pair(row, regions)
    elif row.get("pair_id") is not None:
        said.append(f"It belongs to the pair {row['pair_id']}, of which nothing else is recorded.")
    return said


def place_sentence(rank: int, reason: str) -> str:
    """Return the place in a strategy's order as a sentence.

    :param rank: from 0.
    """
    # Pairs are ranked before anything is drawn; single items among those that earlier parts of the queue left.
    who = "Its pair" if reason == "boundary" else "Among the items left it"
    picked_by = declared_of_reason(reason)
    return (
        f"{who} was {_ordinal(rank + 1)} in the order of {picked_by.order if picked_by else f'the strategy {reason}'}."
    )


def why_table(queue: pl.DataFrame, rows: int = 12) -> pl.DataFrame:
    """Return the first items of each reason with why they are there, for people to read; ranks count from 1.

    :param queue: text, reason, rank, inclusion_probability and the columns of ``EXPLANATION``.
    :param rows: at most so many of each reason.
    """
    check_at_least("rows", rows, 1)
    check_columns(queue, "queue", ("text", "reason", "rank", "inclusion_probability", *EXPLANATION))
    return (
        queue.group_by("reason", maintain_order=True)
        .head(rows)
        .select(
            "reason", "text", "called", "p_positive", "region", "mixing",
            partner="partner_item", rank=pl.col("rank") + 1, chance="inclusion_probability",
        )
        .select("reason", "text", "called", "p_positive", "region", "partner", "mixing", "rank", "chance")
    )  # fmt: skip


def _known(table: pl.DataFrame, queue: pl.DataFrame) -> pl.DataFrame:
    """Return a table's rows about items of the queue, which may be few of a million."""
    known = table.join(queue.select("item_id"), on="item_id", how="semi")
    check_item_ids(known["item_id"])
    return known


def _members(pairs: pl.DataFrame, queue: pl.DataFrame) -> pl.DataFrame:
    """Return each member of the queue's pairs with the other one."""
    sides = (("positive", "negative"), ("negative", "positive"))
    names = [f"{side}_{what}" for side, _ in sides for what in ("item", "region")]
    check_columns(pairs, "pairs", ("pair_id", "similarity", "mixing", *names))
    known = pairs.join(queue.select("pair_id"), on="pair_id", how="semi")
    if known["pair_id"].is_duplicated().any():
        repeated = known.filter(known["pair_id"].is_duplicated())["pair_id"][0]
        raise CurationError(f"pairs.pair_id: {repeated!r} is there more than once; give every pair one row")
    return pl.concat(
        known.select(
            "pair_id", "similarity", "mixing",
            item_id=f"{own}_item", partner_item=f"{other}_item", partner_region=f"{other}_region",
        )
        for own, other in sides
    )  # fmt: skip


def _audit(row: Mapping[str, Any]) -> Iterator[str]:
    chance, size, stratum = (row.get(name) for name in ("inclusion_probability", "stratum_size", "stratum"))
    if chance is None or size is None:
        yield from _chance(row, "Its chance to be drawn was {}.")
        return
    drawn = f"Drawn at random: {round(chance * size)} of the {size} items of stratum '{stratum}'"
    if chance == 1:
        yield f"{drawn}, so each was certain to be drawn."
        return
    yield f"{drawn}, so each had a chance of {_number(chance)}."
    yield f"Its label stands for {_number(1 / chance)} of the items that could be asked then."


def _check(row: Mapping[str, Any]) -> Iterator[str]:
    chance, size, stratum = (row.get(name) for name in ("inclusion_probability", "stratum_size", "stratum"))
    if chance is None or size is None:
        yield from _chance(row, "Its chance to be drawn was {}.")
        return
    yield f"Its stratum '{stratum}' stands for {size} items of the pool."
    yield f"Each of them had a chance of {_number(chance)}."
    yield f"Its label stands for {_number(1 / chance)} of the items that could be asked then."


def _place(row: Mapping[str, Any], reason: str) -> Iterator[str]:
    if row.get("rank") is not None:
        yield place_sentence(row["rank"], reason)
    given = "Given that order and what earlier parts of the queue had taken, "
    if row.get("inclusion_probability") == 1:
        yield f"{given}it was certain to be picked."
    else:
        yield from _chance(row, given + "its chance to be drawn was {}.")


def _chance(row: Mapping[str, Any], sentence: str) -> Iterator[str]:
    chance = row.get("inclusion_probability")
    yield "Its chance to be picked is not recorded." if chance is None else sentence.format(_number(chance))


def _pair(row: Mapping[str, Any], regions: Mapping[int, str]) -> Iterator[str]:
    other = {"positive": "negative", "negative": "positive"}.get(str(row.get("called")), "by the other label")
    place = row.get("partner_region")
    of = "" if place is None else f" of region {regions.get(place, place)}"
    near = "" if row.get("similarity") is None else f", is at cosine {_number(row['similarity'])}"
    yield f"Its partner {row['partner_item']}{of}, called {other}{near}."
    if row.get("mixing") is not None:
        # Mixing is 2 min(p, 1 - p): it does not say which of the labels is the rarer one.
        share = _number(50 * row["mixing"])
        yield (
            f"Of the items nearest to the two, {share} % are called by the label that is rarer there "
            f"(mixing {_number(row['mixing'])}, where 1 is half and half)."
        )


def _number(value: float) -> str:
    """Return three significant digits, never as an exponent; more where they would round to 0 or 1 what is neither."""
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    text = np.format_float_positional(value, precision=3, unique=False, fractional=False, trim="-")
    rounded_away = text in ("0", "1", "-1") and float(text) != value
    return np.format_float_positional(value, trim="-") if rounded_away else text


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"
