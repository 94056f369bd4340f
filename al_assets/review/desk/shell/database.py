"""The desk's tables in the ledger's database, over connections of their own."""

from al_assets.storage.ledger.store import DESK_LOCK, Store


class DeskDatabase(Store):
    """The database of the ledger, with a lock of its own: signing in must not wait for a run that publishes a queue."""

    write_lock = DESK_LOCK
