"""Who may vote: those the policy file names, those who joined since, without those who left."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, get_args

from sqlalchemy import Connection, insert, select

from al_assets.storage.ledger.tables import RATER_CHANGES
from al_assets.storage.ledger.votes import is_storable

Change = Literal["joined", "left"]
CHANGES: tuple[str, ...] = get_args(Change)


def raters_of(connection: Connection, policy: str, named: Sequence[str]) -> tuple[str, ...]:
    """Return who may vote now: those named in their order, then those who joined, in the order of joining.

    :param named: the raters of the policy file; who of them left may come back by joining.
    """
    query = select(RATER_CHANGES.c.rater, RATER_CHANGES.c.change).where(RATER_CHANGES.c.policy == policy)
    present = dict.fromkeys(named, True)
    for rater, change in connection.execute(query.order_by(RATER_CHANGES.c.id)):
        present[rater] = change == "joined"
    return tuple(rater for rater, is_there in present.items() if is_there)


def record_change(
    connection: Connection, policy: str, named: Sequence[str], rater: str, change: Change, by: str
) -> None:
    """Record that a rater joined or left, unless that is so already; the connection holds the write lock.

    :raises ValueError: the change is unknown, or a name is empty or not storable.
    """
    if change not in CHANGES:
        raise ValueError(f"change: {change!r} is unknown; expected one of {', '.join(CHANGES)}")
    for field, name in (("rater", rater), ("by", by)):
        if not name.strip() or not is_storable(name):
            raise ValueError(f"{field}: {name!r} is no name; give one that is not empty and holds text only")
    if (rater in raters_of(connection, policy, named)) == (change == "joined"):
        return
    row = {"policy": policy, "rater": rater, "change": change, "changed_by": by, "changed_at": datetime.now(UTC)}
    connection.execute(insert(RATER_CHANGES), [row])
