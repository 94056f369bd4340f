"""What the desk knows of people, and which names and roles it takes."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from al_assets.review.desk.shell.access import Person, Role

MAX_NAME = 100
# The audit log calls those so who act by commands; nobody at the desk may pass for one of them.
BY_COMMAND = " (command line)"

# In this order: most browsers also claim to be those that stand below them.
_BROWSERS = (("Firefox/", "Firefox"), ("Edg/", "Edge"), ("OPR/", "Opera"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


class PeopleError(ValueError):
    """A change of people was refused; the message says why and what to do instead."""


@dataclass(frozen=True)
class DeskMember:
    """Somebody who was invited.

    :param joined_at: the first sign-in; None before it.
    """

    name: str
    roles: frozenset[Role]
    active: bool
    invited_at: datetime
    joined_at: datetime | None

    @property
    def person(self) -> Person:
        """The same as pages see it."""
        return Person(self.name, self.roles)


@dataclass(frozen=True)
class Invitation:
    """An invitation that is good now; its token nobody can read again."""

    name: str
    roles: frozenset[Role]
    invited_by: str
    made_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Session:
    """A sign-in that is good now.

    :param session_id: what pages call it; it opens nothing.
    """

    session_id: str
    name: str
    browser: str
    started_at: datetime
    seen_at: datetime

    @property
    def browser_name(self) -> str:
        """The browser in short."""
        return browser_name(self.browser)


@dataclass(frozen=True)
class SignedIn:
    """A good session and whose it is."""

    session: Session
    member: DeskMember


@dataclass(frozen=True)
class AuditEntry:
    """A privileged act."""

    seq: int
    at: datetime
    by: str
    act: str
    subject: str
    detail: str


@dataclass(frozen=True)
class AuditFilter:
    """Which entries of the log are asked for; None and empty stand for all.

    :param before: only entries older than this ``seq``.
    """

    by: str | None = None
    act: str | None = None
    subject: str | None = None
    before: int | None = None


def checked_name(name: str) -> str:
    """Return a name in Unicode's composed form, without blanks around it.

    :raises PeopleError: it is empty, too long, or holds characters that cannot be seen.
    """
    checked = unicodedata.normalize("NFC", name).strip()
    if not checked:
        raise PeopleError("name: empty; give the name under which the person's votes are recorded")
    if len(checked) > MAX_NAME:
        raise PeopleError(f"name: {len(checked)} characters; at most {MAX_NAME} are taken")
    # Control characters, changes of direction, halves of surrogate pairs: two names must never look alike for them.
    if not checked.isprintable():
        raise PeopleError(f"name: {ascii(checked)} holds a character that cannot be seen; remove it")
    if likeness(checked).endswith(likeness(BY_COMMAND)):
        raise PeopleError(f"name: {checked!r} ends as the audit log calls those who act by commands; choose another")
    return checked


def likeness(name: str) -> str:
    """Return what two names share that are easily taken for each other: capitals, widths, ligatures, blanks."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def refuse_confusable(name: str, known: Iterable[str]) -> None:
    """Keep two names apart.

    :raises PeopleError: the name is another than a known one, and easily taken for it.
    """
    for other in known:
        if other != name and likeness(other) == likeness(name):
            raise PeopleError(f"name: {name!r} and {other!r}, who is known, are easily confused; choose another")


def checked_roles(roles: Iterable[str]) -> frozenset[Role]:
    """Return roles that one person may hold together.

    :raises PeopleError: there is none, one is unknown, or a rater would hold another.
    """
    known = {role.value for role in Role}
    asked = list(roles)
    for role in asked:
        if role not in known:
            raise PeopleError(f"role: {role!r} is unknown; expected one of {', '.join(sorted(known))}")
    held = frozenset(Role(role) for role in asked)
    if not held:
        raise PeopleError(f"role: none given; expected one of {', '.join(sorted(known))}")
    if Role.RATER in held and len(held) > 1:
        others = ", ".join(sorted(held - {Role.RATER}))
        raise PeopleError(
            f"role: a rater cannot also be {others}: those pages show votes and model output, and a rater must be "
            "blind; give the other role to somebody else"
        )
    return held


def written(roles: Iterable[Role]) -> str:
    """Return roles as text, in a fixed order."""
    held = set(roles)
    return ", ".join(role.value for role in Role if role in held)


def browser_name(user_agent: str) -> str:
    """Return a short name, such as ``Firefox on Linux``; what is not known is cut to 40 characters."""
    browser = next((name for sign, name in _BROWSERS if sign in user_agent), None)
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), None)
    if browser is None:
        return user_agent[:40] or "unknown"
    return browser if system is None else f"{browser} on {system}"
