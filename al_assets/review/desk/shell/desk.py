"""What every page of the desk needs, in one place."""

from collections.abc import Callable
from dataclasses import dataclass, field

from al_assets.config import Policy
from al_assets.review.desk.people.store import PeopleStore
from al_assets.storage.ledger import Ledger


@dataclass(frozen=True)
class Desk:
    """The desk of one policy.

    :param secret: what cookies, forms and question codes are signed with; 32 bytes that only this desk's host knows.
    :param loop_waits_for: says in a sentence what the loop waits for; None where the desk does not know the loop.
    :param on_sign_out: told the name of each person who signs out.
    """

    policy: Policy
    ledger: Ledger
    people: PeopleStore
    secret: bytes
    loop_waits_for: Callable[[], str] | None = None
    on_sign_out: list[Callable[[str], None]] = field(default_factory=list, compare=False)
