"""People, invitations, sessions and the audit log of one policy's desk."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Self

from al_assets.config import DeskSettings, Policy
from al_assets.review.desk.people import queries
from al_assets.review.desk.people.queries import AuditFilter, Lifetime, SignedIn, add_entry
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
from al_assets.review.desk.shell.access import Person
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
        with self._database.read() as connection:
            return queries.read_members(connection, self.policy_name)

    def member(self, name: str) -> DeskMember | None:
        """Return one person, None if nobody of that name was ever invited."""
        with self._database.read() as connection:
            return queries.read_member(connection, self.policy_name, name)

    def invite(self, name: str, roles: Iterable[str] | None, by: str) -> str:
        """Invite somebody and return the token of the link, which is good once and cannot be read again.

        Somebody who is known gets another link; with roles also those, in place of the ones held.

        :param roles: None keeps the roles of somebody who is known.
        :raises PeopleError: the name or the roles cannot be, or roles are missing for somebody new.
        """
        name, token, now = checked_name(name), new_token(), self._clock()
        with self._database.write() as connection:
            known = queries.read_member(connection, self.policy_name, name)
            if known is None:
                held = checked_roles(roles or ())
                queries.add_member(connection, self.policy_name, name, held, now)
            else:
                held = known.roles if roles is None else checked_roles(roles)
                queries.refuse_unblinding(known, held)
                changes = {"roles": written(held), "active": True}
                queries.change_member(connection, self.policy_name, name, changes)
            expires = now + self._invite_time
            queries.add_invite(connection, self.policy_name, name, token, by, now, expires)
            detail = f"as {written(held)}, until {expires:%Y-%m-%d %H:%M} UTC"
            add_entry(connection, self.policy_name, now, by, "invite", name, detail)
        return token

    def change_roles(self, name: str, roles: Iterable[str], by: str) -> DeskMember:
        """Give a person other roles and return the person as before.

        :raises PeopleError: nobody is called so, or the roles cannot be.
        """
        held, now = checked_roles(roles), self._clock()
        with self._database.write() as connection:
            before = self._known(queries.read_member(connection, self.policy_name, name), name)
            queries.refuse_unblinding(before, held)
            queries.change_member(connection, self.policy_name, name, {"roles": written(held)})
            detail = f"from {written(before.roles)} to {written(held)}"
            add_entry(connection, self.policy_name, now, by, "change roles", name, detail)
        return before

    def deactivate(self, name: str, by: str) -> DeskMember:
        """Let a person in no more: sessions end and invitations are revoked; return the person as before.

        :raises PeopleError: nobody is called so.
        """
        now = self._clock()
        with self._database.write() as connection:
            before = self._known(queries.read_member(connection, self.policy_name, name), name)
            queries.change_member(connection, self.policy_name, name, {"active": False})
            ended = queries.end_sessions(connection, self.policy_name, name, now)
            revoked = queries.revoke_invites(connection, self.policy_name, name, now)
            detail = f"sessions ended: {ended}, invitations revoked: {revoked}"
            add_entry(connection, self.policy_name, now, by, "deactivate", name, detail)
        return before

    def invitation(self, token: str) -> Invitation | None:
        """Return what a token is good for, without using it up; None if it is good for nothing (any more)."""
        with self._database.read() as connection:
            return queries.read_invitation(connection, self.policy_name, token, self._clock())

    def invitations(self) -> list[OpenInvitation]:
        """Return the invitations that are good now, the newest first."""
        with self._database.read() as connection:
            return queries.open_invites(connection, self.policy_name, self._clock())

    def revoke_invitations(self, name: str, by: str) -> int:
        """Revoke a person's open invitations and return how many there were."""
        now = self._clock()
        with self._database.write() as connection:
            revoked = queries.revoke_invites(connection, self.policy_name, name, now)
            add_entry(connection, self.policy_name, now, by, "revoke invitations", name, f"revoked: {revoked}")
        return revoked

    def redeem(self, token: str, browser: str = "") -> str | None:
        """Use an invitation up and return the token of a new session; None if it is good for nothing (any more)."""
        now, session = self._clock(), new_token()
        with self._database.write() as connection:
            invitation = queries.use_invite(connection, self.policy_name, token, now)
            if invitation is None:
                return None
            queries.add_session(connection, self.policy_name, invitation.name, session, browser, now)
            detail = f"as {written(invitation.roles)}"
            add_entry(connection, self.policy_name, now, invitation.name, "sign in", invitation.name, detail)
        return session

    def session(self, token: str) -> SignedIn | None:
        """Return the session of a token with its person; None if it is over or the person may no longer come."""
        now = self._clock()
        with self._database.read() as connection:
            signed_in = queries.read_session(connection, self.policy_name, token, now, self._lifetime)
        if signed_in and now - signed_in.session.seen_at > self._lifetime.idle / SEEN_PARTS:
            # A full disk must not keep people from reading: what fails here is tried again at the next visit.
            with suppress(LedgerError), self._database.write() as connection:
                queries.note_seen(connection, token, now)
        return signed_in

    def sessions(self) -> list[Session]:
        """Return the sessions that are good now, by person."""
        with self._database.read() as connection:
            return queries.open_sessions(connection, self.policy_name, self._clock(), self._lifetime)

    def end_session(self, session_id: str, by: str) -> str | None:
        """End one session and return whose it was, None if there was none to end."""
        now = self._clock()
        with self._database.write() as connection:
            name = queries.end_session(connection, self.policy_name, session_id, now)
            if name is not None:
                act = "sign out" if name == by else "end session"
                add_entry(connection, self.policy_name, now, by, act, name, f"session {session_id}")
        return name

    def end_sessions(self, name: str, by: str) -> int:
        """End all sessions of a person and return how many there were."""
        now = self._clock()
        with self._database.write() as connection:
            ended = queries.end_sessions(connection, self.policy_name, name, now)
            add_entry(connection, self.policy_name, now, by, "end all sessions", name, f"ended: {ended}")
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
        with self._database.write() as connection:
            add_entry(connection, self.policy_name, self._clock(), by, act, subject, detail)

    def audit_log(self, which: AuditFilter | None = None, most: int | None = None) -> list[AuditEntry]:
        """Return entries of the audit log, the newest first."""
        with self._database.read() as connection:
            return queries.read_entries(connection, self.policy_name, which or AuditFilter(), most)

    def audit_acts(self) -> list[str]:
        """Return the kinds of acts in the audit log."""
        with self._database.read() as connection:
            return queries.known_acts(connection, self.policy_name)

    def _joined(self, name: str) -> DeskMember | None:
        """Note the first visit and return the person as of then: with these roles the desk was seen."""
        now = self._clock()
        with self._database.write() as connection:
            member = queries.read_member(connection, self.policy_name, name)
            if member is not None and member.active and member.joined_at is None:
                queries.change_member(connection, self.policy_name, name, {"joined_at": now})
                detail = f"as {written(member.roles)}, for the first time, by the word of a proxy"
                add_entry(connection, self.policy_name, now, name, "sign in", name, detail)
        return member

    def _known(self, member: DeskMember | None, name: str) -> DeskMember:
        if member is None:
            raise PeopleError(f"name: nobody called {name!r} was ever invited; invite the person first")
        return member
