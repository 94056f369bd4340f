"""What labelled items say of the whole pool: how each of them came to be asked, over all rounds, made into weights.

Before round t the items asked so far are known; audit and control together are one stratified random sample of the
rest, with N_h / n_h pool items for each. So the round's total of anything, asked items in full and the sample for the
rest, is unbiased given what happened before, and the errors of rounds are uncorrelated. Rounds are combined with
weights that are fixed before a vote is looked at, and every item ends with one weight for all figures alike.

Boundary items are chosen by rule. They weigh what they are, from the round after the one that asked them, and stand for
no other item; forgetting them is what makes a pool that is used up look poorer than it is.
"""

from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.core.labelled_items import RANDOM_REASONS, require_columns
from al_assets.agreement.population.pool_sample import Codes, PoolSample

ASKED_COLUMNS = ("item_id", "iteration", "reason", "stratum", "stratum_size", "inclusion_probability")


_LEAST_UNSEEN = 1e-3


class PoolDesign:
    """How the items of a loop came to be asked, and the pool they speak for."""

    def __init__(self, asked: pl.DataFrame, frame: pl.DataFrame | None) -> None:
        """Take what ``pool_design`` has checked."""
        self._sized = frame is not None
        if frame is not None:
            asked = asked.join(frame.select("item_id", "joined", "weight"), on="item_id", how="left")
        else:
            asked = asked.with_columns(joined=pl.lit(""), weight=pl.lit(1.0))
        asked = asked.sort("iteration", "item_id")
        self.gone = int(asked["joined"].null_count())
        self._random = asked["reason"].is_in(RANDOM_REASONS).to_numpy()
        rounds = asked.select("iteration", "revision").rows()
        self.rounds = sorted(set(rounds))
        number = {name: place for place, name in enumerate(self.rounds)}
        self._item_id = asked["item_id"].to_numpy().astype(np.str_)
        self._round = np.array([number[name] for name in rounds], dtype=np.int64)
        self._there = asked["joined"].is_not_null().to_numpy()
        self._item_weight = asked["weight"].fill_null(0.0).to_numpy()
        opened = np.array([iteration for iteration, _ in self.rounds], dtype=np.str_)
        # The first round whose pool held the item.
        self._since = np.searchsorted(opened, asked["joined"].fill_null("").to_numpy().astype(np.str_))
        name = [f"{'draw' if lot else reason}\0{stratum or ''}" for lot, reason, stratum in zip(
            self._random, asked["reason"], asked["stratum"], strict=True)]  # fmt: skip
        alike = np.array([f"{place:06d}\0{kind}" for place, kind in zip(self._round, name, strict=True)], dtype=np.str_)
        # Items asked alike: of one stratum of one round, or for one reason in one iteration.
        self._alike = np.unique(alike, return_inverse=True)[1].astype(np.int64) if len(alike) else self._round
        self._size = asked["stratum_size"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        self._rest = self._rest_sizes(frame)

    def _rest_sizes(self, frame: pl.DataFrame | None) -> Floats:
        """Return how many items each round was drawn from, and that are still in the pool; NaN where unknown."""
        if frame is None:
            return np.full(len(self.rounds), np.nan)
        joined = np.sort(frame["joined"].to_numpy().astype(np.str_))
        before = [int((self._there & (self._round < place)).sum()) for place in range(len(self.rounds))]
        there = [np.searchsorted(joined, iteration, side="right") for iteration, _ in self.rounds]
        return np.array(there, dtype=np.float64) - np.array(before, dtype=np.float64)

    def sample(
        self, item_ids: NDArray[np.str_], usable: NDArray[np.bool_], differs: Floats | None = None
    ) -> PoolSample:
        """Return the usable ones of some labelled items as a weighted sample of the pool.

        Of the items asked alike those that are not usable, such as unlabelled ones, are taken to be missing at random:
        the usable ones stand for them. Items that are no longer in the pool weigh 0.

        Round t counts as 1 / V_t, with V_t = (rest / pool)^2 sum over strata of W_h^2 S_h^2 (1 / n_h - 1 / N_h). S_h^2
        is alike for all strata, or that of ``differs``, so that rounds which tell more of a difference count for more;
        neither looks at a vote.

        :param item_ids: shape (items,), each asked once.
        :param usable: shape (items,).
        :param differs: shape (items,), what a figure's error comes from: 1 where two models differ, else 0.
        :raises ValueError: an item was never asked.
        """
        places = np.searchsorted(self._sorted_ids, item_ids)
        found = np.minimum(places, max(len(self._sorted_ids) - 1, 0))
        unknown = self._sorted_ids[found] != item_ids if len(self._sorted_ids) else np.ones(len(item_ids), np.bool_)
        if unknown.any():
            raise ValueError(
                f"asked: {int(unknown.sum())} labelled items were never asked, such as {str(item_ids[unknown][0])!r}; "
                "give every queue of the loop"
            )
        rows = self._order[found][usable]
        chosen = np.zeros(len(self._item_id), dtype=np.bool_)
        chosen[rows] = True
        chosen &= self._there
        spread = np.zeros(len(self._item_id))
        if differs is not None:
            spread[rows] = differs[usable]
        stratum, stands_for, unseen, importance = self._draws(chosen, spread if differs is not None else None)
        block, block_factor, block_unseen = self._blocks(chosen)
        before, now = self._shares(importance)
        drawn = np.where(chosen & self._random, now * stands_for, 0.0) * self._item_weight
        known = np.where(chosen & self._there, before * block_factor, 0.0) * self._item_weight
        if not self._sized:
            known[:] = 0.0
        drawn, known = drawn[rows], known[rows]
        total = float((drawn + known).sum())
        factor = len(rows) / total if total > 0 else 0.0
        return PoolSample(
            drawn * factor,
            known * factor,
            _renumbered(stratum[rows]),
            _renumbered(block[rows]),
            unseen[rows],
            block_unseen[rows],
            1 / factor if self._sized and factor else float("nan"),
        )

    @cached_property
    def _order(self) -> Codes:
        return np.argsort(self._item_id, kind="stable")

    @cached_property
    def _sorted_ids(self) -> NDArray[np.str_]:
        return self._item_id[self._order]

    def _draws(self, chosen: NDArray[np.bool_], spread: Floats | None) -> tuple[Codes, Floats, Floats, Floats]:
        """Return stratum, pool items that one chosen item stands for, the unseen share; and each round's importance."""
        stratum = np.zeros(len(chosen), dtype=np.int64)
        stands_for, unseen = np.ones(len(chosen)), np.ones(len(chosen))
        importance = np.zeros(len(self.rounds))
        for place in range(len(self.rounds)):
            here = np.flatnonzero((self._round == place) & self._random)
            if not (chosen[here]).any():
                continue
            code = _joined(self._alike[here], chosen[here])
            size = _sizes(self._alike[here], self._size[here], self._there[here], code)
            rest = float(self._rest[place])
            if not np.isnan(rest):
                size *= rest / size.sum()
            count = np.bincount(code[chosen[here]], minlength=len(size))
            stratum[here] = code + stratum.max() + 1
            stands_for[here] = (size / np.maximum(count, 1))[code]
            unseen[here] = np.clip(1 - (count / size)[code], 0.0, 1.0) if self._sized else 1.0
            shares = size / size.sum()
            deviation = _spread_of(code, chosen[here], spread[here], len(size)) if spread is not None else 1.0
            left = np.clip(1 - count / size, _LEAST_UNSEEN, 1.0) if self._sized else 1.0
            variance = float((shares**2 * deviation * left / np.maximum(count, 1)).sum())
            pool = rest + float((self._there & (self._round < place)).sum())
            importance[place] = (pool / rest if rest > 0 else 1.0) ** 2 / variance
        return stratum, stands_for, unseen, importance

    def _blocks(self, chosen: NDArray[np.bool_]) -> tuple[Codes, Floats, Floats]:
        there = np.flatnonzero(self._there)
        code = np.zeros(len(chosen), dtype=np.int64)
        factor, unseen = np.ones(len(chosen)), np.zeros(len(chosen))
        if chosen.any():
            code[there] = _joined(self._alike[there], chosen[there])
            size = np.bincount(code[there])
            count = np.bincount(code[chosen], minlength=len(size))
            factor[there] = (size / np.maximum(count, 1))[code[there]]
            unseen[there] = 1 - (count / size)[code[there]]
        return code, factor, unseen

    def _shares(self, importance: Floats) -> tuple[Floats, Floats]:
        """Return each item's share of rounds after the one that asked it, and of that round itself.

        Only rounds since the item joined the pool can tell of it.
        """
        after = np.append(np.cumsum(importance[::-1])[::-1], 0.0)
        total = after[np.minimum(self._since, len(importance))]
        safe = np.where(total > 0, total, 1.0)
        later = np.where(total > 0, after[self._round + 1] / safe, 0.0)
        now = np.where(total > 0, importance[self._round] / safe, 0.0)
        return later, now


def pool_design(asked: pl.DataFrame, frame: pl.DataFrame | None = None) -> PoolDesign:
    """Return how the items of a loop came to be asked.

    :param asked: a row for each item that was ever asked: item_id, iteration, reason, stratum, stratum_size,
        inclusion_probability and, where an iteration asked more than once, revision: each is a round of its own. Audit,
        control and check items are random; a null stratum is the whole rest of the pool.
    :param frame: a row for each item now in the pool, near-duplicates folded: item_id, joined (the iteration whose
        snapshot had it first) and, if items do not count alike, weight (copies, impressions). None: the pool is taken
        to be without end, so that asked items are none of it worth counting.
    :raises ValueError: a column is missing, an item is repeated, a random item has no chance in (0, 1], one stratum has
        two sizes, or an item's weight is not above 0.
    """
    require_columns(asked, "asked", ASKED_COLUMNS)
    if "revision" not in asked.columns:
        asked = asked.with_columns(revision=pl.lit(0))
    _refuse_repeated(asked, "asked")
    random = asked.filter(pl.col("reason").is_in(RANDOM_REASONS))
    chance = pl.col("inclusion_probability")
    wrong = random.filter(~((chance > 0) & (chance <= 1)).fill_null(value=False))
    if wrong.height:
        raise ValueError(
            f"inclusion_probability: {wrong.height} of {random.height} random items have none in (0, 1], such as "
            f"{wrong['item_id'][0]!r}; only items drawn with a known chance can stand for the pool"
        )
    sizes = random.group_by("iteration", "revision", "stratum").agg(pl.col("stratum_size").n_unique())
    torn = sizes.filter(pl.col("stratum_size") > 1)
    if torn.height:
        raise ValueError(
            f"stratum_size: stratum {torn['stratum'][0]!r} of iteration {torn['iteration'][0]} has several; a stratum "
            "has one size"
        )
    if frame is not None:
        frame = _checked_frame(frame)
    return PoolDesign(asked.select(*ASKED_COLUMNS, "revision"), frame)


def _checked_frame(frame: pl.DataFrame) -> pl.DataFrame:
    require_columns(frame, "frame", ("item_id", "joined"))
    _refuse_repeated(frame, "frame")
    if "weight" not in frame.columns:
        return frame.with_columns(weight=pl.lit(1.0))
    weight = pl.col("weight").cast(pl.Float64)
    wrong = frame.filter(~((weight > 0) & weight.is_finite()).fill_null(value=False))
    if wrong.height:
        raise ValueError(
            f"weight: {wrong['weight'][0]} of item {wrong['item_id'][0]!r} and {wrong.height - 1} others; expected a "
            "number above 0: leave out of the frame what shall not count"
        )
    return frame.with_columns(weight)


def _refuse_repeated(frame: pl.DataFrame, name: str) -> None:
    repeated = frame.filter(pl.col("item_id").is_duplicated())
    if repeated.height:
        raise ValueError(f"{name}: more than one row for item_id={repeated['item_id'][0]!r}; give one row for each")


def _joined(codes: Codes, chosen: NDArray[np.bool_]) -> Codes:
    """Return codes numbered from 0 in which each has at least 2 chosen items, if there are 2: joined with the next."""
    levels, code = np.unique(codes, return_inverse=True)
    counts = np.bincount(code[chosen], minlength=len(levels))
    joined = np.zeros(len(levels), dtype=np.int64)
    current, held = 0, 0
    for level, count in enumerate(counts):
        if held >= 2:
            current, held = current + 1, 0
        joined[level] = current
        held += int(count)
    if held < 2 and current:
        joined[joined == current] = current - 1
    return joined[code]


def _sizes(alike: Codes, size: Floats, there: NDArray[np.bool_], code: Codes) -> Floats:
    """Return N_h of each joined stratum: the sizes of its parts, each less the share of its draw that left the pool."""
    parts, first, part = np.unique(alike, return_index=True, return_inverse=True)
    share = np.bincount(part, weights=there) / np.bincount(part)
    known = size[first]
    # Without a size a stratum counts as many items as were drawn from it.
    known = np.where(np.isnan(known), np.bincount(part), known)
    return np.asarray(np.bincount(code[first], weights=known * share), dtype=np.float64)


def _spread_of(code: Codes, chosen: NDArray[np.bool_], values: Floats, strata: int) -> Floats:
    """Return S_h^2 of an indicator, with half a pseudo-item of its overall share in each stratum."""
    count = np.bincount(code[chosen], minlength=strata)
    overall = (float(values[chosen].sum()) + 0.5) / (int(chosen.sum()) + 1)
    mean = (np.bincount(code[chosen], weights=values[chosen], minlength=strata) + 0.5 * overall) / (count + 0.5)
    return np.asarray(mean * (1 - mean))


def _renumbered(codes: Codes) -> Codes:
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)
