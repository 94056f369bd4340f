"""The report's bootstrap at the cost of a few label patterns: items with the same labels are counted.

A multinomial over groups with the same labels is exactly the bootstrap over groups, so that thousands of simulated
reports take minutes instead of hours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import Distribution, Statistic, degrees_of_freedom
from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.pool_sample import PoolSample

Figure = Callable[[Floats], Statistic]
"""Labels of shape (items, raters and models) -> the figure of item weights."""


@dataclass(frozen=True)
class CountedGroups:
    """Groups of items, counted by what their items' labels are.

    :param patterns: shape (patterns, raters and models), the rows of labels that occur, 1 or 0.
    :param kinds: shape (kinds, patterns), how many items of each pattern a group of the kind has.
    :param counts: shape (kinds,), groups of each kind.
    """

    patterns: Floats
    kinds: Floats
    counts: NDArray[np.int64]

    @property
    def groups(self) -> int:
        """Number of groups."""
        return int(self.counts.sum())

    def distribution(
        self, figure: Figure, *, resamples: int, seed: int, leverage: float = float("nan")
    ) -> Distribution:
        """Return what ``grouped_distributions`` gives of a figure."""
        statistic = figure(self.patterns)
        draws = np.random.default_rng(seed).multinomial(self.groups, self.counts / self.groups, size=resamples)
        whole = self.counts @ self.kinds
        return Distribution(
            float(statistic(whole[None, :])[0]),
            statistic(draws @ self.kinds),
            self.groups,
            np.repeat(statistic(whole - self.kinds), self.counts),
            leverage,
        )

    def smoothed(self, figure: Figure, pseudo_items: Floats, mass: float, *, resamples: int, seed: int) -> Distribution:
        """Return what ``smoothed_distribution`` gives of a figure.

        :param pseudo_items: shape (pseudo-items, raters and models).
        """
        statistic = figure(np.concatenate([self.patterns, pseudo_items]))
        pseudo, kinds = len(pseudo_items), len(self.kinds)
        content = np.zeros((kinds + pseudo, len(self.patterns) + pseudo))
        content[:kinds, : len(self.patterns)] = self.kinds
        content[kinds:, len(self.patterns) :] = np.eye(pseudo)
        chances = np.concatenate([self.counts, np.full(pseudo, mass / pseudo)]) / (self.groups + mass)
        alone = np.concatenate([self.counts, np.zeros(pseudo)])
        estimate, centre = (float(statistic((m @ content)[None, :])[0]) for m in (alone, chances * self.groups))
        draws = np.random.default_rng(seed).multinomial(self.groups, chances, size=resamples)
        return Distribution(estimate, statistic(draws @ content) + (estimate - centre), self.groups)


def counted_groups(labels: Floats, groups: NDArray[Any]) -> CountedGroups:
    """Count groups by their labels.

    :param labels: shape (items, raters and models), 1 or 0.
    :param groups: shape (items,).
    """
    patterns, pattern = _patterns(labels)
    member = np.unique(groups, return_inverse=True)[1]
    content = np.zeros((int(member.max()) + 1, len(patterns)))
    np.add.at(content, (member, pattern), 1.0)
    kinds, counts = np.unique(content, axis=0, return_counts=True)
    return CountedGroups(patterns, kinds, counts.astype(np.int64))


def uniform_rounds(
    labels: Floats, rounds: NDArray[np.int64], figure: Figure, *, resamples: int, seed: int
) -> Distribution:
    """Return what ``population_distributions`` gives of a difference, for items drawn uniformly from a large pool.

    :param labels: shape (items, raters and models), 1 or 0.
    :param rounds: shape (items,), the round that drew an item, numbered from 0, each of at least 2 items.
    """
    patterns, pattern = _patterns(labels)
    statistic, generator = figure(patterns), np.random.default_rng(seed)
    counts = np.zeros((int(rounds.max()) + 1, len(patterns)))
    np.add.at(counts, (rounds, pattern), 1.0)
    sizes = counts.sum(axis=1)
    drawn = np.zeros((resamples, len(patterns)))
    for size, row in zip(sizes, counts, strict=True):
        drawn += generator.multinomial(int(size) - 1, row / size, size=resamples) * (size / (size - 1))
    # The others of its round stand for an item that is left out.
    kinds, kind = np.unique(np.column_stack([rounds, pattern]), axis=0, return_inverse=True)
    of_round = counts[kinds[:, 0]]
    others = (of_round - np.eye(len(patterns))[kinds[:, 1]]) * (sizes / (sizes - 1))[kinds[:, 0], None]
    whole = counts.sum(axis=0)
    estimate, without = float(statistic(whole[None, :])[0]), statistic(whole - of_round + others)[kind]
    degrees = degrees_of_freedom(uniform_sample(rounds).jackknife(estimate, without))
    return Distribution(estimate, statistic(drawn), len(rounds), degrees=degrees)


def uniform_sample(rounds: NDArray[np.int64]) -> PoolSample:
    """Return items that rounds drew uniformly from a large pool, as a sample of it."""
    every, nothing = np.ones(len(rounds)), np.zeros(len(rounds))
    return PoolSample(every, nothing, rounds, np.zeros(len(rounds), np.int64), every, every)


def _patterns(labels: Floats) -> tuple[Floats, NDArray[np.int64]]:
    code = (labels @ 2.0 ** np.arange(labels.shape[1])).astype(np.int64)
    first, pattern = np.unique(code, return_index=True, return_inverse=True)[1:]
    return labels[first], pattern.astype(np.int64)
