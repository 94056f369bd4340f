"""Reading and writing people, invitations, sessions and the audit log, within one transaction.

Of the audit log rows are only ever added: triggers refuse anything else.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Table, insert, select, update

from al_assets.review.desk.people.records import (
    AuditEntry,
    DeskMember,
    Invitation,
    OpenInvitation,
    Session,
    refuse_confusable,
    written,
)
from al_assets.review.desk.security.secret import token_hash
from al_assets.review.desk.shell.access import Role
from al_assets.storage.ledger.sql_tables import AUDIT, INVITES, PEOPLE, SESSIONS

MAX_DETAIL = 10_000
MAX_BROWSER = 200


class Lifetime(NamedTuple):
    """How long a session is good: after the last sign of life, and after the sign-in whatever happens."""

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


class PeopleRows:
    """The rows of one policy's desk, as of one moment.

    :param connection: of the transaction; writing methods need one that may write.
    :param now: what is good now is good at this time, and what is written carries it.
    """

    def __init__(self, connection: Connection, policy: str, now: datetime, lifetime: Lifetime) -> None:
        self._connection = connection
        self._policy = policy
        self._lifetime = lifetime
        self.now = now

    def members(self) -> list[DeskMember]:
        """Return everybody ever invited, by name."""
        query = select(PEOPLE).where(PEOPLE.c.policy == self._policy).order_by(PEOPLE.c.name)
        return [_member(row) for row in self._connection.execute(query)]

    def member(self, name: str) -> DeskMember | None:
        """Return one person, None if nobody of that name was ever invited."""
        query = select(PEOPLE).where(PEOPLE.c.policy == self._policy, PEOPLE.c.name == name)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _member(row)

    def add_member(self, name: str, roles: frozenset[Role]) -> None:
        """Add somebody new.

        :raises PeopleError: the name is easily taken for a known one.
        """
        refuse_confusable(name, (other.name for other in self.members()))
        values = {"name": name, "roles": written(roles), "active": True, "invited_at": self.now, "joined_at": None}
        self._insert(PEOPLE, values)

    def change_member(self, name: str, **values: object) -> None:
        """Set columns of one person."""
        changed = update(PEOPLE).where(PEOPLE.c.policy == self._policy, PEOPLE.c.name == name).values(values)
        self._connection.execute(changed)

    def add_invitation(self, name: str, token: str, by: str, expires: datetime) -> None:
        """Put an invitation on record; of its token only the hash."""
        values = {"token_hash": token_hash(token), "name": name, "invited_by": by, "made_at": self.now}
        self._insert(INVITES, {**values, "expires_at": expires})

    def invitation(self, token: str) -> Invitation | None:
        """Return the invitation of a token, None if it is unknown, used, revoked or too old."""
        query = (
            select(INVITES.c.name, INVITES.c.expires_at, PEOPLE.c.roles)
            .join(PEOPLE, (PEOPLE.c.policy == INVITES.c.policy) & (PEOPLE.c.name == INVITES.c.name))
            .where(INVITES.c.token_hash == token_hash(token), PEOPLE.c.active, *self._good_invitation())
        )
        row = self._connection.execute(query).one_or_none()
        return None if row is None else Invitation(row.name, _roles(row.roles), row.expires_at)

    def use_invitation(self, token: str) -> Invitation | None:
        """Use an invitation up and return it; None if it is unknown, used, revoked or too old."""
        invitation = self.invitation(token)
        if invitation is None:
            return None
        good = (INVITES.c.token_hash == token_hash(token), *self._good_invitation())
        if self._connection.execute(update(INVITES).where(*good).values(used_at=self.now)).rowcount != 1:
            return None
        member = self.member(invitation.name)
        if member is not None and member.joined_at is None:
            self.change_member(invitation.name, joined_at=self.now)
        return invitation

    def invitations(self) -> list[OpenInvitation]:
        """Return the invitations that are good now, the newest first."""
        query = select(INVITES).where(*self._good_invitation()).order_by(INVITES.c.made_at.desc())
        rows = self._connection.execute(query)
        return [OpenInvitation(row.name, row.invited_by, row.made_at, row.expires_at) for row in rows]

    def revoke_invitations(self, name: str) -> int:
        """Revoke a person's open invitations and return how many there were."""
        good = (INVITES.c.name == name, *self._good_invitation())
        return int(self._connection.execute(update(INVITES).where(*good).values(revoked_at=self.now)).rowcount)

    def add_session(self, name: str, token: str, browser: str) -> None:
        """Put a sign-in on record; of its token only the hash."""
        # The browser names itself as it likes: nothing in it may end a line or be refused by a database.
        shown = "".join(each for each in browser if each.isprintable())[:MAX_BROWSER]
        values = {"token_hash": token_hash(token), "session_id": secrets.token_hex(8), "name": name, "browser": shown}
        self._insert(SESSIONS, {**values, "started_at": self.now, "seen_at": self.now})

    def session(self, token: str) -> SignedIn | None:
        """Return the session of a token with its person; None if it is over or the person may no longer come."""
        query = (
            select(SESSIONS, PEOPLE.c.roles, PEOPLE.c.active, PEOPLE.c.invited_at, PEOPLE.c.joined_at)
            .join(PEOPLE, (PEOPLE.c.policy == SESSIONS.c.policy) & (PEOPLE.c.name == SESSIONS.c.name))
            .where(SESSIONS.c.token_hash == token_hash(token), PEOPLE.c.active, *self._good_session())
        )
        row = self._connection.execute(query).one_or_none()
        return None if row is None else SignedIn(_session(row), _member(row))

    def note_seen(self, token: str) -> None:
        """Note a sign of life."""
        seen = update(SESSIONS).where(SESSIONS.c.token_hash == token_hash(token)).values(seen_at=self.now)
        self._connection.execute(seen)

    def sessions(self) -> list[Session]:
        """Return the sessions that are good now, by person, the newest first."""
        order = (SESSIONS.c.name, SESSIONS.c.started_at.desc(), SESSIONS.c.session_id)
        rows = self._connection.execute(select(SESSIONS).where(*self._good_session()).order_by(*order))
        return [_session(row) for row in rows]

    def end_session(self, session_id: str) -> str | None:
        """End one session and return whose it was, None if there was none to end."""
        which = (SESSIONS.c.policy == self._policy, SESSIONS.c.session_id == session_id, SESSIONS.c.ended_at.is_(None))
        name = self._connection.execute(select(SESSIONS.c.name).where(*which)).scalar_one_or_none()
        self._connection.execute(update(SESSIONS).where(*which).values(ended_at=self.now))
        return name

    def end_sessions(self, name: str) -> int:
        """End all sessions of a person and return how many there were."""
        which = (SESSIONS.c.policy == self._policy, SESSIONS.c.name == name, SESSIONS.c.ended_at.is_(None))
        return int(self._connection.execute(update(SESSIONS).where(*which).values(ended_at=self.now)).rowcount)

    def note(self, by: str, act: str, subject: str, detail: str) -> None:
        """Add an entry to the audit log."""
        self._insert(AUDIT, {"at": self.now, "by": by, "act": act, "subject": subject, "detail": _storable(detail)})

    def audit_log(self, which: AuditFilter, most: int | None) -> list[AuditEntry]:
        """Return entries of the audit log, the newest first."""
        query = select(AUDIT).where(AUDIT.c.policy == self._policy)
        for column, value in ((AUDIT.c.by, which.by), (AUDIT.c.act, which.act), (AUDIT.c.subject, which.subject)):
            if value:
                query = query.where(column == _storable(value))
        if which.before is not None:
            query = query.where(AUDIT.c.seq < which.before)
        rows = self._connection.execute(query.order_by(AUDIT.c.seq.desc()).limit(most))
        return [AuditEntry(row.seq, row.at, row.by, row.act, row.subject, row.detail) for row in rows]

    def audit_acts(self) -> list[str]:
        """Return the kinds of acts in the audit log, in order."""
        query = select(AUDIT.c.act).where(AUDIT.c.policy == self._policy).distinct().order_by(AUDIT.c.act)
        return list(self._connection.execute(query).scalars())

    def _insert(self, table: Table, values: Mapping[str, object]) -> None:
        self._connection.execute(insert(table).values(policy=self._policy, **values))

    def _good_invitation(self) -> tuple[ColumnElement[bool], ...]:
        return (
            INVITES.c.policy == self._policy,
            INVITES.c.used_at.is_(None),
            INVITES.c.revoked_at.is_(None),
            INVITES.c.expires_at > self.now,
        )

    def _good_session(self) -> tuple[ColumnElement[bool], ...]:
        return (
            SESSIONS.c.policy == self._policy,
            SESSIONS.c.ended_at.is_(None),
            SESSIONS.c.seen_at > self.now - self._lifetime.idle,
            SESSIONS.c.started_at > self.now - self._lifetime.most,
        )


def _roles(text: str) -> frozenset[Role]:
    return frozenset(Role(each) for each in text.split(", "))


def _member(row: Row[Any]) -> DeskMember:
    return DeskMember(row.name, _roles(row.roles), row.active, row.invited_at, row.joined_at)


def _session(row: Row[Any]) -> Session:
    return Session(row.session_id, row.name, row.browser, row.started_at, row.seen_at)


def _storable(text: str) -> str:
    # PostgreSQL has no NUL in text, and half of a surrogate pair has no UTF-8 form.
    clean = text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= MAX_DETAIL else clean[: MAX_DETAIL - 1] + "…"
