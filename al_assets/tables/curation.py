"""The tables of a round's first half: from the pool to the queue that experts are asked."""

import polars as pl

from al_assets.tables.schema import MOMENT, VECTOR, Column, Table, optional

POOL = Table(
    "pool",
    ("item_id",),
    item_id=Column(pl.String, "the item's own id"),
    text=Column(pl.String, "what raters read"),
    text_hash=Column(pl.String, "16 hex digits of the text's SHA-256: the address of its vector and scores"),
    source=optional(pl.String, "where the item came from"),
    arrived_at=optional(MOMENT, "when it entered the pool"),
    duplicate_of=optional(pl.String, "the item this one is a near-duplicate of, null if none"),
    weight=optional(pl.Float64, "what the row counts for in figures of the pool; null: each distinct text counts once"),
)
QUARANTINE = Table(
    "quarantine",
    ("row",),
    row=Column(pl.Int64, "row number in the source, from 1"),
    item_id=optional(pl.String, "the id found, null if none"),
    reason=Column(pl.String, "why the row was left out of the pool"),
)
INCUMBENT_MODEL = Table(
    "incumbent_model",
    ("kind",),
    kind=Column(pl.String, "llm0 or checkpoint"),
    uri=Column(pl.String, "the labeler's name, or the checkpoint's directory"),
    fingerprint=Column(pl.String, "changes when the labeler does"),
    threshold=optional(pl.Float64, "p_positive at or above it is called positive; null: match the prevalence"),
    promoted_from=optional(pl.String, "iteration whose student this is, null for LLM-0"),
)
PSEUDO_LABELS = Table(
    "pseudo_labels",
    ("item_id",),
    item_id=Column(pl.String, "the item"),
    p_positive=Column(pl.Float64, "the incumbent's score in [0, 1]"),
    label=Column(pl.Boolean, "the incumbent's label: p_positive at or above its threshold"),
    threshold=Column(pl.Float64, "the threshold used"),
    labeler_fingerprint=Column(pl.String, "which labeler"),
    disagreement=optional(
        pl.Float64,
        "0 to 1, how far a combination's members disagree: 2 min(yes, no) / (yes + no); null with one labeler",
    ),
)
EMBEDDINGS = Table(
    "embeddings",
    ("item_id",),
    item_id=Column(pl.String, "the item; near-duplicates have no row of their own"),
    vector=Column(VECTOR, "unit-length vector of float16"),
)
CLUSTER_ASSIGNMENTS = Table(
    "cluster_assignments",
    ("item_id",),
    item_id=Column(pl.String, "the item"),
    side=Column(pl.String, "positive or negative, by pseudo-label"),
    region=Column(pl.Int32, "the region of the pool it lies in"),
    cell=Column(pl.Int32, "spherical k-means cell within its side"),
    distance=Column(pl.Float32, "1 - cosine to the cell's centroid"),
)
REGIONS = Table(
    "regions",
    ("region",),
    region=Column(pl.Int32, "number of the region, from 0: the largest of the first pool"),
    name=Column(pl.String, "its number and the words that it has more of than the others"),
    typical_items=Column(pl.List(pl.String), "items deepest within it"),
    direction=Column(pl.List(pl.Float32), "an item lies where direction times its vector, plus offset, is largest"),
    offset=Column(pl.Float64, "see direction"),
)
OVERLAP_MAP = Table(
    "overlap_map",
    ("region",),
    region=Column(pl.Int32, "the region, the one with most expected errors first"),
    name=Column(pl.String, "its number and the words that it has more of than the others"),
    items=Column(pl.Int64, "items of the pool in it; near-duplicates count once"),
    positive_share=Column(pl.Float64, "share of them that the incumbent calls positive"),
    overlap=Column(pl.Float64, "share of them in a boundary pair: near an item of the other label, both labels around"),
    density=optional(pl.Float64, "mean cosine similarity of those pairs; null without any"),
    mixing=optional(pl.Float64, "mean mixing of those pairs; null without any"),
    labels=Column(pl.Int64, "experts' labels so far in it by which the incumbent can be judged"),
    overturned=Column(pl.Int64, "of them, those that differ from what the incumbent calls the item"),
    error=Column(pl.Float64, "share of the incumbent's labels in it that the experts would overturn, estimated"),
    error_low=Column(pl.Float64, "lower end of its 95 % interval"),
    error_high=Column(pl.Float64, "upper end"),
    x=Column(pl.Float64, "first coordinate of the region, for the picture"),
    y=Column(pl.Float64, "second coordinate"),
    positive_examples=Column(pl.List(pl.String), "contested: ids of items called positive in pairs, typical first"),
    negative_examples=Column(pl.List(pl.String), "the same of called negative"),
)
BOUNDARY_PAIRS = Table(
    "boundary_pairs",
    ("pair_id",),
    pair_id=Column(pl.String, "positive_item|negative_item"),
    positive_item=Column(pl.String, "item the incumbent calls positive"),
    negative_item=Column(pl.String, "its near neighbour that the incumbent calls negative"),
    similarity=Column(pl.Float64, "cosine, -1 to 1"),
    mixing=Column(pl.Float64, "0 (one label only) to 1 (half and half) in the pair's joint neighbourhood"),
    positive_region=Column(pl.Int32, "region of the positive item"),
    negative_region=Column(pl.Int32, "region of the negative item"),
    positive_cell=Column(pl.Int32, "cell of the positive item"),
    negative_cell=Column(pl.Int32, "cell of the negative item"),
    rank=optional(pl.Int64, "order in which the pair would be picked, from 0"),
    draw_order=optional(pl.Int64, "order in which pairs are picked, from 0: the best ranked, then a short list by lot"),
    selected=Column(pl.Boolean, "picked within the budget"),
    inclusion_probability=optional(
        pl.Float64, "chance of being picked; null behind the short list that the lot is drawn from"
    ),
    promising_share=Column(
        pl.Float64, "part of the boundary share that goes to top-scored items, decided for the whole round"
    ),
)
REVIEW_QUEUE = Table(
    "review_queue",
    ("item_id",),
    item_id=Column(pl.String, "the item to label"),
    text=Column(pl.String, "as shown to raters"),
    reason=Column(pl.String, "boundary or the name of another strategy, audit, control, check, gold or repeat"),
    pair_id=optional(pl.String, "the boundary pair it belongs to"),
    group_id=Column(pl.String, "pair partners and near-duplicates share it; it is never split"),
    stratum=optional(pl.String, "stratum of the random draw: audit, control and check items have one"),
    stratum_size=optional(pl.Int64, "items in that stratum that were not asked before"),
    inclusion_probability=optional(
        pl.Float64,
        "audit and control: the chance to be drawn for either; check: chance to be in the stop set and drawn; others: "
        "chance to be drawn, given the strategy's order and what earlier parts of the queue had taken, 1 is certain; "
        "null: not recorded",
    ),
    rank=optional(pl.Int64, "place in the strategy's own order, from 0; null where chance decides"),
    p_positive=optional(pl.Float64, "the incumbent's score when it was chosen"),
    called=optional(pl.String, "positive or negative: the incumbent's label then"),
    region=optional(pl.Int32, "the region it lay in then"),
    cell=optional(pl.Int32, "micro cell of its side then"),
    partner_item=optional(pl.String, "the other member of its boundary pair"),
    partner_region=optional(pl.Int32, "the region of the partner then"),
    similarity=optional(pl.Float64, "cosine to the partner, -1 to 1"),
    mixing=optional(pl.Float64, "0 (one label only) to 1 (half and half) in the pair's joint neighbourhood"),
    revision=Column(pl.Int64, "0 when the iteration was first curated, +1 with each reselect"),
)
CHECK_QUEUE = Table(
    "check_queue",
    ("item_id",),
    item_id=Column(pl.String, "the item to label, of the stop set"),
    text=Column(pl.String, "as shown to raters"),
    stratum=Column(pl.String, "what the student and the model it is compared with call it: the one recommended so far"),
    stratum_size=Column(pl.Int64, "items of the pool that the stratum stands for: its share of the stop set, scaled"),
    inclusion_probability=Column(pl.Float64, "chance to be in the stop set and then to be drawn from the stratum"),
    p_positive=Column(pl.Float64, "the incumbent's score when it was drawn"),
    called=Column(pl.String, "positive or negative: the incumbent's label then"),
    revision=Column(pl.Int64, "the revision of the iteration's queue with which it was published"),
)
WHY_QUEUED = (
    "rank", "p_positive", "called", "region", "cell", "partner_item", "partner_region", "similarity", "mixing",
)  # fmt: skip
"""The columns of ``review_queue`` that say why an item is there; no rater may see them."""
