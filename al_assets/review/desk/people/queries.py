"""Reading and writing people, invitations, sessions and the audit log; each function works on an open connection.

Of the audit log rows are only ever added: triggers refuse anything else.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from al_assets.review.desk.people.records import (
    AuditEntry,
    DeskMember,
    Invitation,
    OpenInvitation,
    PeopleError,
    Session,
    refuse_confusable,
    written,
)
from al_assets.review.desk.security.secret import token_hash
from al_assets.review.desk.shell.access import Role
from al_assets.storage.ledger.sql_tables import AUDIT, INVITES, PEOPLE, SESSIONS

MAX_DETAIL = 10_000
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
    member: DeskMember


@dataclass(frozen=True)
class AuditFilter:
    """Which entries of the log are asked for; None and empty stand for all.

    :param before: only entries older than this ``seq``.
    """

    by: str | None = None
    act: str | None = None
    subject: str | None = None
    before: int | None = None


def read_members(connection: Connection, policy: str) -> list[DeskMember]:
    """Return everybody ever invited, by name."""
    query = select(PEOPLE).where(PEOPLE.c.policy == policy).order_by(PEOPLE.c.name)
    return [member_of(row) for row in connection.execute(query)]


def read_member(connection: Connection, policy: str, name: str) -> DeskMember | None:
    """Return one person, None if nobody of that name was ever invited."""
    row = connection.execute(select(PEOPLE).where(PEOPLE.c.policy == policy, PEOPLE.c.name == name)).one_or_none()
    return None if row is None else member_of(row)


def add_member(connection: Connection, policy: str, name: str, roles: frozenset[Role], now: datetime) -> None:
    """Add somebody new.

    :raises PeopleError: the name is easily taken for a known one.
    """
    refuse_confusable(name, (other.name for other in read_members(connection, policy)))
    row = {
        "policy": policy, "name": name, "roles": written(roles), "active": True, "invited_at": now, "joined_at": None,
    }  # fmt: skip
    connection.execute(insert(PEOPLE).values(row))


def change_member(connection: Connection, policy: str, name: str, values: Mapping[str, Any]) -> None:
    """Set columns of one person."""
    connection.execute(update(PEOPLE).where(PEOPLE.c.policy == policy, PEOPLE.c.name == name).values(dict(values)))


def refuse_unblinding(member: DeskMember, roles: frozenset[Role]) -> None:
    """Keep those who have seen votes or model output from becoming raters.

    :raises PeopleError: the person has been at the desk with another role.
    """
    if roles == {Role.RATER} and member.roles != {Role.RATER} and member.joined_at is not None:
        raise PeopleError(
            f"role: {member.name!r} has been at the desk as {written(member.roles)} and may have seen votes or model "
            "output, so cannot be a blind rater; invite somebody else"
        )


def roles_of(text: str) -> frozenset[Role]:
    """Return roles as they are stored."""
    return frozenset(Role(each) for each in text.split(", "))


def member_of(row: Row[Any]) -> DeskMember:
    """Return the person of a row that has the columns of PEOPLE."""
    return DeskMember(row.name, roles_of(row.roles), row.active, row.invited_at, row.joined_at)


def add_invite(
    connection: Connection, policy: str, name: str, token: str, by: str, now: datetime, expires: datetime
) -> None:
    """Put an invitation on record; of its token only the hash."""
    row = {
        "token_hash": token_hash(token), "policy": policy, "name": name, "invited_by": by, "made_at": now,
        "expires_at": expires,
    }  # fmt: skip
    connection.execute(insert(INVITES).values(row))


def read_invitation(connection: Connection, policy: str, token: str, now: datetime) -> Invitation | None:
    """Return what a token is good for, None if it is good for nothing (any more)."""
    query = (
        select(INVITES.c.name, INVITES.c.expires_at, PEOPLE.c.roles)
        .join(PEOPLE, (PEOPLE.c.policy == INVITES.c.policy) & (PEOPLE.c.name == INVITES.c.name))
        .where(INVITES.c.token_hash == token_hash(token), PEOPLE.c.active, *_good_invite(policy, now))
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Invitation(row.name, roles_of(row.roles), row.expires_at)


def use_invite(connection: Connection, policy: str, token: str, now: datetime) -> Invitation | None:
    """Use an invitation up and return it; None if it is good for nothing (any more)."""
    invitation = read_invitation(connection, policy, token, now)
    if invitation is None:
        return None
    used = (
        update(INVITES).where(INVITES.c.token_hash == token_hash(token), *_good_invite(policy, now)).values(used_at=now)
    )
    if connection.execute(used).rowcount != 1:
        return None
    first = select(PEOPLE.c.joined_at).where(PEOPLE.c.policy == policy, PEOPLE.c.name == invitation.name)
    if connection.execute(first).scalar_one() is None:
        change_member(connection, policy, invitation.name, {"joined_at": now})
    return invitation


def open_invites(connection: Connection, policy: str, now: datetime) -> list[OpenInvitation]:
    """Return the invitations that are good now, the newest first."""
    query: Select[Any] = select(INVITES).where(*_good_invite(policy, now)).order_by(INVITES.c.made_at.desc())
    rows = connection.execute(query)
    return [OpenInvitation(row.name, row.invited_by, row.made_at, row.expires_at) for row in rows]


def revoke_invites(connection: Connection, policy: str, name: str, now: datetime) -> int:
    """Revoke a person's open invitations and return how many there were."""
    query = update(INVITES).where(INVITES.c.name == name, *_good_invite(policy, now)).values(revoked_at=now)
    return int(connection.execute(query).rowcount)


def _good_invite(policy: str, now: datetime) -> tuple[Any, ...]:
    return (
        INVITES.c.policy == policy,
        INVITES.c.used_at.is_(None),
        INVITES.c.revoked_at.is_(None),
        INVITES.c.expires_at > now,
    )


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
        .where(SESSIONS.c.token_hash == token_hash(token), PEOPLE.c.active, *_good_session(policy, now, lifetime))
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
        .where(*_good_session(policy, now, lifetime))
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


def _good_session(policy: str, now: datetime, lifetime: Lifetime) -> tuple[Any, ...]:
    return (
        SESSIONS.c.policy == policy,
        SESSIONS.c.ended_at.is_(None),
        SESSIONS.c.seen_at > now - lifetime.idle,
        SESSIONS.c.started_at > now - lifetime.most,
    )


def add_entry(connection: Connection, policy: str, at: datetime, by: str, act: str, subject: str, detail: str) -> None:
    """Add an entry."""
    row = {"policy": policy, "at": at, "by": by, "act": act, "subject": subject, "detail": _storable(detail)}
    connection.execute(insert(AUDIT).values(row))


def read_entries(connection: Connection, policy: str, which: AuditFilter, most: int | None) -> list[AuditEntry]:
    """Return entries, the newest first."""
    query = select(AUDIT).where(AUDIT.c.policy == policy)
    for column, value in ((AUDIT.c.by, which.by), (AUDIT.c.act, which.act), (AUDIT.c.subject, which.subject)):
        if value:
            query = query.where(column == _storable(value))
    if which.before is not None:
        query = query.where(AUDIT.c.seq < which.before)
    rows = connection.execute(query.order_by(AUDIT.c.seq.desc()).limit(most))
    return [AuditEntry(row.seq, row.at, row.by, row.act, row.subject, row.detail) for row in rows]


def known_acts(connection: Connection, policy: str) -> list[str]:
    """Return the kinds of acts on record, in order."""
    query = select(AUDIT.c.act).where(AUDIT.c.policy == policy).distinct().order_by(AUDIT.c.act)
    return list(connection.execute(query).scalars())


def _storable(text: str) -> str:
    # PostgreSQL has no NUL in text, and half of a surrogate pair has no UTF-8 form.
    clean = text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= MAX_DETAIL else clean[: MAX_DETAIL - 1] + "…"
