"""How much regions of a pool tell about LLM-0's errors, by clusterer and by space; docs/regions.md shows its figures.

python studies/regions.py studies/head-start.yaml --folder .al/study --seeds 3
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.population.thresholds import prevalence_threshold
from al_assets.curation.confusion import expected_errors
from al_assets.curation.geometry.cells import micro_cells
from al_assets.curation.geometry.clusters import cluster_assignments
from al_assets.curation.geometry.cross_label_pairs import cross_label_pairs
from al_assets.curation.geometry.labelled_pool import Sides
from al_assets.curation.geometry.regions import fit_regions, principal_axes
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.round import History, curate_round
from al_assets.curation.settings import ClusterSettings
from al_assets.curation.strategies.ranked_pairs import draw_pairs, rank_pairs
from al_assets.study.loop import LoopSettings, rows_of
from al_assets.study.settings import load_study
from al_assets.study.trial import Trial
from al_assets.study.workshop import Workshop
from benchmarks.pools.bench_pool import make_pool

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
HALVINGS, SHRINKAGE = 20, 5
PAIRS = 200
"""Boundary pairs drawn to see how many are true; a round draws some 20 of them."""


class Pool:
    """A pool with LLM-0's scores and labels and with the experts' labels; ``topic`` where topics are known."""

    def __init__(self, name: str, rows: NDArray[np.float32], scores: Floats, truth: Bools, called: Bools) -> None:
        self.name, self.rows, self.scores, self.truth, self.called = name, rows, scores, truth, called
        self.topic: Ints | None = None

    @property
    def wrong(self) -> Floats:
        """1 where the experts would overturn the label, else 0."""
        wrong: Floats = (self.truth != self.called).astype(np.float64)
        return wrong

    def part(self, rows: Ints) -> "Pool":
        """Return some of the items as a pool."""
        return Pool(self.name, self.rows[rows], self.scores[rows], self.truth[rows], self.called[rows])


Cluster = Callable[[Pool, int], Ints]
Table = dict[str, list[tuple[float, ...]]]


def information(region: Ints, wrong: Floats) -> float:
    """Return the gain in log-likelihood, in millinats an item, of knowing an item's region; below 0 is none.

    A region's error rate on a random half of the items, shrunk by five items towards the mean, predicts the other half.
    """
    rng, gains = np.random.default_rng(1), []
    for _ in range(HALVINGS):
        order = rng.permutation(len(region))
        known, rest = order[: len(order) // 2], order[len(order) // 2 :]
        mean = np.clip(wrong[known].mean(), 1e-4, 1 - 1e-4)
        size = np.bincount(region[known] + 1, minlength=region.max() + 2)
        errors = np.bincount(region[known] + 1, wrong[known], minlength=region.max() + 2)
        chance = np.clip((errors + SHRINKAGE * mean) / (size + SHRINKAGE), 1e-4, 1 - 1e-4)[region[rest] + 1]
        hit = wrong[rest]
        gains.append((hit * np.log(chance / mean) + (1 - hit) * np.log((1 - chance) / (1 - mean))).mean())
    return 1_000 * float(np.mean(gains))


def told(pool: Pool, region: Ints) -> tuple[float, float, float]:
    """Return the information of regions on items called positive, on those called negative, and on all."""
    sides = (np.flatnonzero(pool.called), np.flatnonzero(~pool.called))
    found = [information(np.unique(region[side], return_inverse=True)[1] - _noise(region[side]), pool.wrong[side])
             for side in sides]  # fmt: skip
    return found[0], found[1], float(np.average(found, weights=[len(side) for side in sides]))


def _noise(region: Ints) -> int:
    return int((region < 0).any())


def reduced(rows: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Return the leading principal components."""
    return np.asarray((rows - rows.mean(axis=0)) @ principal_axes(rows, dimensions))


def density(pool: Pool, _: int) -> Ints:
    """Each label on its own, as before: hdbscan of 16 principal components."""
    from sklearn.cluster import HDBSCAN

    return each_label(pool, lambda rows: HDBSCAN(min_cluster_size=15, copy=True).fit_predict(reduced(rows, 16)))


def leaves(pool: Pool, _: int) -> Ints:
    """Each label on its own: the leaves of hdbscan of 5 principal components."""
    from sklearn.cluster import HDBSCAN

    how = {"min_cluster_size": 8, "min_samples": 1, "cluster_selection_method": "leaf", "copy": True}
    return each_label(pool, lambda rows: HDBSCAN(**how).fit_predict(reduced(rows, 5)))


def dense_cells(pool: Pool, seed: int) -> Ints:
    """Each label on its own: hdbscan over the centres of the micro cells."""
    from sklearn.cluster import HDBSCAN

    def cluster(rows: NDArray[np.float32]) -> Ints:
        cell, centres, _ = micro_cells(rows, items_per_cell=10, seed=seed)
        if len(centres) < 6:
            return np.full(len(rows), -1)
        dense: Ints = HDBSCAN(min_cluster_size=3, copy=True).fit_predict(reduced(centres, 16))[cell]
        return dense

    return each_label(pool, cluster)


def sides_k_means(pool: Pool, seed: int) -> Ints:
    """Each label on its own: k-means, 40 clusters, on the vectors."""
    from sklearn.cluster import KMeans

    return each_label(pool, lambda rows: KMeans(min(40, len(rows)), n_init=1, random_state=seed).fit_predict(rows))


def each_label(pool: Pool, cluster: Callable[[NDArray[np.float32]], Ints]) -> Ints:
    """Return clusters of each label's items, numbered apart; below 0: in none."""
    region = np.full(len(pool.called), -1)
    for side in (np.flatnonzero(pool.called), np.flatnonzero(~pool.called)):
        found = cluster(pool.rows[side])
        region[side] = np.where(found < 0, -1, found + region.max() + 1)
    return region


def by_score(pool: Pool, _: int) -> Ints:
    """Twenty bins of LLM-0's score: what it knows of its own errors without any geometry."""
    return np.searchsorted(np.unique(np.quantile(pool.scores, np.linspace(0, 1, 21)[1:-1])), pool.scores)


def regions(**settings: float) -> Cluster:
    """Return the package's regions under these settings."""

    def cluster(pool: Pool, seed: int) -> Ints:
        vectors = Vectors(pool.rows)
        found = fit_regions(vectors, pool.scores, ClusterSettings(**settings), seed)  # type: ignore[arg-type]
        return found.find(vectors).astype(np.int64)

    return cluster


CLUSTERERS: dict[str, Cluster] = {
    "score alone, 20 bins": by_score,
    "each label: hdbscan": density,
    "each label: hdbscan, leaves": leaves,
    "each label: hdbscan of cells": dense_cells,
    "each label: k-means, 40": sides_k_means,
    "pool: k-means, topics alone": regions(policy_share=0.0),
    "pool: policy .1 (default)": regions(),
    "pool: policy .2": regions(policy_share=0.2),
    "pool: policy .3": regions(policy_share=0.3),
    "pool: policy .5": regions(policy_share=0.5),
    "policy .2, 20 regions": regions(regions=20, policy_share=0.2),
    "policy .2, 40 regions": regions(regions=40, policy_share=0.2),
    "policy .2, 32 dimensions": regions(dimensions=32, policy_share=0.2),
}


def stability(pool: Pool, cluster: Cluster, region: Ints) -> tuple[float, float]:
    """Return the adjusted Rand index with another seed, and with a fit on 80 % of the items."""
    from sklearn.metrics import adjusted_rand_score

    some = np.sort(np.random.default_rng(0).permutation(len(region))[: int(0.8 * len(region))])
    again = adjusted_rand_score(region, cluster(pool, 1))
    return again, adjusted_rand_score(region[some], cluster(pool.part(some), 0))


def pair_spaces(pool: Pool) -> dict[str, tuple[float, float]]:
    """Return ``share_of_true_pairs`` by the policy's share in the space."""
    known, found = fit_axis(pool), {}
    for share in (0.0, 0.1, 0.2, 0.5):
        rows = np.column_stack([np.sqrt(1 - share) * pool.rows, np.sqrt(share) * known]).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        found[f"{share:g}"] = share_of_true_pairs(pool, rows)
    return found


def share_of_true_pairs(pool: Pool, rows: NDArray[np.float32]) -> tuple[float, float]:
    """Return the share of true pairs among those drawn in a space, and among random ones.

    A pair is true if the experts call its members differently; the random ones are any two of different labels.
    """
    ids = pl.Series("item_id", [f"{row:07d}" for row in range(len(pool.rows))])
    scores = pl.DataFrame({"item_id": ids, "p_positive": pool.scores, "label": pool.called})
    at_random = float(pool.truth[pool.called].mean() * (1 - pool.truth[~pool.called].mean()))
    at_random += float((1 - pool.truth[pool.called].mean()) * pool.truth[~pool.called].mean())
    sides = Sides.of(ids, rows, pool.called)
    pairs = draw_pairs(rank_pairs(cross_label_pairs(sides, cluster_assignments(sides)), 0, scores), PAIRS, 0.25, 0)
    drawn = pairs.filter("selected").select(pl.col("positive_item", "negative_item").cast(pl.Int64))
    members = drawn.to_numpy()
    differ = pool.truth[members[:, 0]] != pool.truth[members[:, 1]]
    return float(differ.mean()), at_random


def fit_axis(pool: Pool) -> Floats:
    """Return what the vectors know of LLM-0's log-odds, scaled to a spread of one."""
    from scipy.special import logit
    from sklearn.linear_model import Ridge

    odds = logit(np.clip(pool.scores, 1e-3, 1 - 1e-3))
    axis: Floats = Ridge(alpha=1.0).fit(pool.rows, odds).predict(pool.rows)
    scaled: Floats = (axis - axis.mean()) / axis.std()
    return scaled


def confusion(pool: Pool, votes: Floats, prevalence: float, seed: int) -> list[tuple[float, ...]]:
    """Return how well each region's error rate is known before any label and after each of six rounds of 60.

    :return: the share of 95 % intervals that hold the true rate, their width, the correlation of estimate and truth,
        the root mean square error, and the spread of the truth.
    """
    vectors, ids = Vectors(pool.rows), pl.Series("item_id", [f"{row:07d}" for row in range(len(pool.rows))])
    region = fit_regions(vectors, pool.scores).find(vectors)
    rates = np.array([pool.wrong[region == each].mean() for each in np.unique(region)])
    items = ids.to_frame().with_columns(text=pl.lit(""))
    scores = pl.DataFrame({"item_id": ids, "p_positive": pool.scores, "label": pool.called})
    settings = LoopSettings(budget=60).round_settings(prevalence)
    labels, asked = np.full(len(region), np.nan), np.zeros(0, dtype=np.int64)
    rows: list[tuple[float, ...]] = []
    for number in range(7):
        if number:
            known = pl.DataFrame({"item_id": ids.gather(asked), "label": labels[asked] > 0.5})
            history = History(ids.gather(asked).to_list(), known if len(asked) else None)
            drawn = rows_of(curate_round(items, scores, vectors, history, settings, 1_000 * seed + number).queue)
            share = np.nanmean(votes[drawn], axis=1)
            labels[drawn] = np.where(share == 0.5, np.nan, share > 0.5)
            asked = np.concatenate([asked, drawn])
        threshold = float(pool.scores[pool.called].min())
        found = expected_errors(region, pool.called, pool.scores, labels, pool.scores, threshold, seed)
        error, low, high = (found[name].to_numpy() for name in ("error", "error_low", "error_high"))
        held = ((low <= rates) & (rates <= high)).mean()
        off = np.sqrt(((error - rates) ** 2).mean())
        rows.append((held, (high - low).mean(), np.corrcoef(error, rates)[0, 1], off, rates.std()))
    return rows


def show(title: str, names: list[str], table: Table) -> None:
    """Print the means over pools of a kind."""
    sys.stdout.write(f"\n{title}\n")
    sys.stdout.write(f"{'':32s}" + "".join(f"{name:>12s}" for name in names) + "\n")
    for name, rows in table.items():
        sys.stdout.write(f"{name:32s}" + "".join(f"{value:12.3g}" for value in np.mean(rows, axis=0)) + "\n")
    sys.stdout.flush()


def measure(pools: list[Pool]) -> Table:
    """Return for each clusterer: information, share without a region, the largest, stability, CPU seconds, topics."""
    from sklearn.metrics import adjusted_rand_score

    table: Table = {}
    for pool in pools:
        for name, cluster in CLUSTERERS.items():
            began = time.process_time()
            region = cluster(pool, 0)
            seconds = time.process_time() - began
            largest = np.bincount(region + 1).max() / len(region)
            topics = np.nan if pool.topic is None else adjusted_rand_score(pool.topic, region)
            row = (
                *told(pool, region),
                (region < 0).mean(),
                largest,
                *stability(pool, cluster, region),
                seconds,
                topics,
            )
            table.setdefault(name, []).append(row)
    return table


COLUMNS = ["positives", "negatives", "all", "left out", "largest", "Rand: seed", "Rand: 80 %", "CPU s", "Rand: topics"]


def main() -> None:
    """Measure the data sets of a study, then generated pools whose topics are known."""
    parser = argparse.ArgumentParser()
    parser.add_argument("study", type=Path)
    parser.add_argument("--folder", type=Path, default=Path(".al/study"))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    study = load_study(given.study)
    workshop = Workshop(study, given.folder)
    workshop.prepare()
    for dataset in study.datasets:
        pools: list[Pool] = []
        rounds: Table = {}
        pairs: Table = {}
        for seed in range(given.seeds):
            trial = Trial.draw(workshop, dataset, None, seed)
            rows = workshop.vectors(dataset, next(iter(study.embeddings.values())))[trial.pool].astype(np.float32)
            votes, scores = trial.panel.experts[: len(rows)], trial.first.pool
            called = scores >= prevalence_threshold(scores, trial.prevalence)
            pool = Pool(dataset, rows, scores, np.nanmean(votes, axis=1) > 0.5, called)
            pools.append(pool)
            for number, row in enumerate(confusion(pool, votes, trial.prevalence, seed)):
                rounds.setdefault(f"{60 * number} labels", []).append(row)
            for share, found in pair_spaces(pool).items():
                pairs.setdefault(f"policy {share}", []).append(found)
        error = np.mean([pool.wrong.mean() for pool in pools])
        show(f"{dataset}: {len(pools[0].rows)} items, {error:.3f} called wrong; information in millinats", COLUMNS,
             measure(pools))  # fmt: skip
        show(f"{dataset}: share of labels overturned by region, estimated", ["held", "width", "correlation",
             "off by", "spread"], rounds)  # fmt: skip
        show(f"{dataset}: members of drawn boundary pairs that truly differ", ["differ", "at random"], pairs)
    for items in (5_000, 10_000):
        drawn = [make_pool(items, seed=seed, prevalence=0.1) for seed in range(given.seeds)]
        pools = [
            Pool(each.name, np.asarray(each.vectors, dtype=np.float32), each.scores, each.truth, each.positive)
            for each in drawn
        ]
        for pool, each in zip(pools, drawn, strict=True):
            pool.topic = each.topic.astype(np.int64)
            pool.rows /= np.linalg.norm(pool.rows, axis=1, keepdims=True)
        show(f"generated: {items} items, {len(np.unique(drawn[0].topic))} topics", COLUMNS, measure(pools))


if __name__ == "__main__":
    main()
