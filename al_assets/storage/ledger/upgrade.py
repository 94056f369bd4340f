"""Bringing a ledger's database to this program's schema version: copied first, all at once or not at all."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select, table
from sqlalchemy.schema import CreateSchema

from al_assets.storage.ledger import migrations
from al_assets.storage.ledger.sql_tables import METADATA
from al_assets.storage.ledger.store import LedgerError, Store

# Tables that a migration took away.
_FORMER = ("queue_reasons", "vote_reasons")


@dataclass(frozen=True)
class Upgrade:
    """What became of a database.

    :param before: its schema version until now; None where it is empty. 0 is from before versions had numbers.
    :param after: its schema version now.
    :param copy: the file, or the schema of the same database, that holds the tables as they were; None without one.
    :param rows: rows of each table, the same as before.
    """

    before: int | None
    after: int | None
    copy: str | None
    rows: dict[str, int]


def upgrade_ledger(url: str, *, copy: bool = True) -> Upgrade:
    """Run the migrations that a ledger's database lacks, in one transaction in which nobody else writes.

    :param copy: keep the tables as they were: of SQLite in a file beside the ledger's, of PostgreSQL in a schema of
        their own in the same database.
    :raises LedgerError: nothing was changed: the database is of another program or of a newer version, it could not be
        copied, a migration failed, or rows were missing afterwards.
    """
    store = Store(url, any_version=True)
    if (file := store.file) and not file.exists():
        return Upgrade(None, None, None, {})
    try:
        with store.write(any_version=True) as connection:
            version = store.find_version(connection)
            if version is None:
                return Upgrade(None, None, None, {})
            if version.number >= migrations.HEAD:
                store.check_version(version)
                return Upgrade(version.number, version.number, None, {})
            before = _count_rows(connection)
            place = _copy(connection, store.file, version.number, sorted(before)) if copy else None
            try:
                migrations.migrate(connection)
            except ValueError as error:
                raise LedgerError(f"ledger: {store.shown} was left as it is: {error}") from error
            after = _count_rows(connection)
            for name, rows in before.items():
                if after.get(name, rows) != rows:
                    raise LedgerError(
                        f"ledger: {store.shown} was left as it is: the migrations made {after[name]} rows of {name} "
                        f"out of {rows}; report this"
                    )
            return Upgrade(version.number, migrations.HEAD, place, after)
    finally:
        store.close()


def _count_rows(connection: Connection) -> dict[str, int]:
    """Return the number of rows of each of the ledger's tables that is there."""
    present = sorted({*METADATA.tables, *_FORMER} & set(inspect(connection).get_table_names()))
    count = {name: select(func.count()).select_from(table(name)) for name in present}
    return {name: connection.execute(query).scalar_one() for name, query in count.items()}


def _copy(connection: Connection, file: Path | None, number: int, names: list[str]) -> str:
    """Keep the tables as they are and return where."""
    moment = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    if file is not None:
        return str(_copy_file(file, file.with_name(f"{file.name}.version-{number}.{moment}")))
    schema = f"ledger_version_{number}_{moment.lower()}"
    connection.execute(CreateSchema(schema))
    for name in names:
        connection.exec_driver_sql(f"CREATE TABLE {schema}.{name} AS TABLE {name}")
    return schema


def _copy_file(file: Path, target: Path) -> Path:
    # What is committed, the write-ahead log included: the transaction around this has written nothing yet.
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(target)) as copied:
        source.backup(copied)
        # The name of the file would be part of the names of its logs: without them the copy is one file.
        copied.execute("PRAGMA journal_mode = DELETE")
        state = copied.execute("PRAGMA integrity_check").fetchone()[0]
    if state != "ok":
        raise LedgerError(f"ledger: {file} was left as it is, for its copy {target} is damaged: {state}")
    return target
