"""The pool of items, its vectors, its regions and cells."""

from typing import Annotated, Literal

from pydantic import Field

from al_assets.config.section import OPERATIONAL, Positive, Section, Text
from al_assets.curation.settings import DEFAULTS


class PoolSource(Section):
    """Where the unlabelled items are: JSONL, CSV or Parquet, a path, glob or fsspec URL.

    :param counts: what figures of the whole pool speak for: each distinct text once, or every row, near-duplicates too.
    :param weight_column: a number above 0 for each row, such as impressions, that the figures speak for instead.
    """

    path: Text
    id_column: Text = "id"
    text_column: Text = "text"
    source_column: str | None = None
    arrived_at_column: str | None = None
    counts: Literal["texts", "rows"] = "texts"
    weight_column: str | None = None
    max_characters: Positive = 20_000
    near_duplicate_similarity: Annotated[float, Field(gt=0.3, le=1)] = 0.8


class EmbeddingSettings(Section):
    """The embedder. Its fingerprint is the code version of ``embeddings``."""

    kind: Literal["sentence_transformers", "static"] = "sentence_transformers"
    model: Text
    revision: str = ""
    max_tokens: Positive = 256
    batch_size: Annotated[Positive, OPERATIONAL] = 64
    device: Annotated[str, OPERATIONAL] = "cpu"


class ClusteringSettings(Section):
    """Regions of the pool for people to look at, micro cells of each side of the label for picking.

    ``policy_share`` is the part of the regions' space that is what the vectors know of the policy: 0 is topics alone.
    """

    regions: Positive | None = DEFAULTS.clusters.regions
    dimensions: Positive = DEFAULTS.clusters.dimensions
    policy_share: Annotated[float, Field(ge=0, lt=1)] = DEFAULTS.clusters.policy_share
    sample: Positive = DEFAULTS.clusters.sample
    items_per_cell: Positive = DEFAULTS.clusters.items_per_cell
    seed: int = 0
