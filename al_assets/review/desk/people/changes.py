"""Changes of people that the ledger must know of: who is a rater."""

from collections.abc import Iterable

from al_assets.review.desk.people.records import checked_name, refuse_confusable
from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.shell.access import Role
from al_assets.storage.ledger import Ledger


def invite(people: PeopleStore, ledger: Ledger, name: str, roles: Iterable[str] | None, by: str) -> str:
    """Invite somebody and return the token of the link; a rater joins the ledger's raters.

    :raises PeopleError: the name or the roles cannot be.
    """
    name = checked_name(name)
    if people.member(name) is None:
        # Also those who vote by files or another tool, and were never invited here.
        refuse_confusable(name, ledger.raters)
    token = people.invite(name, roles, by)
    follow_roles(people, ledger, name, by)
    return token


def change_roles(people: PeopleStore, ledger: Ledger, name: str, roles: Iterable[str], by: str) -> None:
    """Give a person other roles; who is no rater any more leaves the ledger's raters.

    :raises PeopleError: nobody is called so, or the roles cannot be.
    """
    people.change_roles(name, roles, by)
    follow_roles(people, ledger, name, by)


def deactivate(people: PeopleStore, ledger: Ledger, name: str, by: str) -> None:
    """Let a person in no more; a rater leaves, and what waits for the rater's vote is handed on.

    :raises PeopleError: nobody is called so.
    """
    people.deactivate(name, by)
    follow_roles(people, ledger, name, by)


def keep_raters_blind(people: PeopleStore, ledger: Ledger, by: str) -> list[str]:
    """Take whoever holds another role at the desk off the ledger's raters, and return who that was.

    The policy file may have named such a person a rater since.
    """
    known = {each.name for each in people.people() if not (each.active and Role.RATER in each.roles)}
    unfit = [name for name in ledger.raters if name in known]
    for name in unfit:
        people.audit(by, "keep from voting", name, "named a rater by the policy file; deactivated or in another role")
        ledger.change_rater(name, "left", by)
    return unfit


def follow_roles(people: PeopleStore, ledger: Ledger, name: str, by: str) -> None:
    """Make the ledger's raters follow what the desk knows of a person; done again it changes nothing."""
    # Looked at again after a change: another admin may have changed the person meanwhile.
    while (rates := _rates(people, name)) != (name in ledger.raters):
        ledger.change_rater(name, "joined" if rates else "left", by)


def _rates(people: PeopleStore, name: str) -> bool:
    member = people.member(name)
    return member is not None and member.active and Role.RATER in member.roles
