"""``al label-studio``: the queue out to a Label Studio project, and the raters' annotations in."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from al_assets.commands.options import JsonOption, PolicyOption, print_json, say
from al_assets.config import load_policy

label_studio_app = typer.Typer(help="Label with Label Studio: push questions, pull votes.", no_args_is_help=True)
SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", help="The settings file; label_studio.yaml beside the policy file if left out."),
]


@label_studio_app.command("push")
def push_questions(
    policy: PolicyOption,
    iteration: Annotated[str, typer.Option(help="The iteration whose questions are asked, such as 0000.")],
    settings: SettingsOption = None,
    webhook_url: Annotated[
        str | None, typer.Option(help="Where the desk is called, such as https://desk.example.org/hooks/label-studio.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make or update the policy's project and add the questions that it lacks."""
    from al_assets.review.label_studio.connection import load_settings, settings_path
    from al_assets.review.label_studio.push import push
    from al_assets.storage.ledger import Ledger

    loaded = load_policy(policy)
    with Ledger.of(loaded) as ledger:
        report = push(ledger, loaded, load_settings(settings or settings_path(loaded)), iteration, webhook_url)
    if as_json:
        print_json(asdict(report))
        return
    if report.pulled:
        say(f"the policy has changed since the last push, so first: {report.pulled}")
    say(str(report))


@label_studio_app.command("pull")
def pull_votes(
    policy: PolicyOption,
    settings: SettingsOption = None,
    withdraw_deleted: Annotated[
        bool, typer.Option(help="Take back votes whose annotations were deleted or skipped there since.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Record what the raters submitted; pulled again it counts once."""
    from al_assets.review.label_studio.connection import load_settings, settings_path
    from al_assets.review.label_studio.pull import pull
    from al_assets.storage.ledger import Ledger

    loaded = load_policy(policy)
    with Ledger.of(loaded) as ledger:
        report = pull(
            ledger, loaded, load_settings(settings or settings_path(loaded)), withdraw_deleted=withdraw_deleted
        )
    if as_json:
        print_json(asdict(report))
    else:
        say(str(report))
        for rejection in report.votes.rejected:
            say(f"  annotation {rejection.row}: {rejection.reason}")
        for gone in report.gone:
            say(f"  annotation {gone.annotation}: vote of {gone.rater} about item {gone.item_id} of {gone.iteration}")
    raise typer.Exit(1 if report.votes.rejected else 0)
