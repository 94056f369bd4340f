"""The expert-label ledger: what was asked, and every vote ever given, append-only, in SQLite or PostgreSQL."""

from al_assets.storage.ledger.adjudications import ADJUDICATED_LABELS, Adjudication, AdjudicationError, OvertakenError
from al_assets.storage.ledger.ledger import Ledger
from al_assets.storage.ledger.progress import Progress
from al_assets.storage.ledger.queries import VoteRow
from al_assets.storage.ledger.queue import Publication
from al_assets.storage.ledger.store import LedgerError
from al_assets.storage.ledger.votes import LABELS, WITHDRAWN, Receipt, RecordResult, Vote, VoteError

__all__ = [
    "ADJUDICATED_LABELS",
    "LABELS",
    "WITHDRAWN",
    "Adjudication",
    "AdjudicationError",
    "Ledger",
    "LedgerError",
    "OvertakenError",
    "Progress",
    "Publication",
    "Receipt",
    "RecordResult",
    "Vote",
    "VoteError",
    "VoteRow",
]
