"""``al labels`` and ``al label-studio``: questions out and votes in, by files or with Label Studio."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from al_assets.commands.options import JsonOption, PolicyOption, console, fail, frame_table, print_json, say
from al_assets.config import load_policy
from al_assets.review.files import Format

labels_app = typer.Typer(
    help="Votes in and out: CSV, JSONL or Parquet, or as Argilla and Prodigy have them.", no_args_is_help=True
)
PathArgument = Annotated[Path, typer.Argument(help="Where to write; .csv, .jsonl or .parquet.")]
FormOption = Annotated[
    Format, typer.Option("--format", help="Whose form the file has: plain is a sheet with one row a vote.")
]


@labels_app.command("import")
def import_labels(
    file: Annotated[list[Path], typer.Argument(help="Files of votes: item_id, rater, label.")],
    policy: PolicyOption,
    form: FormOption = Format.PLAIN,
    rater: Annotated[
        list[str] | None, typer.Option(help="Who a user of the other tool is: USER=RATER; once for each.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Record the votes of files; bad rows are listed, good ones are kept."""
    from al_assets.review.files.formats import import_from
    from al_assets.review.files.vote_files import UnreadableFileError
    from al_assets.storage.ledger import Ledger

    reports, settings, raters = [], load_policy(policy), _raters(rater or [])
    with Ledger.of(settings) as ledger:
        for path in file:
            try:
                reports.append(import_from(form, path, ledger, settings, raters))
            except UnreadableFileError as error:
                fail(str(error))
    if as_json:
        print_json([asdict(report) for report in reports])
    for report in reports if not as_json else ():
        say(str(report))
        for rejection in report.rejected:
            say(f"  row {rejection.row}: {rejection.reason}")
    raise typer.Exit(1 if any(report.rejected for report in reports) else 0)


@labels_app.command("export")
def export_labels(
    path: Annotated[
        Path, typer.Argument(help="Where to write; .csv, .jsonl or .parquet; argilla: .json; prodigy: .jsonl.")
    ],
    policy: PolicyOption,
    iteration: Annotated[str | None, typer.Option(help="Write this iteration's blind sheet of questions.")] = None,
    rater: Annotated[str | None, typer.Option(help="Only what this rater has not answered.")] = None,
    form: FormOption = Format.PLAIN,
    as_json: JsonOption = False,
) -> None:
    """Write all votes that count or, with --iteration, the sheet of questions for the raters."""
    from al_assets.review.files.formats import export_answers, export_questions
    from al_assets.storage.ledger import Ledger

    settings = load_policy(policy)
    with Ledger.of(settings) as ledger:
        if iteration is None:
            rows = export_answers(form, ledger, settings, path)
        else:
            rows = export_questions(form, ledger, settings, iteration, path, rater)
    _written(path, rows, as_json)


@labels_app.command()
def gaps(path: PathArgument, policy: PolicyOption, as_json: JsonOption = False) -> None:
    """Write the items that raters could not decide, with their comments, for the policy's owner."""
    from al_assets.review.files.exchange import export_policy_gaps
    from al_assets.storage.ledger import Ledger

    with Ledger.of(load_policy(policy)) as ledger:
        rows = export_policy_gaps(ledger, path)
    _written(path, rows, as_json)


@labels_app.command("ask-again")
def ask_again(
    policy: PolicyOption,
    most: Annotated[int, typer.Option(min=1, help="Show at most so many votes.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List votes to learn from that are more likely wrong than right, by the other raters and the newest student.

    Agreement goes on resting on the first answers; items that only measure are never listed.
    """
    import polars as pl

    from al_assets.agreement.raters.ask_again import votes_to_ask_again
    from al_assets.storage.ledger import Ledger
    from al_assets.storage.root import RunRoot

    settings = load_policy(policy)
    root = RunRoot(settings.root)
    keys = root.table_keys("evaluation_scores")
    if not keys:
        fail("evaluation_scores: there is no student yet; run learn once")
    # Only scores of students that were not trained on the item.
    scores = (
        root.read_table("evaluation_scores", keys[-1])
        .filter(pl.col("role").is_in(["evaluation", "out_of_fold"]))
        .select("item_id", p_positive="p_student")
        .unique("item_id", maintain_order=True)
    )
    with Ledger.of(settings) as ledger:
        # Whoever sees the list knows what the student makes of the answers.
        votes = ledger.expert_labels(ledger.iterations(), ledger.note_reading())
    try:
        scored = votes.join(scores, on="item_id", how="semi")
        doubtful, held_out = votes_to_ask_again(scored, scores, root.read_table("label_split", keys[-1]))
    except ValueError as error:
        fail(str(error))
    if as_json:
        print_json({"votes": doubtful.to_dicts(), "held_out": held_out})
        return
    console.print(frame_table(doubtful.head(most), f"{min(most, doubtful.height)} of {doubtful.height} votes"))
    if held_out:
        say(
            f"{held_out} doubtful votes on items that only measure are left out: to correct there what contradicts the "
            "student would raise every kappa, whoever is right"
        )
    say("agreement goes on resting on the first answers; what is corrected now counts for training")


@labels_app.command("second-look")
def second_look(
    policy: PolicyOption,
    most: Annotated[int, typer.Option(min=1, help="Show at most so many votes.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the votes cast under an older text of the policy, those most in doubt first."""
    from al_assets.review.policy_versions import second_look_now, version_notes
    from al_assets.storage.ledger import Ledger

    settings = load_policy(policy)
    votes = second_look_now(settings)
    with Ledger.of(settings) as ledger:
        notes = version_notes(ledger, settings)
    if as_json:
        print_json({"notes": notes, "votes": votes.to_dicts()})
        return
    for note in notes:
        say(note)
    if not votes.height:
        say("every vote that counts was cast under the policy's present text")
        return
    shown = votes.head(most).select("rank", "item_id", "rater", "label", "policy_version", "p_positive", "text")
    console.print(frame_table(shown, f"{min(most, votes.height)} of {votes.height} votes; --json has all columns"))
    say(
        "to measure agreement under the present text, have all evaluation items read again, not only the first of these"
    )


def _raters(given: list[str]) -> dict[str, str]:
    pairs = [each.rpartition("=") for each in given]
    if wrong := [each for each, (user, _, name) in zip(given, pairs, strict=True) if not user or not name]:
        fail(f"--rater: {wrong[0]!r} is not USER=RATER, such as 7c9e6679-7425-40de-944b-e07fc1f90ae7=anna")
    return {user: name for user, _, name in pairs}


def _written(path: Path, rows: int, as_json: bool) -> None:
    if as_json:
        print_json({"path": str(path), "rows": rows})
    else:
        say(f"{path}: {rows} rows")


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
    from al_assets.review.label_studio.client import load_settings, settings_path
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
    from al_assets.review.label_studio.client import load_settings, settings_path
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
