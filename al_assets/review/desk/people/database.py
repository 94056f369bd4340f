"""The desk's tables in the ledger's database, over connections of their own."""

from collections.abc import Collection
from importlib.resources import files

from sqlalchemy import Connection, MetaData, func, inspect, select

from al_assets.storage.ledger.store import LOCK_TIMEOUT_MS, Store, statements

# Not the ledger's lock: signing in must not wait for a run that publishes a queue.
DESK_LOCK = 0x616C5F6465736B


class DeskDatabase(Store):
    """Creates its tables when they are missing, each with the triggers in ``sql/TABLE.DIALECT.sql`` if there are any.

    :param keep_connections: as of ``Store``.
    :raises LedgerError: the database cannot be opened.
    """

    def __init__(self, url: str, metadata: MetaData, *, keep_connections: bool = False) -> None:
        self._metadata = metadata
        super().__init__(url, keep_connections=keep_connections)

    def _lock(self, connection: Connection) -> None:
        if self._is_sqlite:
            return
        connection.execute(select(func.set_config("lock_timeout", LOCK_TIMEOUT_MS, True)))
        connection.execute(select(func.pg_advisory_xact_lock(DESK_LOCK)))

    def _create(self, connection: Connection, missing: Collection[str]) -> None:
        self._metadata.create_all(connection)
        for table in sorted(missing):
            name = f"{table}.{connection.dialect.name}.sql"
            if files("al_assets.storage").joinpath("sql", name).is_file():
                for statement in statements(name):
                    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})

    def _missing_tables(self, connection: Connection) -> set[str]:
        inspector = inspect(connection)
        return {table.name for table in self._metadata.sorted_tables if not inspector.has_table(table.name)}
