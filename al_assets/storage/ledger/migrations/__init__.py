"""Numbered migrations of the ledger's database, run by Alembic; which version it has, and who may use it.

A new migration is a file in ``versions`` that follows the last one, with ``HEAD`` raised to its number. Where a program
that does not know it would misread or miswrite the database, it also raises ``schema_version.least_program``.
"""

import threading
from typing import NamedTuple

from sqlalchemy import Connection, inspect, select

from al_assets.storage.ledger.sql_tables import METADATA, SCHEMA_VERSION

HEAD = 4
"""The schema version that this program reads and writes."""
UNNUMBERED = 0
"""What a ledger made before versions had numbers counts as."""
# Alembic keeps the migration that it runs in module variables.
_ONE_AT_A_TIME = threading.Lock()


class ForeignTableError(ValueError):
    """A database has a table of the ledger's name that is not the ledger's."""


class Version(NamedTuple):
    """The schema version of a database, and the least that a program has to know to use it."""

    number: int
    least_program: int


def read_version(connection: Connection) -> Version:
    """Return the version of a database of which it is known that its version is numbered."""
    number, least = connection.execute(select(*SCHEMA_VERSION.columns)).one()
    return Version(int(number), least)


def find_version(connection: Connection) -> Version | None:
    """Return the version of any database; None where it has none of the ledger's tables.

    :raises ForeignTableError: they are not the ledger's.
    """
    inspector = inspect(connection)
    present = set(inspector.get_table_names()) & METADATA.tables.keys()
    if SCHEMA_VERSION.name in present:
        return read_version(connection)
    if not present:
        return None
    from al_assets.storage.ledger.migrations.versions.v0001_unnumbered import columns_of

    for name in sorted(present):
        columns = {column["name"] for column in inspector.get_columns(name)}
        if missing := [column for column in columns_of(name) if column not in columns]:
            raise ForeignTableError(
                f"has a table {name!r} without the columns {', '.join(missing)}: it belongs to another program; name a "
                "database of the ledger's own in storage.ledger_url"
            )
    return Version(UNNUMBERED, UNNUMBERED)


def refusal(version: Version) -> str | None:
    """Return why this program may neither read nor write a database of that version; None if it may."""
    if version.number < HEAD:
        return (
            f"is of schema version {version.number}, and this program needs {HEAD}; run 'al ledger upgrade', which "
            "makes a copy first"
        )
    if version.least_program > HEAD:
        return (
            f"is of schema version {version.number}, which takes a program that knows version {version.least_program}, "
            f"and this one knows {HEAD}; upgrade this program (pip install --upgrade al-assets), then start it again"
        )
    return None


def migrate(connection: Connection) -> None:
    """Run the migrations that a database lacks, in the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    SCHEMA_VERSION.create(connection, checkfirst=True)
    config = Config()
    config.set_main_option("script_location", "al_assets.storage.ledger:migrations")
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        command.upgrade(config, "head")
