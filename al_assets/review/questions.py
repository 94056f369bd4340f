"""What a rater is shown: the questions of an iteration, blind, in the rater's own order.

Gold and repeats must look like every other item. An id could give them away: gold may be numbered in another way, and a
repeat has the id it had on an earlier sheet. So where a queue holds hidden items every question goes by a code, another
in each iteration, instead of the item's id; ``coded_items`` turns codes back.
"""

import hashlib
import re
from collections import defaultdict, deque
from collections.abc import Sequence

import numpy as np
import polars as pl

from al_assets.config import Policy
from al_assets.curation.queue.hidden import HIDDEN
from al_assets.storage.ledger import Ledger

MIN_GAP = 8
"""Other items between two of a group, in a rater's order."""
_CODE = re.compile(r"q[0-9a-f]{12}")


def questions(ledger: Ledger, policy: Policy, iteration: str, rater: str | None = None) -> pl.DataFrame:
    """Return the questions of an iteration that still wait for a rater's answer, in the rater's order.

    Of the repeats a rater sees those only that they answered before. Raters may see ``shown_id`` and ``text``, no more.

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
        of_others = [item for item, raters in ledger.repeat_raters(iteration).items() if rater not in raters]
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


def blind_order(queue: pl.DataFrame, *names: str) -> pl.DataFrame:
    """Return the queue in a rater's order: the same each time for the same names and items.

    Members of a group (pair partners, near-duplicates) have at least ``MIN_GAP`` other items between them, as far as
    the queue is long enough, so that one answer does not give away the other. Items of a later revision come after
    those of an earlier one: what a rater has seen does not move.

    :param queue: columns ``group_id`` and ``revision`` at least.
    :param names: what makes the order a rater's own: policy, iteration, rater.
    """
    seed = int.from_bytes(hashlib.sha256("\x1f".join(names).encode()).digest()[:8], "big")
    generator = np.random.default_rng(seed)
    order: list[int] = []
    revisions = queue["revision"].to_list()
    groups = queue["group_id"].to_list()
    for revision in sorted(set(revisions)):
        rows = [row for row, revision_of_row in enumerate(revisions) if revision_of_row == revision]
        order += _spread(rows, groups, generator)
    return queue[order]


def _spread(rows: Sequence[int], groups: Sequence[str], generator: np.random.Generator) -> list[int]:
    parts = _parts(rows, groups, generator)
    gap = min(MIN_GAP, min(len(part) for part in parts) - 1)
    recent: deque[str] = deque(maxlen=max(gap, 0))
    order = []
    for part in parts:
        waiting = deque(part[at] for at in generator.permutation(len(part)).tolist())
        while waiting:
            row = waiting[0]
            # Mostly the first will do.
            if groups[row] in recent:
                row = next((candidate for candidate in waiting if groups[candidate] not in recent), row)
                waiting.remove(row)
            else:
                waiting.popleft()
            recent.append(groups[row])
            order.append(row)
    return order


def _parts(rows: Sequence[int], groups: Sequence[str], generator: np.random.Generator) -> list[list[int]]:
    """Deal the members of each group to different parts, so that no part holds two of one group."""
    members: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        members[groups[row]].append(row)
    parts: list[list[int]] = [[] for _ in range(max(len(each) for each in members.values()))]
    ordered = sorted(members)
    dealt = generator.permutation(len(ordered)).tolist()
    if len(parts) == 1:
        # As below, where a single item costs one random number.
        generator.random(len(ordered))
        return [[members[ordered[at]][0] for at in dealt]]
    for at in dealt:
        group = members[ordered[at]]
        # Large groups fill every part, single items go where there is most room; chance decides between equals.
        chance = generator.random(len(parts)).tolist()
        emptiest = sorted(range(len(parts)), key=lambda part: (len(parts[part]), chance[part]))[: len(group)]
        # Shuffling one item takes no chance, only time.
        shuffled = generator.permutation(group).tolist() if len(group) > 1 else group
        for row, part in zip(shuffled, emptiest, strict=True):
            parts[part].append(row)
    return parts
