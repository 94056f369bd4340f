"""People, invitations, sessions and the audit log of one policy's desk."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from sqlalchemy import ColumnElement, Row, select, update

from al_assets.config import DeskSettings, Policy
from al_assets.review.desk.people.queries import PeopleRows, member_of, storable
from al_assets.review.desk.people.records import (
    AuditEntry,
    AuditFilter,
    DeskMember,
    Invitation,
    PeopleError,
    Session,
    SignedIn,
    checked_name,
    checked_roles,
    refuse_confusable,
    written,
)
from al_assets.review.desk.security.secret import new_token, token_hash
from al_assets.review.desk.shell.access import Person, Role
from al_assets.storage.ledger import LedgerError
from al_assets.storage.ledger.sql_tables import AUDIT, INVITES, PEOPLE, SESSIONS
from al_assets.storage.ledger.store import DESK_LOCK, Store

# A sign of life is written once in so many parts of the idle time: every page view would be a write.
SEEN_PARTS = 50
MAX_BROWSER = 200


def utc_now() -> datetime:
    """Return this moment."""
    return datetime.now(UTC)


class DeskDatabase(Store):
    """The ledger's database, with a lock of its own: signing in must not wait for a run that publishes a queue."""

    write_lock = DESK_LOCK


class PeopleStore:
    """Who may use the desk of a policy. Every change of people is in the audit log, written in the same transaction.

    :param url: of the ledger's database; the desk's tables are created there when missing.
    :param policy_name: the desks of one database do not see each other's people.
    :param clock: tells the time.
    :param keep_connections: for a process that serves for long: SQLite's connections stay open between transactions.
    :raises LedgerError: here and in every method: the database cannot be opened, read or written.
    """

    def __init__(
        self,
        url: str,
        policy_name: str,
        settings: DeskSettings | None = None,
        clock: Callable[[], datetime] = utc_now,
        *,
        keep_connections: bool = False,
    ) -> None:
        self._settings = settings or DeskSettings()
        self.policy_name = policy_name
        self._database = DeskDatabase(url, keep_connections=keep_connections)
        self._clock = clock

    @classmethod
    def of(cls, policy: Policy, *, keep_connections: bool = False) -> Self:
        """Open the store of a policy file."""
        return cls(policy.ledger_url, policy.policy.name, policy.desk, keep_connections=keep_connections)

    def close(self) -> None:
        """Give back the database connections."""
        self._database.close()

    def __enter__(self) -> Self:
        """Return the store; leaving the block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def people(self) -> list[DeskMember]:
        """Return everybody ever invited, by name."""
        with self._read() as rows:
            return rows.members()

    def member(self, name: str) -> DeskMember | None:
        """Return one person, None if nobody of that name was ever invited."""
        with self._read() as rows:
            return rows.member(name)

    def invite(self, name: str, roles: Iterable[str] | None, by: str) -> str:
        """Invite somebody and return the token of the link, which works once and cannot be read again.

        Somebody who is known gets another link; with roles also those, in place of the ones held.

        :param roles: None keeps the roles of somebody who is known.
        :raises PeopleError: the name or the roles cannot be, the name is easily taken for a known one, or roles are
            missing for somebody new.
        """
        name, token = checked_name(name), new_token()
        with self._write() as rows:
            known = rows.member(name)
            if known is None:
                held = checked_roles(roles or ())
                refuse_confusable(name, (other.name for other in rows.members()))
                values = {"roles": written(held), "active": True, "invited_at": rows.now, "joined_at": None}
                rows.insert(PEOPLE, name=name, **values)
            else:
                held = known.roles if roles is None else checked_roles(roles)
                refuse_unblinding(known, held)
                rows.change_member(name, roles=written(held), active=True)
            expires = rows.now + timedelta(hours=self._settings.invite_hours)
            link = {"token_hash": token_hash(token), "invited_by": by, "made_at": rows.now, "expires_at": expires}
            rows.insert(INVITES, name=name, **link)
            rows.note(by, "invite", name, f"as {written(held)}, until {expires:%Y-%m-%d %H:%M} UTC")
        return token

    def change_roles(self, name: str, roles: Iterable[str], by: str) -> None:
        """Give a person other roles.

        :raises PeopleError: nobody is called so, or the roles cannot be.
        """
        held = checked_roles(roles)
        with self._write() as rows:
            before = _known(rows, name)
            refuse_unblinding(before, held)
            rows.change_member(name, roles=written(held))
            rows.note(by, "change roles", name, f"from {written(before.roles)} to {written(held)}")

    def deactivate(self, name: str, by: str) -> None:
        """Let a person in no more: sessions end and invitations are revoked.

        :raises PeopleError: nobody is called so.
        """
        with self._write() as rows:
            _known(rows, name)
            rows.change_member(name, active=False)
            ended, revoked = rows.end_sessions(name), rows.revoke_invitations(name)
            rows.note(by, "deactivate", name, f"sessions ended: {ended}, invitations revoked: {revoked}")

    def invitation(self, token: str) -> Invitation | None:
        """Return the invitation of a token without using it up; None if it is unknown, used, revoked or too old."""
        with self._read() as rows:
            return rows.invitation(token)

    def invitations(self) -> list[Invitation]:
        """Return the invitations that are good now, the newest first."""
        with self._read() as rows:
            return rows.invitations()

    def revoke_invitations(self, name: str, by: str) -> int:
        """Revoke a person's open invitations and return how many there were."""
        with self._write() as rows:
            revoked = rows.revoke_invitations(name)
            rows.note(by, "revoke invitations", name, f"revoked: {revoked}")
        return revoked

    def redeem(self, token: str, browser: str = "") -> str | None:
        """Use an invitation up and return the token of a new session; None if the invitation cannot be used."""
        session = new_token()
        # The browser names itself as it likes: nothing in it may end a line or be refused by a database.
        shown = "".join(each for each in browser if each.isprintable())[:MAX_BROWSER]
        with self._write() as rows:
            invitation = rows.invitation(token)
            good = (INVITES.c.token_hash == token_hash(token), *rows.good_invitation())
            if (
                invitation is None
                or rows.connection.execute(update(INVITES).where(*good).values(used_at=rows.now)).rowcount != 1
            ):
                return None
            member = rows.member(invitation.name)
            if member is not None and member.joined_at is None:
                rows.change_member(invitation.name, joined_at=rows.now)
            values = {"token_hash": token_hash(session), "session_id": secrets.token_hex(8), "browser": shown}
            rows.insert(SESSIONS, name=invitation.name, started_at=rows.now, seen_at=rows.now, **values)
            rows.note(invitation.name, "sign in", invitation.name, f"as {written(invitation.roles)}")
        return session

    def session(self, token: str) -> SignedIn | None:
        """Return the session of a token with its person; None if it is over or the person may no longer come."""
        has_token = SESSIONS.c.token_hash == token_hash(token)
        with self._read() as rows:
            query = (
                select(SESSIONS, PEOPLE.c.roles, PEOPLE.c.active, PEOPLE.c.invited_at, PEOPLE.c.joined_at)
                .join(PEOPLE, (PEOPLE.c.policy == SESSIONS.c.policy) & (PEOPLE.c.name == SESSIONS.c.name))
                .where(has_token, PEOPLE.c.active, *self._good_session(rows))
            )
            row = rows.connection.execute(query).one_or_none()
        if row is None:
            return None
        if rows.now - row.seen_at > timedelta(hours=self._settings.session_idle_hours) / SEEN_PARTS:
            # A full disk must not keep people from reading: what fails here is tried again at the next visit.
            with suppress(LedgerError), self._write() as rows:
                rows.connection.execute(update(SESSIONS).where(has_token).values(seen_at=rows.now))
        return SignedIn(_session(row), member_of(row))

    def sessions(self) -> list[Session]:
        """Return the sessions that are good now, by person, the newest first."""
        order = (SESSIONS.c.name, SESSIONS.c.started_at.desc(), SESSIONS.c.session_id)
        with self._read() as rows:
            query = select(SESSIONS).where(*self._good_session(rows)).order_by(*order)
            return [_session(row) for row in rows.connection.execute(query)]

    def end_session(self, session_id: str, by: str) -> str | None:
        """End one session and return whose it was, None if there was none to end."""
        with self._write() as rows:
            which = (
                SESSIONS.c.policy == self.policy_name,
                SESSIONS.c.session_id == session_id,
                SESSIONS.c.ended_at.is_(None),
            )
            name = rows.connection.execute(select(SESSIONS.c.name).where(*which)).scalar_one_or_none()
            if name is not None:
                rows.connection.execute(update(SESSIONS).where(*which).values(ended_at=rows.now))
                rows.note(by, "sign out" if name == by else "end session", name, f"session {session_id}")
        return name

    def end_sessions(self, name: str, by: str) -> int:
        """End all sessions of a person and return how many there were."""
        with self._write() as rows:
            ended = rows.end_sessions(name)
            rows.note(by, "end all sessions", name, f"ended: {ended}")
        return ended

    def identified(self, name: str) -> Person | None:
        """Return the person whom a trusted proxy names, None if nobody active is called so."""
        member = self.member(name)
        if member is not None and member.active and member.joined_at is None:
            member = self._joined(name)
        return member.person if member is not None and member.active else None

    def audit(self, by: str, act: str, subject: str, detail: str = "") -> None:
        """Put a privileged act on record.

        :param by: who did it.
        :param act: a verb, such as ``adjudicate``; the log can be filtered by it.
        :param subject: whom or what it was done to.
        """
        with self._write() as rows:
            rows.note(by, act, subject, detail)

    def audit_log(self, which: AuditFilter | None = None, most: int | None = None) -> list[AuditEntry]:
        """Return entries of the audit log, the newest first."""
        which = which or AuditFilter()
        query = select(AUDIT).where(AUDIT.c.policy == self.policy_name)
        for column, value in ((AUDIT.c.by, which.by), (AUDIT.c.act, which.act), (AUDIT.c.subject, which.subject)):
            if value:
                query = query.where(column == storable(value))
        if which.before is not None:
            query = query.where(AUDIT.c.seq < which.before)
        with self._read() as rows:
            log = rows.connection.execute(query.order_by(AUDIT.c.seq.desc()).limit(most))
            return [AuditEntry(row.seq, row.at, row.by, row.act, row.subject, row.detail) for row in log]

    def audit_acts(self) -> list[str]:
        """Return the kinds of acts in the audit log, in order."""
        query = select(AUDIT.c.act).where(AUDIT.c.policy == self.policy_name).distinct().order_by(AUDIT.c.act)
        with self._read() as rows:
            return list(rows.connection.execute(query).scalars())

    def _joined(self, name: str) -> DeskMember | None:
        """Note the first visit and return the person as of then: with these roles the desk was seen."""
        with self._write() as rows:
            member = rows.member(name)
            if member is not None and member.active and member.joined_at is None:
                rows.change_member(name, joined_at=rows.now)
                detail = f"as {written(member.roles)}, for the first time, by the word of a proxy"
                rows.note(name, "sign in", name, detail)
        return member

    @contextmanager
    def _read(self) -> Iterator[PeopleRows]:
        now = self._clock()
        with self._database.read() as connection:
            yield PeopleRows(connection, self.policy_name, now)

    @contextmanager
    def _write(self) -> Iterator[PeopleRows]:
        now = self._clock()
        with self._database.write() as connection:
            yield PeopleRows(connection, self.policy_name, now)

    def _good_session(self, rows: PeopleRows) -> tuple[ColumnElement[bool], ...]:
        return (
            SESSIONS.c.policy == self.policy_name,
            SESSIONS.c.ended_at.is_(None),
            SESSIONS.c.seen_at > rows.now - timedelta(hours=self._settings.session_idle_hours),
            SESSIONS.c.started_at > rows.now - timedelta(hours=self._settings.session_hours),
        )


def refuse_unblinding(member: DeskMember, roles: frozenset[Role]) -> None:
    """Keep those who have seen votes or model output from becoming raters.

    :raises PeopleError: the person has been at the desk with another role.
    """
    if roles == {Role.RATER} and member.roles != {Role.RATER} and member.joined_at is not None:
        raise PeopleError(
            f"role: {member.name!r} has been at the desk as {written(member.roles)} and may have seen votes or model "
            "output, so cannot be a blind rater; invite somebody else"
        )


def _session(row: Row[Any]) -> Session:
    return Session(row.session_id, row.name, row.browser, row.started_at, row.seen_at)


def _known(rows: PeopleRows, name: str) -> DeskMember:
    member = rows.member(name)
    if member is None:
        raise PeopleError(f"name: nobody called {name!r} was ever invited; invite the person first")
    return member
