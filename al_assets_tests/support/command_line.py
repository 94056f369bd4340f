"""The command ``al``, run in this process."""

from typer.testing import CliRunner

from al_assets.cli import app


def al(*arguments: str) -> str:
    """Run a command that must succeed, and return what it prints."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    return result.output
