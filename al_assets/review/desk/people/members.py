"""Reading and writing people: every function works on a connection that the store has opened."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from al_assets.review.desk.people.records import Member, PeopleError, refuse_confusable, written
from al_assets.review.desk.people.tables import PEOPLE
from al_assets.review.desk.shell.access import Role


def read_members(connection: Connection, policy: str) -> list[Member]:
    """Return everybody ever invited, by name."""
    query = select(PEOPLE).where(PEOPLE.c.policy == policy).order_by(PEOPLE.c.name)
    return [member_of(row) for row in connection.execute(query)]


def read_member(connection: Connection, policy: str, name: str) -> Member | None:
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


def refuse_unblinding(member: Member, roles: frozenset[Role]) -> None:
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


def member_of(row: Row[Any]) -> Member:
    """Return the person of a row that has the columns of PEOPLE."""
    return Member(row.name, roles_of(row.roles), row.active, row.invited_at, row.joined_at)
