"""This package's own strategies, with the settings a policy file has unless it says otherwise.

The clock runs from vectors to picks: boundary pairs include clusters, cells, neighbours, mixing and ranking.
"""

from importlib.metadata import version as installed_version

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.geometry.clusters import cluster_assignments
from al_assets.curation.geometry.labelled_pool import Sides
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.queue.cold_start import MOST_PROMISING
from al_assets.curation.round import History, ranked_pairs
from al_assets.curation.settings import ClusterSettings, RoundSettings
from al_assets.curation.strategies.base import EXPLORATION, Candidates
from al_assets.curation.strategies.registry import make_strategy
from benchmarks.rivals.question import Question
from benchmarks.rivals.systems import OURS, Query

STRATEGIES = OURS.strategies
_PAIRS = "boundary_pairs"
# As the rivals do it: the head of the ranking, no pick drawn by lot, so no known chances either.
_NO_LOT = "no lot"
# As the loop's first round does it: half of the boundary share goes to promising items.
_BEFORE_ANY_LABEL = "half promising"
# Macro clusters have no part in picking.
_WITHOUT_NAMES = RoundSettings(clusters=ClusterSettings(regions=None))


def version() -> str:
    """Return the version of this package."""
    return installed_version("al_assets")


def prepare(strategy: str, question: Question) -> Query:
    """Return a query of one strategy; nothing but the memory map of the vectors is ready before."""
    name, _, how = strategy.partition(", ")
    chooser = make_strategy(
        name, 0.0 if how == _NO_LOT else EXPLORATION, MOST_PROMISING if how == _BEFORE_ANY_LABEL else 0.0
    )

    def query() -> NDArray[np.int64]:
        vectors = Vectors(question.vectors)
        candidates = Candidates(
            question.item_ids,
            question.scores,
            question.positive,
            vectors,
            question.labels,
            pairs=boundary_pairs(question, vectors) if name == _PAIRS else None,
        )
        return _rows(question.item_ids, chooser.pick(candidates, question.budget, question.seed)["item_id"])

    return query


def boundary_pairs(question: Question, vectors: Vectors) -> pl.DataFrame:
    """Return ranked boundary pairs of a pool, from its vectors; macro clusters have no part in picking."""
    labelled = question.item_ids.gather(question.labelled_rows).to_list()
    scores = question.item_ids.to_frame().with_columns(p_positive=question.scores, label=question.positive)
    sides = Sides(question.item_ids, vectors, question.positive)
    clusters = cluster_assignments(sides, _WITHOUT_NAMES.clusters, question.seed)
    return ranked_pairs(sides, clusters, scores, History(labelled), _WITHOUT_NAMES, question.seed)


def _rows(item_ids: pl.Series, picked: pl.Series) -> NDArray[np.int64]:
    places = pl.DataFrame({"item_id": item_ids}).with_row_index("place")
    found = picked.to_frame("item_id").join(places, on="item_id", how="left", maintain_order="left")
    return found["place"].cast(pl.Int64).to_numpy()
