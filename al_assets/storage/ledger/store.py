"""The database under the ledger: one transaction for each read or write, durable, one writer at a time."""

import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool, Pool, QueuePool

from al_assets.storage.ledger import migrations
from al_assets.storage.ledger.sql_tables import statements

LOCK_TIMEOUT_MS = "30000"
KEPT_CONNECTIONS = 8
MOST_CONNECTIONS = 15
# Connections of parent processes. Dropped, they would be closed here, and the parent's locks with them.
_OF_PARENTS: list[Pool] = []
# Any constants would do, as long as they are the same in every process.
LEDGER_LOCK, DESK_LOCK = 0x616C5F6C6564676, 0x616C5F6465736B


class LedgerError(ValueError):
    """The ledger could not be opened, read or written; the message says what happened and the way out."""


class KeptFile:
    """Notices when the file of open connections is moved, deleted or replaced: they would go on with the old one.

    :param path: where the file is, or will be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: tuple[int, int] | None = None

    @property
    def is_there(self) -> bool:
        """Whether it is still the file that was opened; true before any was."""
        return self._opened is None or self._opened == self._identity()

    def note(self) -> None:
        """Take the file that is there for the one to stay, unless one was opened before."""
        self._opened = self._opened or self._identity()

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino


class Store:
    """The database of the ledger and the desk; an empty one gets the tables, with their triggers, when it is opened.

    A database of an older schema version, or of a newer one that takes a newer program, is neither read nor written:
    every transaction looks, so that a process that was running while another upgraded the database writes no more.

    :param keep_connections: keep more connections open between transactions, of SQLite some at all, which makes each
        several times faster: for a process that serves for long. A SQLite file must then stay in its place until
        ``close``.
    :param any_version: for the upgrade: opening leaves an old or empty database as it is.
    :raises LedgerError: the URL is not a SQLite file or a PostgreSQL database, or it cannot be opened.
    """

    # Writers of one store take turns by it.
    write_lock = LEDGER_LOCK

    def __init__(self, url: str, *, keep_connections: bool = False, any_version: bool = False) -> None:
        self._url = _checked(url)
        self.shown = self._url.render_as_string(hide_password=True)
        self.file = Path(str(self._url.database)) if self._url.get_backend_name() == "sqlite" else None
        self._kept = KeptFile(self.file) if self.file and keep_connections else None
        self._engine = (
            _sqlite(self._url, self._kept) if self.file else _postgresql(self._url, keep_all=keep_connections)
        )
        self._process = os.getpid()
        # A ledger that nobody closed gives its connections back all the same.
        weakref.finalize(self, _give_back, self._engine, self._process)
        if not any_version:
            try:
                self._prepare()
            except LedgerError:
                self.close()
                raise

    @contextmanager
    def write(self, *, any_version: bool = False) -> Iterator[Connection]:
        """Yield a connection that alone may write; what was done is durable once the block has ended without error.

        :param any_version: for a change of the schema: neither ledger nor desk may write meanwhile.
        """
        try:
            with self._open(writing=True) as connection, connection.begin():
                self._lock(connection, *((LEDGER_LOCK, DESK_LOCK) if any_version else (self.write_lock,)))
                if not any_version:
                    self.check_version(migrations.read_version(connection))
                yield connection
            # What was written into a file that somebody took away meanwhile counts for nothing.
            self._check_place()
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            self._start_afresh()
            raise LedgerError(
                f"ledger: {self.shown} could not be written: {_explained(error)}; nothing of this was recorded unless "
                "an earlier try got through, so repeat it: what is already there counts once"
            ) from error

    @contextmanager
    def read(self, *, any_version: bool = False) -> Iterator[Connection]:
        """Yield a connection on which every statement sees the same moment.

        :param any_version: do not look at the version of the database.
        """
        try:
            with self._open(writing=False) as connection, connection.begin():
                if not any_version:
                    self.check_version(migrations.read_version(connection))
                yield connection
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            self._start_afresh()
            raise LedgerError(f"ledger: {self.shown} could not be read: {_explained(error)}") from error

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
        if not self.file:
            # A writer must see what was committed while it waited for the lock; a reader one moment only.
            options["isolation_level"] = "READ COMMITTED" if writing else "REPEATABLE READ"
        return self._engine.connect().execution_options(**options)

    def _lock(self, connection: Connection, *locks: int) -> None:
        if self.file:
            return
        connection.execute(select(func.set_config("lock_timeout", LOCK_TIMEOUT_MS, True)))
        # A server set to lose the last moments on a crash must not do so with votes.
        setting = func.current_setting("synchronous_commit")
        connection.execute(select(func.set_config("synchronous_commit", "on", True)).where(setting == "off"))
        for lock in locks:
            connection.execute(select(func.pg_advisory_xact_lock(lock)))

    def _prepare(self) -> None:
        if self.file:
            self._make_folder(self.file.parent)
        with self.read(any_version=True) as connection:
            version = self.find_version(connection)
        if version is None:
            with self.write(any_version=True) as connection:
                # Another process may have made the tables while this one waited.
                version = self.find_version(connection)
                if version is None:
                    migrations.migrate(connection)
        if version is not None:
            self.check_version(version)

    def find_version(self, connection: Connection) -> migrations.Version | None:
        """Return the schema version of the database; None where it is empty.

        :raises LedgerError: it has tables of another program.
        """
        try:
            return migrations.find_version(connection)
        except migrations.ForeignTableError as error:
            raise LedgerError(f"ledger: {self.shown} {error}") from error

    def check_version(self, version: migrations.Version) -> None:
        """Refuse a version of the database that this program may not use.

        :raises LedgerError: it is too old or too new.
        """
        if reason := migrations.refusal(version):
            raise LedgerError(f"ledger: {self.shown} {reason}")

    def _make_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(
                f"ledger: the folder {folder} cannot be made ({error.strerror}); name another in storage.ledger_url"
            ) from error


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
    (("42501",), "give this user of the database that right, or do it as the owner of its tables"),
    (("readonly", "unable to open", "permission denied"), "give this user the right to write the file"),
    (("not a database", "malformed"), "the file is damaged or no ledger; put back a copy of it"),
    (("connection", "28P01"), "check that the server runs and that storage.ledger_url is right"),
)
