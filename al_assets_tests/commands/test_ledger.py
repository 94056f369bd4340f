"""``al ledger``: what the upgrade says."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from al_assets.cli import app
from al_assets.config import load_policy
from al_assets.storage.ledger import Ledger
from al_assets_tests.support.command_line import al
from al_assets_tests.support.ledger import unnumbered_sqlite
from al_assets_tests.support.policies import policy_content, write


@pytest.fixture
def policy(tmp_path: Path) -> str:
    (tmp_path / "runs" / "spam").mkdir(parents=True)
    return str(write(tmp_path, "policy.yaml", json.dumps(policy_content(storage={"root": "runs"}))))


def test_an_upgrade_says_what_it_did(policy: str, tmp_path: Path) -> None:
    unnumbered_sqlite(tmp_path / "runs" / "spam" / "ledger.sqlite")
    refused = CliRunner().invoke(app, ["labels", "gaps", "-p", policy, str(tmp_path / "gaps.csv")])
    assert "run 'al ledger upgrade'" in str(refused.exception)
    upgraded, copied, rows, again = al("ledger", "upgrade", "-p", policy).splitlines()
    assert upgraded == "Upgraded the ledger from schema version 0 to 4."
    (copy,) = (tmp_path / "runs" / "spam").glob("ledger.sqlite.version-0.*")
    assert copied == f"The tables as they were: {copy}"
    assert rows.startswith("Rows, as many as before: adjudications 4, desk_audit 26, ")
    assert rows.endswith(", votes 22")
    assert again == "Start the desk and Dagster again where they run with an older program."
    with Ledger.of(load_policy(policy)) as ledger:
        assert ledger.history().height == 21
    assert al("ledger", "upgrade", "-p", policy) == "The ledger is of schema version 4 already: nothing to do.\n"


def test_it_says_so_to_machines_too_and_copies_only_if_it_should(policy: str, tmp_path: Path) -> None:
    nothing: dict[str, object] = {"before": None, "after": None, "copy": None, "rows": {}}
    assert json.loads(al("ledger", "upgrade", "-p", policy, "--json")) == nothing
    assert not list((tmp_path / "runs" / "spam").iterdir())
    assert al("ledger", "upgrade", "-p", policy).startswith("The database is empty: nothing to do.")
    unnumbered_sqlite(tmp_path / "runs" / "spam" / "ledger.sqlite")
    done = json.loads(al("ledger", "upgrade", "-p", policy, "--no-copy", "--json"))
    assert (done["before"], done["after"], done["copy"], done["rows"]["votes"]) == (0, 4, None, 22)
    assert not list((tmp_path / "runs" / "spam").glob("*version*"))
