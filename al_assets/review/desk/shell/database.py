"""The desk's tables in the ledger's database, over connections of their own."""

from collections.abc import Collection
from importlib.resources import files

from sqlalchemy import Connection, MetaData

from al_assets.storage.ledger.store import Store, statements


class DeskDatabase(Store):
    """Creates its tables when they are missing, each with the triggers in ``sql/TABLE.DIALECT.sql`` if there are any.

    :param keep_connections: as of ``Store``.
    :raises LedgerError: the database cannot be opened.
    """

    # Not the ledger's: signing in must not wait for a run that publishes a queue.
    write_lock = 0x616C5F6465736B

    def __init__(self, url: str, metadata: MetaData, *, keep_connections: bool = False) -> None:
        self.metadata = metadata
        super().__init__(url, keep_connections=keep_connections)

    def _create(self, connection: Connection, missing: Collection[str]) -> None:
        self.metadata.create_all(connection)
        for table in sorted(missing):
            name = f"{table}.{connection.dialect.name}.sql"
            if files("al_assets.storage").joinpath("sql", name).is_file():
                for statement in statements(name):
                    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
