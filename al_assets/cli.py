"""The command ``al``."""

import os
import sys
import warnings

import typer

from al_assets.commands import results, start
from al_assets.commands.demo import demo, demo_desk
from al_assets.commands.desk import desk_app
from al_assets.commands.labels import label_studio_app, labels_app
from al_assets.commands.ledger import ledger_app
from al_assets.commands.options import fail
from al_assets.commands.study import study_app
from al_assets.config import PolicyError

app = typer.Typer(
    help="Curate expert labels for an ambiguous policy, and know what they are worth.", no_args_is_help=True
)
START, LOOP, LABELS, READ, STUDY = "To begin", "The loop", "Labels", "What came out", "Before and beside"
# In the order of work; every command has one example.
for panel, command, example in (
    (START, demo, "al demo --student linear"),
    (START, demo_desk, "al demo-desk"),
    (START, start.init, "al init policy.yaml"),
    (START, start.check, "al check -p policy.yaml"),
    (LOOP, start.status, "al status -p policy.yaml"),
    (LOOP, results.plan, "al plan -p policy.yaml"),
    (READ, results.report, "al report -p policy.yaml"),
    (READ, results.explain, "al explain model_expert_kappa --scope audit -p policy.yaml"),
    (READ, results.why, "al why ITEM -p policy.yaml"),
    (READ, results.raters, "al raters -p policy.yaml"),
):
    app.command(rich_help_panel=panel, epilog=f"Example: {example}")(command)
for panel, group, name, example in (
    (LABELS, desk_app, "desk", "al desk serve -p policy.yaml"),
    (LABELS, labels_app, "labels", "al labels export queue.csv -p policy.yaml"),
    (LABELS, label_studio_app, "label-studio", "al label-studio push -p policy.yaml"),
    (STUDY, study_app, "study", "al study run studies/smoke.yaml"),
    (STUDY, ledger_app, "ledger", "al ledger upgrade -p policy.yaml"),
):
    app.add_typer(group, name=name, rich_help_panel=panel, epilog=f"Example: {example}")


def main() -> None:
    """Run the command; what a user can mend is said in a line, without a traceback."""
    if not sys.warnoptions:
        # Whoever wants to see what libraries deprecate says so: python -W default -m al_assets.cli
        warnings.simplefilter("ignore")
    # Loading bars and remarks of libraries, in this process and in those that train.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        app()
    except (PolicyError, OSError, ValueError) as error:
        fail(str(error))


if __name__ == "__main__":
    main()
