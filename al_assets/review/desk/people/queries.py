"""What transactions on people have in common: reading and writing people, links and the audit log.

Of the audit log rows are only ever added: triggers refuse anything else.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, insert, select, update

from al_assets.review.desk.people.records import DeskMember, Invitation
from al_assets.review.desk.security.secret import token_hash
from al_assets.review.desk.shell.access import Role
from al_assets.storage.ledger.sql_tables import AUDIT, INVITES, PEOPLE, SESSIONS

MAX_DETAIL = 10_000


class PeopleRows:
    """The rows of one policy's desk, as of one moment.

    :param connection: of the transaction; writing methods need one that may write.
    :param now: what is good now is good at this time, and what is written carries it.
    """

    def __init__(self, connection: Connection, policy: str, now: datetime) -> None:
        self.connection = connection
        self.policy = policy
        self.now = now

    def members(self, *which: ColumnElement[bool]) -> list[DeskMember]:
        """Return everybody ever invited, or those of some rows, by name."""
        query = select(PEOPLE).where(PEOPLE.c.policy == self.policy, *which).order_by(PEOPLE.c.name)
        return [member_of(row) for row in self.connection.execute(query)]

    def member(self, name: str) -> DeskMember | None:
        """Return one person, None if nobody of that name was ever invited."""
        return next(iter(self.members(PEOPLE.c.name == name)), None)

    def change_member(self, name: str, **values: object) -> None:
        """Set columns of one person."""
        changed = update(PEOPLE).where(PEOPLE.c.policy == self.policy, PEOPLE.c.name == name).values(values)
        self.connection.execute(changed)

    def insert(self, table: Table, **values: object) -> None:
        """Add a row."""
        self.connection.execute(insert(table).values(policy=self.policy, **values))

    def invitations(self, *which: ColumnElement[bool]) -> list[Invitation]:
        """Return the invitations that are good now, or some of them, the newest first."""
        query = (
            select(INVITES, PEOPLE.c.roles)
            .join(PEOPLE, (PEOPLE.c.policy == INVITES.c.policy) & (PEOPLE.c.name == INVITES.c.name))
            .where(*self.good_invitation(), *which)
            .order_by(INVITES.c.made_at.desc())
        )
        return [
            Invitation(row.name, roles_of(row.roles), row.invited_by, row.made_at, row.expires_at)
            for row in self.connection.execute(query)
        ]

    def invitation(self, token: str) -> Invitation | None:
        """Return the invitation of a token, None if it is unknown, used, revoked or too old."""
        return next(iter(self.invitations(INVITES.c.token_hash == token_hash(token), PEOPLE.c.active)), None)

    def revoke_invitations(self, name: str) -> int:
        """Revoke a person's open invitations and return how many there were."""
        good = (INVITES.c.name == name, *self.good_invitation())
        return int(self.connection.execute(update(INVITES).where(*good).values(revoked_at=self.now)).rowcount)

    def end_sessions(self, name: str) -> int:
        """End all sessions of a person and return how many there were."""
        which = (SESSIONS.c.policy == self.policy, SESSIONS.c.name == name, SESSIONS.c.ended_at.is_(None))
        return int(self.connection.execute(update(SESSIONS).where(*which).values(ended_at=self.now)).rowcount)

    def note(self, by: str, act: str, subject: str, detail: str) -> None:
        """Add an entry to the audit log."""
        self.insert(AUDIT, at=self.now, by=by, act=act, subject=subject, detail=storable(detail))

    def good_invitation(self) -> tuple[ColumnElement[bool], ...]:
        """Return what holds of an invitation that can be used."""
        return (
            INVITES.c.policy == self.policy,
            INVITES.c.used_at.is_(None),
            INVITES.c.revoked_at.is_(None),
            INVITES.c.expires_at > self.now,
        )


def roles_of(text: str) -> frozenset[Role]:
    """Return roles that ``written`` wrote."""
    return frozenset(Role(each) for each in text.split(", "))


def member_of(row: Row[Any]) -> DeskMember:
    """Return the person of a row."""
    return DeskMember(row.name, roles_of(row.roles), row.active, row.invited_at, row.joined_at)


def storable(text: str) -> str:
    """Return a text as the audit log keeps it."""
    # PostgreSQL has no NUL in text, and half of a surrogate pair has no UTF-8 form.
    clean = text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= MAX_DETAIL else clean[: MAX_DETAIL - 1] + "…"
