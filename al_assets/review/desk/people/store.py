"""People, invitations, sessions and the audit log of one policy's desk."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Self

from al_assets.config import DeskSettings, Policy
from al_assets.review.desk.people.queries import AuditFilter, Lifetime, PeopleRows, SignedIn
from al_assets.review.desk.people.records import (
    AuditEntry,
    DeskMember,
    Invitation,
    OpenInvitation,
    PeopleError,
    Session,
    checked_name,
    checked_roles,
    written,
)
from al_assets.review.desk.security.secret import new_token
from al_assets.review.desk.shell.access import Person, Role
from al_assets.storage.ledger import LedgerError
from al_assets.storage.ledger.store import DESK_LOCK, Store

# A sign of life is written once in so many parts of the idle time: every page view would be a write.
SEEN_PARTS = 50


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
        settings = settings or DeskSettings()
        self.policy_name = policy_name
        self._database = DeskDatabase(url, keep_connections=keep_connections)
        self._invite_time = timedelta(hours=settings.invite_hours)
        self._lifetime = Lifetime(timedelta(hours=settings.session_idle_hours), timedelta(hours=settings.session_hours))
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
        :raises PeopleError: the name or the roles cannot be, or roles are missing for somebody new.
        """
        name, token = checked_name(name), new_token()
        with self._write() as rows:
            known = rows.member(name)
            if known is None:
                held = checked_roles(roles or ())
                rows.add_member(name, held)
            else:
                held = known.roles if roles is None else checked_roles(roles)
                refuse_unblinding(known, held)
                rows.change_member(name, roles=written(held), active=True)
            expires = rows.now + self._invite_time
            rows.add_invitation(name, token, by, expires)
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

    def invitations(self) -> list[OpenInvitation]:
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
        with self._write() as rows:
            invitation = rows.use_invitation(token)
            if invitation is None:
                return None
            rows.add_session(invitation.name, session, browser)
            rows.note(invitation.name, "sign in", invitation.name, f"as {written(invitation.roles)}")
        return session

    def session(self, token: str) -> SignedIn | None:
        """Return the session of a token with its person; None if it is over or the person may no longer come."""
        with self._read() as rows:
            signed_in = rows.session(token)
        if signed_in and rows.now - signed_in.session.seen_at > self._lifetime.idle / SEEN_PARTS:
            # A full disk must not keep people from reading: what fails here is tried again at the next visit.
            with suppress(LedgerError), self._write() as rows:
                rows.note_seen(token)
        return signed_in

    def sessions(self) -> list[Session]:
        """Return the sessions that are good now, by person."""
        with self._read() as rows:
            return rows.sessions()

    def end_session(self, session_id: str, by: str) -> str | None:
        """End one session and return whose it was, None if there was none to end."""
        with self._write() as rows:
            name = rows.end_session(session_id)
            if name is not None:
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
        with self._read() as rows:
            return rows.audit_log(which or AuditFilter(), most)

    def audit_acts(self) -> list[str]:
        """Return the kinds of acts in the audit log."""
        with self._read() as rows:
            return rows.audit_acts()

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
            yield PeopleRows(connection, self.policy_name, now, self._lifetime)

    @contextmanager
    def _write(self) -> Iterator[PeopleRows]:
        now = self._clock()
        with self._database.write() as connection:
            yield PeopleRows(connection, self.policy_name, now, self._lifetime)


def refuse_unblinding(member: DeskMember, roles: frozenset[Role]) -> None:
    """Keep those who have seen votes or model output from becoming raters.

    :raises PeopleError: the person has been at the desk with another role.
    """
    if roles == {Role.RATER} and member.roles != {Role.RATER} and member.joined_at is not None:
        raise PeopleError(
            f"role: {member.name!r} has been at the desk as {written(member.roles)} and may have seen votes or model "
            "output, so cannot be a blind rater; invite somebody else"
        )


def _known(rows: PeopleRows, name: str) -> DeskMember:
    member = rows.member(name)
    if member is None:
        raise PeopleError(f"name: nobody called {name!r} was ever invited; invite the person first")
    return member
