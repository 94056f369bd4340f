"""Every table: its columns, their types and meanings, declared once; frames are checked where data enters and leaves.

``curation`` and ``learning`` hold what the loop's assets store, ``votes`` what the ledger answers with.
"""

from al_assets.tables.curation import (
    BOUNDARY_PAIRS,
    CHECK_QUEUE,
    CLUSTER_ASSIGNMENTS,
    EMBEDDINGS,
    INCUMBENT_MODEL,
    OVERLAP_MAP,
    POOL,
    PSEUDO_LABELS,
    QUARANTINE,
    REGIONS,
    REVIEW_QUEUE,
    WHY_QUEUED,
)
from al_assets.tables.learning import (
    AGREEMENT_FIGURES,
    DEPENDENCIES,
    EVALUATION_SCORES,
    EXPERT_LABELS,
    HEAD_START,
    KAPPA_REPORT,
    LABEL_SPLIT,
    MATERIALIZATIONS,
    REPRESENTATION_PROBE,
    SFT_CHECKPOINT,
)
from al_assets.tables.schema import VECTOR, Column, SchemaError, Table
from al_assets.tables.votes import (
    ADJUDICATIONS,
    ANSWERS,
    ASK_AGAIN,
    GOLD_ACCURACY,
    POLICY_GAPS,
    POLICY_TEXTS,
    REASON_COLUMNS,
    RETESTS,
    UNDECIDED_REASONS,
    VOTES,
    WITHDRAWALS,
)

__all__ = [
    "ADJUDICATIONS", "AGREEMENT_FIGURES", "ANSWERS", "ASK_AGAIN", "BOUNDARY_PAIRS", "CHECK_QUEUE",
    "CLUSTER_ASSIGNMENTS", "DEPENDENCIES", "EMBEDDINGS", "EVALUATION_SCORES", "EXPERT_LABELS", "GOLD_ACCURACY",
    "HEAD_START", "INCUMBENT_MODEL", "KAPPA_REPORT", "LABEL_SPLIT", "MATERIALIZATIONS", "OVERLAP_MAP", "POLICY_GAPS",
    "POLICY_TEXTS", "POOL", "PSEUDO_LABELS", "QUARANTINE", "REASON_COLUMNS", "REGIONS", "REPRESENTATION_PROBE",
    "RETESTS", "REVIEW_QUEUE", "SFT_CHECKPOINT", "TABLES", "UNDECIDED_REASONS", "VECTOR", "VOTES", "WHY_QUEUED",
    "WITHDRAWALS", "Column", "SchemaError", "Table",
]  # fmt: skip

TABLES = {
    table.name: table
    for table in (
        POOL, QUARANTINE, INCUMBENT_MODEL, PSEUDO_LABELS, EMBEDDINGS, REGIONS, CLUSTER_ASSIGNMENTS, OVERLAP_MAP,
        BOUNDARY_PAIRS, REVIEW_QUEUE, EXPERT_LABELS, LABEL_SPLIT, HEAD_START, SFT_CHECKPOINT, EVALUATION_SCORES,
        CHECK_QUEUE, KAPPA_REPORT, REPRESENTATION_PROBE,
    )
}  # fmt: skip
"""The tables that the loop's assets store for each iteration, by name."""
