"""The order in which a rater sees the items: random, another for each rater, pair members far apart."""

import hashlib
from collections import defaultdict, deque
from collections.abc import Sequence

import numpy as np
import polars as pl

MIN_GAP = 8


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
        rows = [row for row, each in enumerate(revisions) if each == revision]
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
                row = next((each for each in waiting if groups[each] not in recent), row)
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
