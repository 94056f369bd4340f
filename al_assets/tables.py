"""The columns of every table of the loop, in one place; frames are checked where data enters and leaves assets."""

from dataclasses import dataclass

import polars as pl

VECTOR = pl.Array(pl.Float16, 1)
"""Stands for an array of float16 of any one width: the width is the embedder's, not the table's."""


class SchemaError(ValueError):
    """A frame does not have the declared columns; the message names table, column, found and expected."""


@dataclass(frozen=True)
class Column:
    """A column: its type, what it means, whether it may be null, and whether tables of earlier releases lack it."""

    dtype: pl.DataType | type[pl.DataType]
    description: str
    nullable: bool = False
    later: bool = False


@dataclass(frozen=True, eq=False)
class Table:
    """A table's name, columns and the columns that identify a row."""

    name: str
    key: tuple[str, ...]
    columns: dict[str, Column]

    @property
    def schema(self) -> pl.Schema:
        """The polars schema."""
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})

    def empty(self) -> pl.DataFrame:
        """Return a frame without rows."""
        return pl.DataFrame(schema=self.schema)

    def check(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with columns in declared order and type; null where a column came later than the frame.

        :raises SchemaError: a column is missing, unknown, of another type, null where it may not be, or a key repeats.
        """
        later = [name for name, column in self.columns.items() if column.later and name not in frame.columns]
        frame = frame.with_columns(pl.lit(None).alias(name) for name in later)
        missing = [name for name in self.columns if name not in frame.columns]
        unknown = [name for name in frame.columns if name not in self.columns]
        if missing or unknown:
            raise SchemaError(f"{self.name}: missing columns {missing}, unknown columns {unknown}")
        try:
            typed = frame.select(
                pl.col(name).cast(_vector_type(frame.schema[name]) if column.dtype is VECTOR else column.dtype)
                for name, column in self.columns.items()
            )
        except pl.exceptions.PolarsError as error:
            raise SchemaError(f"{self.name}: a column has the wrong type: {error}") from error
        for name, column in self.columns.items():
            nulls = typed[name].null_count()
            if nulls and not column.nullable:
                raise SchemaError(f"{self.name}.{name}: {nulls} of {typed.height} rows are null; none may be")
        if typed.select(self.key).is_duplicated().any():
            repeated = typed.filter(typed.select(self.key).is_duplicated()).row(0, named=True)
            shown = ", ".join(f"{name}={repeated[name]!r}" for name in self.key)
            raise SchemaError(f"{self.name}: more than one row for {shown}")
        return typed


def _vector_type(found: pl.DataType) -> pl.DataType:
    if not isinstance(found, pl.Array):
        raise SchemaError(f"vector: expected an array of numbers of one width, found {found}")
    return pl.Array(pl.Float16, found.size)


POOL = Table(
    "pool",
    ("item_id",),
    {
        "item_id": Column(pl.String, "the item's own id"),
        "text": Column(pl.String, "what raters read"),
        "text_hash": Column(pl.String, "16 hex digits of the text's SHA-256: the address of its vector and scores"),
        "source": Column(pl.String, "where the item came from", nullable=True),
        "arrived_at": Column(pl.Datetime("us", "UTC"), "when it entered the pool", nullable=True),
        "duplicate_of": Column(pl.String, "the item this one is a near-duplicate of, null if none", nullable=True),
    },
)
QUARANTINE = Table(
    "quarantine",
    ("row",),
    {
        "row": Column(pl.Int64, "row number in the source, from 1"),
        "item_id": Column(pl.String, "the id found, null if none", nullable=True),
        "reason": Column(pl.String, "why the row was left out of the pool"),
    },
)
INCUMBENT_MODEL = Table(
    "incumbent_model",
    ("kind",),
    {
        "kind": Column(pl.String, "llm0 or checkpoint"),
        "uri": Column(pl.String, "the labeler's name, or the checkpoint's directory"),
        "fingerprint": Column(pl.String, "changes when the labeler does"),
        "threshold": Column(
            pl.Float64, "p_positive at or above it is called positive; null: match the prevalence", nullable=True
        ),
        "promoted_from": Column(pl.String, "iteration whose student this is, null for LLM-0", nullable=True),
    },
)
PSEUDO_LABELS = Table(
    "pseudo_labels",
    ("item_id",),
    {
        "item_id": Column(pl.String, "the item"),
        "p_positive": Column(pl.Float64, "the incumbent's score in [0, 1]"),
        "label": Column(pl.Boolean, "the incumbent's label: p_positive at or above its threshold"),
        "threshold": Column(pl.Float64, "the threshold used"),
        "labeler_fingerprint": Column(pl.String, "which labeler"),
        "disagreement": Column(
            pl.Float64,
            "0 to 1, how far a combination's members disagree: 2 min(yes, no) / (yes + no); null with one labeler",
            nullable=True,
            later=True,
        ),
    },
)
EMBEDDINGS = Table(
    "embeddings",
    ("item_id",),
    {
        "item_id": Column(pl.String, "the item; near-duplicates have no row of their own"),
        "vector": Column(VECTOR, "unit-length vector of float16"),
    },
)
CLUSTER_ASSIGNMENTS = Table(
    "cluster_assignments",
    ("item_id",),
    {
        "item_id": Column(pl.String, "the item"),
        "side": Column(pl.String, "positive or negative, by pseudo-label"),
        "macro_cluster": Column(pl.Int32, "hdbscan cluster within its side; -1 is noise"),
        "cell": Column(pl.Int32, "spherical k-means cell within its side"),
        "distance": Column(pl.Float32, "1 - cosine to the cell's centroid"),
    },
)
OVERLAP_MAP = Table(
    "overlap_map",
    ("positive_cluster", "negative_cluster"),
    {
        "positive_cluster": Column(pl.Int32, "macro cluster of the positive side"),
        "negative_cluster": Column(pl.Int32, "macro cluster of the negative side"),
        "overlap": Column(pl.Float64, "share of the two clusters' items whose neighbourhoods reach into the other"),
        "size": Column(pl.Int64, "items of both clusters that lie in the overlap"),
        "density": Column(pl.Float64, "mean cosine similarity of the cross-label neighbours"),
        "mixing": Column(pl.Float64, "mean mixing of the cross-label pairs between the two"),
        "x": Column(pl.Float64, "first coordinate of the overlap's centre, for the picture"),
        "y": Column(pl.Float64, "second coordinate"),
        "positive_examples": Column(pl.List(pl.String), "item ids, most typical of the overlap first"),
        "negative_examples": Column(pl.List(pl.String), "item ids, most typical of the overlap first"),
    },
)
BOUNDARY_PAIRS = Table(
    "boundary_pairs",
    ("pair_id",),
    {
        "pair_id": Column(pl.String, "positive_item|negative_item"),
        "positive_item": Column(pl.String, "item the incumbent calls positive"),
        "negative_item": Column(pl.String, "its near neighbour that the incumbent calls negative"),
        "similarity": Column(pl.Float64, "cosine, -1 to 1"),
        "mixing": Column(pl.Float64, "0 (one label only) to 1 (half and half) in the pair's joint neighbourhood"),
        "positive_cluster": Column(pl.Int32, "macro cluster of the positive item"),
        "negative_cluster": Column(pl.Int32, "macro cluster of the negative item"),
        "positive_cell": Column(pl.Int32, "cell of the positive item"),
        "negative_cell": Column(pl.Int32, "cell of the negative item"),
        "rank": Column(pl.Int64, "order in which the pair would be picked, from 0", nullable=True),
        "draw_order": Column(
            pl.Int64,
            "order in which pairs are picked, from 0: the best ranked, then a short list by lot",
            nullable=True,
        ),
        "selected": Column(pl.Boolean, "picked within the budget"),
        "inclusion_probability": Column(
            pl.Float64, "chance of being picked; null behind the short list that the lot is drawn from", nullable=True
        ),
    },
)
REVIEW_QUEUE = Table(
    "review_queue",
    ("item_id",),
    {
        "item_id": Column(pl.String, "the item to label"),
        "text": Column(pl.String, "as shown to raters"),
        "reason": Column(pl.String, "boundary or the name of another strategy, audit, control, gold or repeat"),
        "pair_id": Column(pl.String, "the boundary pair it belongs to", nullable=True),
        "group_id": Column(pl.String, "pair partners and near-duplicates share it; it is never split"),
        "stratum": Column(pl.String, "audit stratum", nullable=True),
        "stratum_size": Column(pl.Int64, "items of the pool in that stratum", nullable=True),
        "inclusion_probability": Column(
            pl.Float64,
            "audit: n_h / N_h; control: chance over both draws; others: chance to be drawn, given the strategy's order "
            "and what earlier parts of the queue had taken, 1 is certain; null: not recorded",
            nullable=True,
        ),
        "rank": Column(
            pl.Int64, "place in the strategy's own order, from 0; null where chance decides", nullable=True, later=True
        ),
        "p_positive": Column(pl.Float64, "the incumbent's score when it was chosen", nullable=True, later=True),
        "called": Column(pl.String, "positive or negative: the incumbent's label then", nullable=True, later=True),
        "cluster": Column(pl.Int32, "macro cluster of its side then; -1 is noise", nullable=True, later=True),
        "cell": Column(pl.Int32, "micro cell of its side then", nullable=True, later=True),
        "partner_item": Column(pl.String, "the other member of its boundary pair", nullable=True, later=True),
        "partner_cluster": Column(
            pl.Int32, "macro cluster of the partner then; -1 is noise", nullable=True, later=True
        ),
        "similarity": Column(pl.Float64, "cosine to the partner, -1 to 1", nullable=True, later=True),
        "mixing": Column(
            pl.Float64,
            "0 (one label only) to 1 (half and half) in the pair's joint neighbourhood",
            nullable=True,
            later=True,
        ),
        "revision": Column(pl.Int64, "0 when the iteration was first curated, +1 with each reselect"),
    },
)
WHY_QUEUED = (
    "rank", "p_positive", "called", "cluster", "cell", "partner_item", "partner_cluster", "similarity", "mixing",
)  # fmt: skip
"""The columns of ``review_queue`` that say why an item is there; no rater may see them. Older queues hold nulls."""
EXPERT_LABELS = Table(
    "expert_labels",
    ("seq",),
    {
        "seq": Column(pl.Int64, "place in the ledger"),
        "item_id": Column(pl.String, "the item"),
        "iteration": Column(pl.String, "iteration whose queue asked for it"),
        "rater": Column(pl.String, "who voted"),
        "label": Column(pl.String, "positive, negative or undecided"),
        "policy_version": Column(pl.String, "policy version the vote was cast under"),
        "voted_at": Column(pl.Datetime("us", "UTC"), "when the rater answered"),
        "comment": Column(pl.String, "the rater's remark", nullable=True),
        "reason": Column(pl.String, "why the item was queued"),
        "pair_id": Column(pl.String, "the boundary pair it belongs to", nullable=True),
        "group_id": Column(pl.String, "pair partners and near-duplicates share it"),
        "stratum": Column(pl.String, "audit stratum", nullable=True),
        "stratum_size": Column(pl.Int64, "items of the pool in that stratum", nullable=True),
        "inclusion_probability": Column(pl.Float64, "chance of being queued", nullable=True),
        "adjudicated": Column(
            pl.String,
            "what an adjudicator decided the item to be: positive, negative or guideline gap; null if nobody did",
            nullable=True,
            later=True,
        ),
        "as_of": Column(
            pl.Int64,
            "the same in every row: place in the ledger of the last answer, withdrawal or adjudication taken into "
            "account; the report's watermark",
            nullable=True,
            later=True,
        ),
    },
)
LABEL_SPLIT = Table(
    "label_split",
    ("item_id",),
    {
        "item_id": Column(pl.String, "the item"),
        "iteration": Column(pl.String, "iteration that queued it"),
        "reason": Column(pl.String, "why it was queued"),
        "group_id": Column(pl.String, "never divided between splits"),
        "split": Column(pl.String, "evaluation, fine-tuning or panel (evaluation items of iteration 0000)"),
        "label": Column(
            pl.Boolean,
            "majority of decisive votes, null if tied or undecided; in fine-tuning the adjudicated label where there "
            "is one, null for a guideline gap",
            nullable=True,
        ),
        "positive_votes": Column(pl.Int64, "decisive votes for positive"),
        "negative_votes": Column(pl.Int64, "decisive votes for negative"),
        "undecided_votes": Column(pl.Int64, "answers 'cannot decide'"),
        "adjudicated": Column(
            pl.String,
            "positive, negative or guideline gap, by the adjudicator; null if nobody adjudicated the item",
            nullable=True,
            later=True,
        ),
    },
)
SFT_CHECKPOINT = Table(
    "sft_checkpoint",
    ("fingerprint",),
    {
        "uri": Column(pl.String, "directory of the saved student"),
        "fingerprint": Column(pl.String, "of the recipe, the base model and the training data"),
        "kind": Column(pl.String, "sft or linear"),
        "base_model": Column(pl.String, "what was fine-tuned"),
        "method": Column(pl.String, "full, lora or linear"),
        "data_fingerprint": Column(pl.String, "of the labelled texts it was trained on"),
        "training_items": Column(pl.Int64, "labelled texts it was trained on"),
        "positive_items": Column(pl.Int64, "of them positive"),
        "steps": Column(pl.List(pl.Int64), "optimiser steps at which the loss was logged"),
        "losses": Column(pl.List(pl.Float64), "training loss at those steps"),
        "seconds": Column(pl.Float64, "training time; that of the first training if the checkpoint was reused"),
    },
)
EVALUATION_SCORES = Table(
    "evaluation_scores",
    ("item_id", "role"),
    {
        "item_id": Column(pl.String, "the item"),
        "role": Column(
            pl.String,
            "evaluation (labelled, never trained on), stop_set (random, unlabelled) or out_of_fold (fine-tuning item)",
        ),
        "p_student": Column(
            pl.Float64, "the new student's score; out_of_fold: that of a student trained on the other folds"
        ),
        "p_incumbent": Column(pl.Float64, "the incumbent's score; null for out_of_fold", nullable=True),
        "incumbent_label": Column(
            pl.Boolean, "the incumbent's label at its own threshold; null for out_of_fold", nullable=True
        ),
    },
)
KAPPA_REPORT = Table(
    "kappa_report",
    ("figure", "scope"),
    {
        "figure": Column(pl.String, "what was measured, such as model_expert_kappa or verdict"),
        "scope": Column(pl.String, "which items: boundary, audit, control, evaluation, panel, pool or loop"),
        "estimate": Column(
            pl.Float64, "the figure; null where it is undefined, with the reason in detail", nullable=True
        ),
        "low": Column(pl.Float64, "lower end of the 95 % interval", nullable=True),
        "high": Column(pl.Float64, "upper end", nullable=True),
        "items": Column(pl.Int64, "items it rests on", nullable=True),
        "detail": Column(pl.String, "verdict, method or why the figure is undefined", nullable=True),
    },
)
REPRESENTATION_PROBE = Table(
    "representation_probe",
    ("sentence",),
    {
        "sentence": Column(pl.String, "what the one row means"),
        "outcome": Column(
            pl.String, "head ahead, student ahead or not told apart, by the interval; null without one", nullable=True
        ),
        "reason": Column(pl.String, "why there is no outcome", nullable=True),
        "head_kappa": Column(
            pl.Float64, "mean kappa with the experts of a linear head on the frozen embedding", nullable=True
        ),
        "head_kappa_low": Column(pl.Float64, "lower end of its 95 % interval", nullable=True),
        "head_kappa_high": Column(pl.Float64, "upper end", nullable=True),
        "student_kappa": Column(pl.Float64, "the same of the student that learnt from the same labels", nullable=True),
        "student_kappa_low": Column(pl.Float64, "lower end of its 95 % interval", nullable=True),
        "student_kappa_high": Column(pl.Float64, "upper end", nullable=True),
        "difference": Column(pl.Float64, "head_kappa - student_kappa", nullable=True),
        "difference_low": Column(pl.Float64, "lower end of its 95 % interval, paired", nullable=True),
        "difference_high": Column(pl.Float64, "upper end", nullable=True),
        "training_items": Column(pl.Int64, "labels that the head learnt from"),
        "training_left_out": Column(pl.Int64, "labels of the student whose item has no vector: it has left the pool"),
        "evaluation_items": Column(pl.Int64, "evaluation items with two decisive votes, which the kappas rest on"),
        "evaluation_left_out": Column(pl.Int64, "such items without a vector, left out for both"),
        "prevalence": Column(pl.Float64, "share of the pool taken to be positive; sets both thresholds", nullable=True),
    },
)

TABLES = {
    table.name: table
    for table in (
        POOL, QUARANTINE, INCUMBENT_MODEL, PSEUDO_LABELS, EMBEDDINGS, CLUSTER_ASSIGNMENTS, OVERLAP_MAP, BOUNDARY_PAIRS,
        REVIEW_QUEUE, EXPERT_LABELS, LABEL_SPLIT, SFT_CHECKPOINT, EVALUATION_SCORES, KAPPA_REPORT,
        REPRESENTATION_PROBE,
    )
}  # fmt: skip
