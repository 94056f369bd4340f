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
for command in (
    *(start.init, start.check, start.status, demo, demo_desk),
    *(results.report, results.explain, results.plan, results.raters, results.why),
):
    app.command()(command)
app.add_typer(labels_app, name="labels")
app.add_typer(label_studio_app, name="label-studio")
app.add_typer(desk_app, name="desk")
app.add_typer(ledger_app, name="ledger")
app.add_typer(study_app, name="study")


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
