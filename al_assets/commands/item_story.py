"""What is known of one item: why it was queued, or what became of it instead."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from al_assets.config import Policy
from al_assets.curation.queue.explain import explain_queue, known_sentences, place_sentence, why_sentences
from al_assets.curation.queue.hidden import gold_twins
from al_assets.partitions import iteration_number
from al_assets.review.hidden_items import load_gold
from al_assets.storage.ledger import Ledger
from al_assets.storage.root import RunRoot
from al_assets.tables import TABLES

_COMPARED_IDS = 2_000
_LONGEST_ID = 60
_ALIKE = 0.6


@dataclass(frozen=True)
class Chapter:
    """One iteration of an item's story.

    :param reason: why it was queued; None if it was not.
    :param known: what is on record of it, by column.
    :param why: the same in sentences.
    """

    iteration: str
    reason: str | None
    known: dict[str, Any]
    why: list[str]


@dataclass(frozen=True)
class ItemStory:
    """An item with its text, None where a quarantined row has none on record, and its chapters in order."""

    item_id: str
    text: str | None
    chapters: list[Chapter]


def item_story(policy: Policy, item: str, iteration: str | None = None) -> ItemStory:
    """Return why an item was queued, as recorded when it was; or what is known of it, if it was not.

    :param iteration: its key; None for all that queued the item or, if none did, the newest whose pool holds it.
    :raises ValueError: there is no such iteration, or no such item; names the nearest ids.
    """
    root = RunRoot(policy.root)
    if iteration is not None:
        iteration_number(iteration)
    with Ledger.of(policy) as ledger:
        asked = ledger.asked_in([item]).get(item, [])
        shown = [
            ledger.queue(key).row(by_predicate=pl.col("item_id") == item, named=True)
            for key in asked
            if iteration in (None, key)
        ]
        if not shown:
            return _not_asked(policy, root, ledger, item, iteration)
    chapters = [
        Chapter(row["iteration"], row["reason"], row, why_sentences(row, _names(root, row["iteration"])))
        for row in shown
    ]
    return ItemStory(item, shown[0]["text"], chapters)


def nearest_ids(item: str, known: pl.Series, most: int = 3) -> list[str]:
    """Return the ids most like a mistyped one, the likest first, of equals the one that begins most like it.

    :param known: all ids; only those whose beginning and end agree best with the item's are compared in full.
    """
    asked = item.lower()[:_LONGEST_ID]
    lengths = range(1, len(asked) + 1)
    folded = pl.col("id").str.to_lowercase()
    likely = (
        pl.DataFrame({"id": known})
        .with_columns(
            begins=pl.sum_horizontal(pl.lit(0), *(folded.str.starts_with(asked[:each]) for each in lengths)),
            ends=pl.sum_horizontal(pl.lit(0), *(folded.str.ends_with(asked[-each:]) for each in lengths)),
        )
        .sort(pl.col("begins") + pl.col("ends"), "begins", "id", descending=[True, True, False])["id"]
        .head(_COMPARED_IDS)
    )
    compared = difflib.SequenceMatcher(b=asked, autojunk=False)
    likeness = {}
    for each in likely:
        compared.set_seq1(each.lower()[:_LONGEST_ID])
        likeness[each] = compared.ratio()
    alike = sorted((each for each in likeness if likeness[each] >= _ALIKE), key=lambda each: -likeness[each])
    return alike[:most]


def _not_asked(policy: Policy, root: RunRoot, ledger: Ledger, item: str, iteration: str | None) -> ItemStory:
    keys = root.table_keys("pool")
    if not keys:
        raise ValueError(f"pool: no iteration under {root.base} has one yet; materialize iteration 0000 first")
    if iteration is not None and iteration not in keys:
        raise ValueError(f"iteration: {iteration} has no pool; there are pools of {', '.join(keys)}")
    for key in reversed(keys if iteration is None else [iteration]):
        pool, quarantine = root.read_table("pool", key), _table(root, "quarantine", key)
        left_out = quarantine.filter(pl.col("item_id") == item)
        row = pool.filter(pl.col("item_id") == item)
        if row.height or left_out.height:
            known, why = _of_pool(policy, root, ledger, key, pool, item) if row.height else ({}, [])
            why += [f"Row {each['row']} of the source was left out: {each['reason']}." for each in left_out.to_dicts()]
            text = row["text"][0] if row.height else None
            return ItemStory(item, text, [Chapter(key, None, known, why)])
    raise _unknown(root, ledger, item, keys[-1] if iteration is None else iteration)


def _unknown(root: RunRoot, ledger: Ledger, item: str, key: str) -> ValueError:
    asked = ledger.asked_in([item]).get(item)
    if asked:
        return ValueError(f"item: {item!r} is not in the pool of iteration {key}; it was queued in {', '.join(asked)}")
    known = pl.concat([root.read_table("pool", key)["item_id"], ledger.queue()["item_id"]]).unique().sort()
    near = nearest_ids(item, known)
    hint = f"the nearest ids are {', '.join(near)}" if near else f"ids look like {', '.join(known.head(3))}"
    return ValueError(f"item: {item!r} is in no pool, queue or quarantine; {hint}")


def _of_pool(
    policy: Policy, root: RunRoot, ledger: Ledger, key: str, pool: pl.DataFrame, item: str
) -> tuple[dict[str, Any], list[str]]:
    """Return what the tables of an iteration say of an item that its queue does not hold: by column, in sentences."""
    row = pool.row(by_predicate=pl.col("item_id") == item, named=True)
    pairs = _table(root, "boundary_pairs", key)
    of_item = pairs.filter((pl.col("positive_item") == item) | (pl.col("negative_item") == item))
    best = of_item.sort("rank", "mixing", "similarity", descending=[False, True, True], nulls_last=True).head(1)
    alone = {"item_id": [item], "pair_id": best["pair_id"].to_list() or [None]}
    (known,) = explain_queue(
        pl.DataFrame(alone, schema={"item_id": pl.String, "pair_id": pl.String}),
        scores=_table(root, "pseudo_labels", key),
        clusters=_table(root, "cluster_assignments", key),
        pairs=best,
    ).to_dicts()
    known |= {"rank": best["rank"][0] if best.height else None, "duplicate_of": row["duplicate_of"]}
    copies = pool.filter(pl.col("duplicate_of") == item)["item_id"].sort().to_list()
    why = [*_why_not(policy, ledger, key, row, copies), *known_sentences(known, _names(root, key))]
    return known, [*why, *_pair_place(known, of_item.height, ledger.queue(key))]


def _names(root: RunRoot, key: str) -> dict[int, str]:
    """Return the names of an iteration's regions by number."""
    return dict(_table(root, "regions", key).select("region", "name").iter_rows())


def _why_not(policy: Policy, ledger: Ledger, key: str, row: dict[str, Any], copies: list[str]) -> Iterator[str]:
    if key not in ledger.iterations():
        yield f"The queue of iteration {key} is not published yet."
        return
    yield f"It is not in the queue of iteration {key}."
    reasons = [
        *_as_copy(ledger, row["duplicate_of"]),
        *_as_original(ledger, key, copies),
        *_as_asked(ledger, key, row["item_id"]),
        *_as_gold(policy, row),
    ]
    yield from reasons or ["It could have been asked: neither chance nor a strategy picked it within the budget."]


def _as_copy(ledger: Ledger, original: str | None) -> Iterator[str]:
    if original is not None:
        asked = ledger.asked_in([original]).get(original)
        when = f"was queued in {', '.join(asked)}" if asked else "was not queued either"
        yield f"It is a near-duplicate of {original}, which stands for it and {when}."


def _as_original(ledger: Ledger, key: str, copies: list[str]) -> Iterator[str]:
    for copy, asked in ledger.asked_in(copies).items():
        if asked[0] < key:
            yield f"Its near-duplicate {copy} was queued in {asked[0]}, so it is not asked again."
            return


def _as_asked(ledger: Ledger, key: str, item: str) -> Iterator[str]:
    asked = ledger.asked_in([item]).get(item, [])
    if earlier := [each for each in asked if each < key]:
        votes = ledger.votes().filter(pl.col("item_id") == item).height
        yield (
            f"It was queued in {', '.join(earlier)} and has {votes} {'vote' if votes == 1 else 'votes'} that count; no "
            "item is asked for a label twice."
        )
    if later := [each for each in asked if each > key]:
        yield f"It was queued later, in {', '.join(later)}."


def _as_gold(policy: Policy, row: dict[str, Any]) -> Iterator[str]:
    gold = load_gold(policy)
    if gold.height and gold_twins(pl.DataFrame([row]).select("item_id", "text"), gold):
        yield "The gold file tells its answer, so nobody is asked for a label."


def _pair_place(known: dict[str, Any], candidates: int, queue: pl.DataFrame) -> Iterator[str]:
    if known["rank"] is not None:
        yield place_sentence(known["rank"], "boundary")
        for reason in queue.filter(pl.col("item_id") == known["partner_item"])["reason"]:
            yield f"Its partner was queued for another reason, {reason}, so the pair was passed over."
    elif candidates:
        yield "The pair has no place in the order: a better pair took one of the two."
    if candidates > 1:
        yield f"It is in {candidates} candidate pairs; this is the first of them."


def _table(root: RunRoot, name: str, key: str) -> pl.DataFrame:
    return root.read_table(name, key) if root.has_table(name, key) else TABLES[name].empty()
