"""``al desk``: where experts label, and who may come."""

import getpass
import logging
import os
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from al_assets.commands.options import JsonOption, PolicyOption, console, fail, print_json, say, steady
from al_assets.config import Policy, load_policy

if TYPE_CHECKING:
    from al_assets.review.desk.people.store import PeopleStore

desk_app = typer.Typer(help="The review desk: serve it, and say who may come.", no_args_is_help=True)
SWITCH_SECONDS = 0.0005
LOCAL = "http://127.0.0.1:8200"
NameArgument = Annotated[str, typer.Argument(help="The name under which the person's votes are recorded.")]
PublicUrlOption = Annotated[
    str | None, typer.Option(help="The address in the raters' browsers; desk.public_url of the policy if left out.")
]


@desk_app.command()
def serve(
    policy: PolicyOption,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for one that is free.")] = 8200,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate with its chain, PEM.")] = None,
    private_key: Annotated[Path | None, typer.Option(help="The certificate's private key, PEM.")] = None,
    public_url: PublicUrlOption = None,
    behind_proxy: Annotated[bool, typer.Option(help="A proxy before the desk takes care of TLS.")] = False,
    access_log: Annotated[bool, typer.Option(help="Write a line for each request.")] = True,
) -> None:
    """Serve the desk of a policy until it is stopped."""
    from al_assets.review.desk.people.store import PeopleStore
    from al_assets.review.desk.security.secret import desk_secret
    from al_assets.review.desk.shell.app import make_app
    from al_assets.review.desk.shell.desk import Desk
    from al_assets.review.desk.shell.server import ListenAt, bound_socket, desk_server, settings_at
    from al_assets.review.desk.shell.server import serve as serve_desk
    from al_assets.storage.ledger import Ledger

    place = ListenAt(host, port, certificate, private_key, behind_proxy)
    as_read = load_policy(policy)
    settings = as_read.model_copy(update={"desk": settings_at(place, as_read.desk, public_url)})
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("al_assets.desk.access").setLevel(logging.INFO if access_log else logging.WARNING)
    # A vote is made durable by a thread that waits its turn in Python dozens of times; the default is for other work.
    sys.setswitchinterval(SWITCH_SECONDS)
    ledgers, stores = Ledger.of(settings, keep_connections=True), PeopleStore.of(settings, keep_connections=True)
    with ledgers as ledger, stores as people:
        app = make_app(Desk(settings, ledger, people, desk_secret(settings), LoopWatch(policy, as_read)))
        server = desk_server(app, place)
        listener = bound_socket(place)
        address = settings.desk.public_url or place.origin(listener.getsockname()[1])
        say(f"The desk of {settings.policy.name} is at {address}")
        if not people.people():
            say(f"Nobody was invited yet. Make the first admin's link: {_first_invitation(policy, address)}")
        serve_desk(server, listener)


@desk_app.command()
def invite(
    name: NameArgument,
    policy: PolicyOption,
    role: Annotated[
        list[str] | None,
        typer.Option(help="rater, adjudicator, policy owner or admin; may be repeated. A rater holds no other."),
    ] = None,
    public_url: PublicUrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a link that signs a person in, once; somebody who is known gets a new one."""
    from al_assets.review.desk.people import changes
    from al_assets.review.desk.people.store import PeopleStore
    from al_assets.review.desk.shell.server import ListenAt, settings_at
    from al_assets.storage.ledger import Ledger

    settings = load_policy(policy)
    origin = settings_at(ListenAt(), settings.desk, public_url).public_url or LOCAL
    with Ledger.of(settings) as ledger, PeopleStore.of(settings) as people:
        link = f"{origin}/join/{changes.invite(people, ledger, name, role, _by())}"
    if as_json:
        print_json({"name": name, "link": link})
        return
    say(link)
    say(f"Good once, for {settings.desk.invite_hours:g} hours; send it to nobody but {name}.")


@desk_app.command()
def people(policy: PolicyOption, as_json: JsonOption = False) -> None:
    """List who was invited, as what, and where they are signed in."""
    from al_assets.review.desk.people.records import written

    settings = load_policy(policy)
    with _store(settings) as store:
        members, sessions = store.people(), store.sessions()
    if as_json:
        signed_in = {person.name: [asdict(one) for one in sessions if one.name == person.name] for person in members}
        print_json(
            [
                {**asdict(person), "roles": sorted(person.roles), "sessions": signed_in[person.name]}
                for person in members
            ]
        )
        return
    table = Table("name", "roles", "state", "browsers")
    for person in members:
        state = "deactivated" if not person.active else "has been here" if person.joined_at else "invited"
        browsers = sum(session.name == person.name for session in sessions)
        table.add_row(Text(person.name), written(person.roles), state, str(browsers))
    console.print(table)


@desk_app.command()
def revoke(
    name: NameArgument,
    policy: PolicyOption,
    sign_out_only: Annotated[bool, typer.Option(help="Only sign the person out everywhere.")] = False,
) -> None:
    """Let a person in no more; a rater's open questions are handed on."""
    from al_assets.review.desk.people import changes
    from al_assets.review.desk.people.records import checked_name
    from al_assets.storage.ledger import Ledger

    settings, name = load_policy(policy), checked_name(name)
    with _store(settings) as store:
        if store.member(name) is None:
            fail(f"name: nobody called {name!r} was ever invited; see 'al desk people'")
        if sign_out_only:
            say(f"{name}: sessions ended: {store.end_sessions(name, _by())}")
            return
        with Ledger.of(settings) as ledger:
            changes.deactivate(store, ledger, name, _by())
    say(f"{name} is signed out and let in no more; 'al desk invite' takes that back")


@desk_app.command("audit-log")
def audit_log(
    policy: PolicyOption,
    by: Annotated[str | None, typer.Option(help="Only what this person did.")] = None,
    act: Annotated[str | None, typer.Option(help="Only acts of this kind, such as invite.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only what was done to this person or thing.")] = None,
    most: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List privileged acts, the newest first."""
    from al_assets.review.desk.people.records import AuditFilter

    with _store(load_policy(policy)) as store:
        acts = store.audit_log(AuditFilter(by, act, subject), most)
    if as_json:
        print_json([asdict(one) for one in acts])
        return
    table = Table("when (UTC)", "by", "act", "subject", "detail")
    for one in acts:
        texts = (one.by, one.act, one.subject, one.detail)
        table.add_row(f"{one.at:%Y-%m-%d %H:%M:%S}", *(Text(steady(text)) for text in texts))
    console.print(table)


class LoopWatch:
    """Says what the loop waits for, as it was some seconds ago; looking takes no time of who asks.

    Dagster is imported by the first look, so that a desk whose dashboard nobody opens does without it. It also says
    when the policy file was edited since, as a desk goes by what it read when it was started.
    """

    def __init__(self, policy: Path, started_with: Policy | None = None, seconds: float = 10) -> None:
        self._policy = policy
        self._started_with = started_with
        self._seconds = seconds
        self._said = "The loop is being looked at."
        self._looked_at = float("-inf")
        self._looking = threading.Lock()

    def __call__(self) -> str:
        """Return the sentence, and look again behind it if it is old."""
        is_old = time.monotonic() - self._looked_at > self._seconds
        if is_old and self._looking.acquire(blocking=False):
            threading.Thread(target=self._look, name="loop", daemon=True).start()
        return self._said

    def _look(self) -> None:
        try:
            from al_assets.assets.resource import LoopResource
            from al_assets.automation.status import loop_status

            loop = LoopResource(policy_path=str(self._policy))
            said = loop_status(loop).next
            if self._started_with not in (None, loop.policy):
                said += ". The policy file was edited since this desk was started: start it again."
            self._said = said
        except Exception as error:
            # Whatever keeps the loop from being looked at, the desk goes on.
            self._said = f"The loop cannot be looked at: {error}"
        finally:
            self._looked_at = time.monotonic()
            self._looking.release()


def _store(settings: Policy) -> "PeopleStore":
    from al_assets.review.desk.people.store import PeopleStore

    return PeopleStore.of(settings)


def _by() -> str:
    from al_assets.review.desk.people.records import BY_COMMAND

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a number that no file gives a name.
        user = f"user {os.getuid()}"
    return user + BY_COMMAND


def _first_invitation(policy: Path, address: str) -> str:
    return f"al desk invite NAME --role admin -p {policy} --public-url {address}"
