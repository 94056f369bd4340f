"""What of the ledger the pages of the overview rest on: when it is the same, so are they."""

import hashlib
import hmac
from dataclasses import dataclass

from al_assets.storage.ledger import Ledger


@dataclass(frozen=True)
class LedgerState:
    """A place in the ledger: the last vote or decision, the published iterations and who may vote."""

    watermark: int
    iterations: tuple[str, ...]
    raters: tuple[str, ...]

    def mark(self, key: bytes) -> str:
        """Return a name of the state that tells nothing of it."""
        return hmac.new(key, f"state\x1f{self}".encode(), hashlib.sha256).hexdigest()[:16]


def ledger_state(ledger: Ledger) -> LedgerState:
    """Look at the ledger."""
    return LedgerState(ledger.watermark(), tuple(ledger.iterations()), tuple(ledger.raters))
