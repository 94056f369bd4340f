"""What curating a round has to know of the loop: its settings, whom not to ask, what was learnt so far, the vectors."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.assets.pool import representatives
from al_assets.assets.resource import LoopResource
from al_assets.config import Policy
from al_assets.curation.geometry.labelled_pool import Sides
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.queue.hidden import gold_twins
from al_assets.curation.round import History
from al_assets.curation.settings import ClusterSettings, RoundSettings
from al_assets.models.incumbent import Incumbent, llm0, open_student
from al_assets.models.scoring import score_texts
from al_assets.partitions import iteration_number, previous_key
from al_assets.review.hidden_items import load_gold

_OF_SELECTION = {field.name for field in fields(RoundSettings)} - {"shares", "strategy", "clusters"}
_ROWS_IN_MEMORY = 100_000
_ROWS_AT_ONCE = 50_000


def round_settings(policy: Policy) -> RoundSettings:
    """Return a policy's settings as curation takes them."""
    selection, shares = policy.selection, policy.selection.shares
    return RoundSettings(
        **selection.model_dump(include=_OF_SELECTION),
        shares=(shares.boundary, shares.audit, shares.control),
        strategy=selection.strategy_shares,
        expected_prevalence=policy.policy.expected_prevalence,
        clusters=ClusterSettings(**policy.clustering.model_dump()),
    )


def draw_seed(policy: Policy, key: str) -> int:
    """Return the seed of an iteration's draws."""
    return policy.selection.seed + iteration_number(key)


def history_of(loop: LoopResource, key: str, pool: pl.DataFrame) -> History:
    """Return what was asked and learnt before an iteration; gold is never asked for a label."""
    trained_in = Incumbent.of(loop.root.read_table("incumbent_model", key)).promoted_from
    return History(not_to_ask(loop, key, pool), labels_so_far(loop, key, trained_in), trained_in)


def not_to_ask(loop: LoopResource, key: str, pool: pl.DataFrame) -> list[str]:
    """Return the items that are not asked for a label: those earlier iterations asked for, and gold."""
    with loop.ledger() as ledger:
        queue = ledger.queue()
    queued = queue.filter(pl.col("iteration") < key)["item_id"].to_list()
    return sorted({*queued, *gold_twins(pool, load_gold(loop.policy))})


def labels_so_far(loop: LoopResource, key: str, trained_in: str | None = None) -> pl.DataFrame:
    """Return the adjudicated labels that earlier iterations got: item_id, iteration, teaches, label, out_of_fold.

    :param trained_in: the iteration whose student labels; out_of_fold is what it, or a student of other folds in its
        stead, made of the items evaluated then.
    """
    before = previous_key(key)
    if before is None:
        schema = {"item_id": pl.String, "iteration": pl.String, "teaches": pl.Boolean, "label": pl.Boolean}
        return pl.DataFrame(schema=schema | {"out_of_fold": pl.Float64})
    split = loop.root.read_table("label_split", before).drop_nulls("label").unique("item_id", keep="last")
    labels = split.select("item_id", "iteration", "teaches", "label")
    if trained_in is None:
        return labels.with_columns(out_of_fold=pl.lit(None, pl.Float64))
    then = loop.root.read_table("evaluation_scores", trained_in).filter(role="evaluation")
    return labels.join(then.select("item_id", out_of_fold="p_student"), on="item_id", how="left")


def reference_scores(
    loop: LoopResource, key: str, pool: pl.DataFrame, pseudo_labels: pl.DataFrame
) -> pl.DataFrame | None:
    """Return what the other view says of the items, for strategies that compare two: item_id, p_positive.

    Where a student is the labeler that is LLM-0, and items it has not scored are left out; where LLM-0 is, the student
    of the iteration before. None before there is one.
    """
    first, before = llm0(loop.policy).fingerprint, previous_key(key)
    if pseudo_labels["labeler_fingerprint"][0] == first:
        if before is None:
            return None
        items, fingerprint = representatives(pool), loop.root.read_table("sft_checkpoint", before)["fingerprint"][0]
        with open_student(fingerprint, loop.policy, loop.root) as student:
            hashes, texts = items["text_hash"].to_list(), items["text"].to_list()
            said = score_texts(student, hashes, texts, loop.root.scores(fingerprint))
        return items.select("item_id", p_positive=pl.Series(said))
    store = loop.root.scores(first)
    items = pool.filter(pl.col("text_hash").is_in(sorted(store.known(pool["text_hash"].to_list()))))
    scores: NDArray[np.float64] = np.asarray(store.get(items["text_hash"].to_list()), dtype=np.float64)
    return items.select("item_id", p_positive=pl.Series(scores))


@contextmanager
def sides_of(pseudo_labels: pl.DataFrame, embeddings: pl.LazyFrame) -> Iterator[Sides]:
    """Yield pseudo-labels and vectors by item; those of a large pool are mapped from a temporary file, not held."""
    labels = dict(pseudo_labels.select("item_id", "label").iter_rows())
    ids = embeddings.select("item_id").collect()["item_id"]
    if len(ids) <= _ROWS_IN_MEMORY:
        yield _matched(ids, embeddings.select("vector").collect()["vector"].to_numpy(), labels)
        return
    with tempfile.TemporaryDirectory(prefix="al-vectors-") as folder:
        yield _matched(ids, _mapped(embeddings, len(ids), Path(folder) / "vectors.npy"), labels)


def _matched(ids: pl.Series, vectors: NDArray[Any], labels: dict[str, bool]) -> Sides:
    known = np.flatnonzero(ids.is_in(list(labels)).to_numpy())
    items = ids.gather(known)
    every = Vectors(vectors)
    positive = np.array([labels[item] for item in items], dtype=np.bool_)
    return Sides(items, every if len(known) == len(ids) else every.view(known), positive)


def _mapped(embeddings: pl.LazyFrame, rows: int, path: Path) -> NDArray[Any]:
    """Write the vectors into a file, some at a time, and return it as a memory map."""
    width = embeddings.select(pl.col("vector").head(1)).collect()["vector"].to_numpy().shape[1]
    target = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, width))
    for start in range(0, rows, _ROWS_AT_ONCE):
        some = embeddings.select("vector").slice(start, _ROWS_AT_ONCE).collect()["vector"]
        target[start : start + len(some)] = some.to_numpy()
    target.flush()
    mapped: NDArray[Any] = np.load(path, mmap_mode="r")
    return mapped
