"""What all commands share: options, the console, JSON, errors in a line."""

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from al_assets.config import POLICY_VARIABLE
from al_assets.formatting import decimal

if TYPE_CHECKING:
    import polars as pl

console = Console(emoji=False)
# Escape sequences and changes of direction.
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

PolicyOption = Annotated[Path, typer.Option("--policy", "-p", envvar=POLICY_VARIABLE, help="The policy file.")]
IterationOption = Annotated[str | None, typer.Option(help="Such as 0002; the newest one with a report if left out.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]


def fail(message: str) -> NoReturn:
    """End with an error message and exit status 1."""
    Console(stderr=True, emoji=False).print(f"[red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    sys.exit(1)


def steady(text: str) -> str:
    """Return a text in which nothing steers the terminal: what a user wrote could clear it, or forge what is shown."""
    return _STEERING.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def say(text: str) -> None:
    """Print a line as it is."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value as JSON; dates and paths as text."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def frame_table(frame: "pl.DataFrame", title: str | None = None) -> Table:
    """Return a frame as a table for the terminal; numbers with three decimals, nulls empty."""
    table = Table(*frame.columns, title=title, title_justify="left")
    for row in frame.iter_rows():
        # A cell may hold what a user wrote, which is never markup.
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return decimal(value, 3, missing="") if isinstance(value, float) else str(value)
