"""Invitations: links that are good once, for a while."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from al_assets.review.desk.people.members import change_member, roles_of
from al_assets.review.desk.people.records import Invitation, OpenInvitation
from al_assets.review.desk.people.tables import INVITES, PEOPLE
from al_assets.review.desk.security.tokens import token_hash


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
        .where(INVITES.c.token_hash == token_hash(token), PEOPLE.c.active, *_good(policy, now))
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Invitation(row.name, roles_of(row.roles), row.expires_at)


def use_invite(connection: Connection, policy: str, token: str, now: datetime) -> Invitation | None:
    """Use an invitation up and return it; None if it is good for nothing (any more)."""
    found = read_invitation(connection, policy, token, now)
    if found is None:
        return None
    used = update(INVITES).where(INVITES.c.token_hash == token_hash(token), *_good(policy, now)).values(used_at=now)
    if connection.execute(used).rowcount != 1:
        return None
    first = select(PEOPLE.c.joined_at).where(PEOPLE.c.policy == policy, PEOPLE.c.name == found.name)
    if connection.execute(first).scalar_one() is None:
        change_member(connection, policy, found.name, {"joined_at": now})
    return found


def open_invites(connection: Connection, policy: str, now: datetime) -> list[OpenInvitation]:
    """Return the invitations that are good now, the newest first."""
    query: Select[Any] = select(INVITES).where(*_good(policy, now)).order_by(INVITES.c.made_at.desc())
    rows = connection.execute(query)
    return [OpenInvitation(row.name, row.invited_by, row.made_at, row.expires_at) for row in rows]


def revoke_invites(connection: Connection, policy: str, name: str, now: datetime) -> int:
    """Revoke a person's open invitations and return how many there were."""
    query = update(INVITES).where(INVITES.c.name == name, *_good(policy, now)).values(revoked_at=now)
    return int(connection.execute(query).rowcount)


def _good(policy: str, now: datetime) -> tuple[Any, ...]:
    return (
        INVITES.c.policy == policy,
        INVITES.c.used_at.is_(None),
        INVITES.c.revoked_at.is_(None),
        INVITES.c.expires_at > now,
    )
