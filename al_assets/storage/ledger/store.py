"""The database under the ledger: one transaction for each read or write, durable, one writer at a time."""

import os
import re
import sqlite3
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, inspect, make_url, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool, Pool, QueuePool

from al_assets.storage.ledger.kept_file import KeptFile
from al_assets.storage.ledger.tables import METADATA

LOCK_TIMEOUT_MS = "30000"
KEPT_CONNECTIONS = 8
MOST_CONNECTIONS = 15
# Connections of parent processes. Dropped, they would be closed here, and the parent's locks with them.
_OF_PARENTS: list[Pool] = []
_TRIGGER = re.compile(r"(?:--[^\n]*\n)*CREATE TRIGGER \w+ BEFORE [A-Z ]+? ON (?P<table>\w+)")


class LedgerError(ValueError):
    """The ledger could not be opened, read or written; the message says what happened and the way out."""


def statements(name: str) -> list[str]:
    """Return the statements of a file of ``al_assets/storage/sql``; a blank line ends a statement."""
    text = files("al_assets.storage").joinpath("sql", name).read_text(encoding="utf-8")
    return [statement.strip() for statement in text.split("\n\n") if statement.strip()]


class Store:
    """A database that holds the ledger's tables; they are created, with their triggers, when missing.

    A ledger of an earlier release gets the tables that came later; what it holds is left as it is.

    :param keep_connections: keep more connections open between transactions, of SQLite some at all, which makes each
        several times faster: for a process that serves for long. A SQLite file must then stay in its place until
        ``close``.
    :raises LedgerError: the URL is not a SQLite file or a PostgreSQL database, or it cannot be opened.
    """

    # Writers of one store take turns by it; any constant would do, as long as it is the same in every process.
    write_lock = 0x616C5F6C6564676
    metadata = METADATA

    def __init__(self, url: str, *, keep_connections: bool = False) -> None:
        self._url = _checked(url)
        self._shown = self._url.render_as_string(hide_password=True)
        self._kept = KeptFile(Path(str(self._url.database))) if keep_connections and self._is_sqlite else None
        self._engine = (
            _sqlite(self._url, self._kept) if self._is_sqlite else _postgresql(self._url, keep_all=keep_connections)
        )
        self._process = os.getpid()
        # A ledger that nobody closed gives its connections back all the same.
        weakref.finalize(self, _give_back, self._engine, self._process)
        self._prepare()

    @property
    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection that alone may write; what was done is durable once the block has ended without error."""
        try:
            with self._open(writing=True) as connection, connection.begin():
                self._lock(connection)
                yield connection
            # What was written into a file that somebody took away meanwhile counts for nothing.
            self._check_place()
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            self._start_afresh()
            raise LedgerError(
                f"ledger: {self._shown} could not be written: {_explained(error)}; nothing of this was recorded unless "
                "an earlier try got through, so repeat it: what is already there counts once"
            ) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection on which every statement sees the same moment."""
        try:
            with self._open(writing=False) as connection, connection.begin():
                yield connection
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            self._start_afresh()
            raise LedgerError(f"ledger: {self._shown} could not be read: {_explained(error)}") from error

    def close(self) -> None:
        """Give back the connections."""
        _give_back(self._engine, self._process)

    def _check_place(self) -> None:
        """Refuse to go on when the file of kept connections is no longer the one in its place."""
        if self._kept is None or self._kept.is_there:
            return
        try:
            # SQLite's write-ahead log stays behind where the file was; what is only there goes after the file.
            with self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        except (SQLAlchemyError, sqlite3.Error):
            pass
        raise LedgerError(
            f"ledger: {self._kept.path} was moved, deleted or replaced while this process had it open, so nothing more "
            "is read from it or recorded; stop the process, put the right file there and start again"
        )

    def _start_afresh(self) -> None:
        """After an error, let the next transaction have a connection of its own, whatever became of this one."""
        if self._kept is not None:
            self._engine.dispose()

    def _open(self, *, writing: bool) -> Connection:
        if self._process != os.getpid():
            # Two processes on one connection would read each other's answers: a forked one opens its own.
            _OF_PARENTS.append(self._engine.pool)
            self._engine.dispose(close=False)
            self._process = os.getpid()
        self._check_place()
        options: dict[str, Any] = {"al_write": writing}
        if not self._is_sqlite:
            # A writer must see what was committed while it waited for the lock; a reader one moment only.
            options["isolation_level"] = "READ COMMITTED" if writing else "REPEATABLE READ"
        return self._engine.connect().execution_options(**options)

    def _lock(self, connection: Connection) -> None:
        if self._is_sqlite:
            return
        connection.execute(select(func.set_config("lock_timeout", LOCK_TIMEOUT_MS, True)))
        # A server set to lose the last moments on a crash must not do so with votes.
        setting = func.current_setting("synchronous_commit")
        connection.execute(select(func.set_config("synchronous_commit", "on", True)).where(setting == "off"))
        connection.execute(select(func.pg_advisory_xact_lock(self.write_lock)))

    def _prepare(self) -> None:
        if self._is_sqlite:
            self._make_folder()
        with self.read() as connection:
            missing = self._missing_tables(connection)
        if not missing:
            return
        with self.write() as connection:
            # Another process may have made them while this one waited.
            self._create(connection, self._missing_tables(connection))

    def _create(self, connection: Connection, missing: Collection[str]) -> None:
        """Create the missing tables with their triggers."""
        self.metadata.create_all(connection)
        for statement in statements(f"append_only.{connection.dialect.name}.sql"):
            guarded = _TRIGGER.match(statement)
            # The function behind the triggers came with the first tables.
            if (guarded["table"] if guarded else "votes") in missing:
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        # Ledgers of the first release have votes, and now get the other table that shares their order.
        if {"votes", "adjudications"} & set(missing):
            for statement in statements(f"shared_seq.{connection.dialect.name}.sql"):
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})

    def _make_folder(self) -> None:
        folder = Path(str(self._url.database)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(
                f"ledger: the folder {folder} cannot be made ({error.strerror}); name another in storage.ledger_url"
            ) from error

    def _missing_tables(self, connection: Connection) -> set[str]:
        inspector = inspect(connection)
        present = [table for table in self.metadata.sorted_tables if inspector.has_table(table.name)]
        for table in present:
            found = {column["name"] for column in inspector.get_columns(table.name)}
            if missing := [column.name for column in table.columns if column.name not in found]:
                raise LedgerError(
                    f"ledger: {self._shown} has a table {table.name!r} without the columns {', '.join(missing)}: it "
                    "belongs to another program; name a database of the ledger's own in storage.ledger_url"
                )
        return {table.name for table in self.metadata.sorted_tables if table not in present}


def _checked(url: str) -> URL:
    allowed = "expected sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise LedgerError(f"ledger_url: {url!r} is not a database URL; {allowed}") from error
    shown = parsed.render_as_string(hide_password=True)
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise LedgerError(f"ledger_url: {shown!r} is of another kind; {allowed}")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise LedgerError(f"ledger_url: {shown!r} is not a file, so votes would be lost; {allowed}")
    return parsed


def _give_back(engine: Engine, process: int) -> None:
    """Close the connections, unless they are those of a parent process."""
    if os.getpid() == process:
        engine.dispose()


def _sqlite(url: URL, kept: KeptFile | None) -> Engine:
    # Without a pool no connection can be carried into a forked process.
    pool: dict[str, Any] = {"poolclass": NullPool}
    if kept is not None:
        # One more for each thread that finds all of them busy, closed afterwards; the last one used comes first.
        pool = {"poolclass": QueuePool, "pool_size": KEPT_CONNECTIONS, "max_overflow": -1, "pool_use_lifo": True}
    engine = create_engine(url, connect_args={"timeout": int(LOCK_TIMEOUT_MS) / 1000}, **pool)
    pragmas = statements("connect.sqlite.sql")

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        # The driver would start transactions on its own, and late; ours start with BEGIN IMMEDIATE.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)
        if kept is not None:
            kept.note()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("al_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _postgresql(url: URL, *, keep_all: bool) -> Engine:
    # As many at once in both cases; opening one takes as long as several transactions.
    kept = MOST_CONNECTIONS if keep_all else MOST_CONNECTIONS // 3
    return create_engine(
        url,
        pool_pre_ping=True,
        pool_size=kept,
        max_overflow=MOST_CONNECTIONS - kept,
        connect_args={"connect_timeout": 10},
    )


def _explained(error: BaseException) -> str:
    original = getattr(error, "orig", None) or error
    code = str(getattr(original, "sqlstate", None) or "")
    lines = str(original).strip().splitlines() or [type(original).__name__]
    for signs, way_out in _WAYS_OUT:
        if any(sign in lines[0].lower() or sign == code for sign in signs):
            return f"{lines[0]} - {way_out}"
    return lines[0]


_WAYS_OUT = (
    (("full", "no space left", "53100"), "free some space on the disk that holds it"),
    (("locked", "55P03"), "another process has been writing for 30 seconds; wait for it or end it"),
    (("42501",), "give this user of the database that right, or open the ledger once as the owner of its tables"),
    (("readonly", "unable to open", "permission denied"), "give this user the right to write the file"),
    (("not a database", "malformed"), "the file is damaged or no ledger; put back a copy of it"),
    (("connection", "28P01"), "check that the server runs and that storage.ledger_url is right"),
)
