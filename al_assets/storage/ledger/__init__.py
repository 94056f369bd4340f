"""The expert-label ledger: what was asked, and every vote ever given, append-only, in SQLite or PostgreSQL."""

from al_assets.storage.ledger.ledger import Ledger
from al_assets.storage.ledger.progress import Progress
from al_assets.storage.ledger.store import LedgerError
from al_assets.storage.ledger.votes import LABELS, Receipt, RecordResult, Vote, VoteError

__all__ = ["LABELS", "Ledger", "LedgerError", "Progress", "Receipt", "RecordResult", "Vote", "VoteError"]
