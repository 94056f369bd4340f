"""What of the ledger the pages of the overview rest on: when it is the same, so are they."""

from dataclasses import dataclass

from starlette.requests import Request

from al_assets.review.desk.shell.digests import keyed_digest
from al_assets.storage.ledger import Ledger


@dataclass(frozen=True)
class LedgerState:
    """A place in the ledger: the last vote or decision, the published iterations and who may vote."""

    watermark: int
    iterations: tuple[str, ...]
    raters: tuple[str, ...]

    def chosen(self, request: Request) -> str | None:
        """Return the iteration that a request asks for, None for all: it names none, or none that is published."""
        asked = request.query_params.get("iteration")
        return asked if asked in self.iterations else None

    def mark(self, key: bytes) -> str:
        """Return a name of the state that tells nothing of it."""
        return keyed_digest(key, "state", str(self))[:16]


def ledger_state(ledger: Ledger) -> LedgerState:
    """Look at the ledger."""
    return LedgerState(ledger.watermark(), tuple(ledger.iterations()), tuple(ledger.raters))
