"""embeddings: one unit vector an item, computed once for each text and embedder."""

import dagster as dg
import polars as pl

from al_assets.assets.loop_assets import Declaration, TableOutput, loop_asset, require_previous_iteration, table_output
from al_assets.assets.metadata import progress_logger
from al_assets.assets.pool import representatives
from al_assets.assets.resource import LoopResource
from al_assets.models.embedders import embed_texts, make_embedder
from al_assets.partitions import Job
from al_assets.tables import EMBEDDINGS


@loop_asset(
    "curation",
    {"model", "polars"},
    Declaration(EMBEDDINGS, Job.CURATE, depends_on=lambda policy: [policy.embedding.fingerprint()]),
)
def embeddings(context: dg.AssetExecutionContext, loop: LoopResource, pool: pl.DataFrame) -> TableOutput:
    """Vectors of the items, content-addressed by embedder and text: changing the model makes older iterations stale."""
    require_previous_iteration(context, loop.root)
    items = representatives(pool)
    hashes, texts = items["text_hash"].to_list(), items["text"].to_list()
    with make_embedder(loop.policy.embedding, loop.policy) as embedder:
        store = loop.root.vectors(embedder.fingerprint)
        known = len(store.known(hashes))
        vectors = embed_texts(embedder, hashes, texts, store, progress_logger(context, "embedded"))
    frame = pl.DataFrame({"item_id": items["item_id"], "vector": pl.Series(vectors)})
    return table_output(
        frame,
        {
            "embedder": loop.policy.embedding.model,
            "embedder_fingerprint": embedder.fingerprint,
            "dimensions": int(vectors.shape[1]),
            "texts_embedded_now": len(set(hashes)) - known,
            "texts_embedded_before": known,
        },
    )
