"""Sessions: who is signed in, on which browser, since when."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from al_assets.review.desk.people.members import member_of
from al_assets.review.desk.people.records import Member, Session
from al_assets.review.desk.people.tables import PEOPLE, SESSIONS
from al_assets.review.desk.security.tokens import token_hash

MAX_BROWSER = 200


@dataclass(frozen=True)
class Lifetime:
    """How long a session is good.

    :param idle: after the last sign of life.
    :param most: after the sign-in, whatever happens.
    """

    idle: timedelta
    most: timedelta


@dataclass(frozen=True)
class SignedIn:
    """A good session and whose it is."""

    session: Session
    member: Member


def add_session(connection: Connection, policy: str, name: str, token: str, browser: str, now: datetime) -> None:
    """Put a sign-in on record; of its token only the hash."""
    # The browser names itself as it likes: nothing in it may end a line or be refused by a database.
    shown = "".join(each for each in browser if each.isprintable())[:MAX_BROWSER]
    row = {
        "token_hash": token_hash(token), "session_id": secrets.token_hex(8), "policy": policy, "name": name,
        "browser": shown, "started_at": now, "seen_at": now,
    }  # fmt: skip
    connection.execute(insert(SESSIONS).values(row))


def read_session(connection: Connection, policy: str, token: str, now: datetime, lifetime: Lifetime) -> SignedIn | None:
    """Return the session of a token with its person; None if it is over or the person may no longer come."""
    query = (
        select(SESSIONS, PEOPLE.c.roles, PEOPLE.c.active, PEOPLE.c.invited_at, PEOPLE.c.joined_at)
        .join(PEOPLE, (PEOPLE.c.policy == SESSIONS.c.policy) & (PEOPLE.c.name == SESSIONS.c.name))
        .where(SESSIONS.c.token_hash == token_hash(token), PEOPLE.c.active, *_good(policy, now, lifetime))
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else SignedIn(_session(row), member_of(row))


def note_seen(connection: Connection, token: str, now: datetime) -> None:
    """Note a sign of life."""
    connection.execute(update(SESSIONS).where(SESSIONS.c.token_hash == token_hash(token)).values(seen_at=now))


def open_sessions(connection: Connection, policy: str, now: datetime, lifetime: Lifetime) -> list[Session]:
    """Return the sessions that are good now, by person, the newest first."""
    query = (
        select(SESSIONS)
        .where(*_good(policy, now, lifetime))
        .order_by(SESSIONS.c.name, SESSIONS.c.started_at.desc(), SESSIONS.c.session_id)
    )
    return [_session(row) for row in connection.execute(query)]


def end_session(connection: Connection, policy: str, session_id: str, now: datetime) -> str | None:
    """End one session and return whose it was, None if there was none to end."""
    which = (SESSIONS.c.policy == policy, SESSIONS.c.session_id == session_id, SESSIONS.c.ended_at.is_(None))
    name = connection.execute(select(SESSIONS.c.name).where(*which)).scalar_one_or_none()
    connection.execute(update(SESSIONS).where(*which).values(ended_at=now))
    return name


def end_sessions(connection: Connection, policy: str, name: str, now: datetime) -> int:
    """End all sessions of a person and return how many there were."""
    which = (SESSIONS.c.policy == policy, SESSIONS.c.name == name, SESSIONS.c.ended_at.is_(None))
    return int(connection.execute(update(SESSIONS).where(*which).values(ended_at=now)).rowcount)


def _session(row: Any) -> Session:
    return Session(row.session_id, row.name, row.browser, row.started_at, row.seen_at)


def _good(policy: str, now: datetime, lifetime: Lifetime) -> tuple[Any, ...]:
    return (
        SESSIONS.c.policy == policy,
        SESSIONS.c.ended_at.is_(None),
        SESSIONS.c.seen_at > now - lifetime.idle,
        SESSIONS.c.started_at > now - lifetime.most,
    )
