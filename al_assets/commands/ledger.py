"""``al ledger``: the database of votes."""

from dataclasses import asdict
from typing import Annotated

import typer

from al_assets.commands.options import JsonOption, PolicyOption, print_json, say
from al_assets.config import load_policy

ledger_app = typer.Typer(help="The ledger: the database of queues, votes and the desk's people.", no_args_is_help=True)


@ledger_app.callback()
def ledger() -> None:
    """Keep ``upgrade`` a command of its own: a group with one command only would be that command."""


@ledger_app.command()
def upgrade(
    policy: PolicyOption,
    copy: Annotated[bool, typer.Option(help="Keep a copy of the tables as they were.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Bring the ledger's database to the schema version that this program needs, all at once or not at all."""
    from al_assets.storage.ledger.upgrade import upgrade_ledger

    done = upgrade_ledger(load_policy(policy).ledger_url, copy=copy)
    if as_json:
        print_json(asdict(done))
        return
    if done.before is None:
        say("The database is empty: nothing to do. Its tables are made when the ledger is first opened.")
    elif done.before == done.after:
        say(f"The ledger is of schema version {done.after} already: nothing to do.")
    else:
        say(f"Upgraded the ledger from schema version {done.before} to {done.after}.")
        say(f"The tables as they were: {done.copy or 'no copy was made'}")
        say("Rows, as many as before: " + ", ".join(f"{name} {rows}" for name, rows in done.rows.items()))
        say("Start the desk and Dagster again where they run with an older program.")
