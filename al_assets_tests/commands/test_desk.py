"""``al desk``: people and the log from the command line, and what the loop waits for."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from al_assets.cli import app
from al_assets.commands.desk import LoopWatch
from al_assets.config import load_policy
from al_assets.review.desk.people.store import PeopleStore
from al_assets.storage.ledger import Ledger
from al_assets_tests.support.command_line import al

POLICY = """
policy: {name: spam, question: "Spam?", guideline: "Spam sells."}
pool: {path: pool.jsonl}
labeler: {kind: functions, functions: ["module:function"]}
embedding: {model: m}
review: {raters: [anna, ben]}
student: {kind: linear, embedding: {model: m}}
storage: {root: runs}
"""


@pytest.fixture
def policy(tmp_path: Path) -> str:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return str(tmp_path / "policy.yaml")


def test_the_first_admin_is_invited_from_the_command_line(policy: str) -> None:
    link, note = al("desk", "invite", "ada", "--role", "admin", "-p", policy).splitlines()
    assert link.startswith("http://127.0.0.1:8200/join/")
    assert note == "Good once, for 72 hours; send it to nobody but ada."
    again = json.loads(al("desk", "invite", "ada", "-p", policy, "--public-url", "https://desk.example.org", "--json"))
    assert again["link"].startswith("https://desk.example.org/join/")
    with PeopleStore.of(load_policy(policy)) as people:
        assert people.redeem(link.rpartition("/")[2]) is not None
        assert people.redeem(again["link"].rpartition("/")[2]) is not None
    (ada,) = json.loads(al("desk", "people", "-p", policy, "--json"))
    assert (ada["name"], ada["roles"], len(ada["sessions"])) == ("ada", ["admin"], 2)
    assert "has been here" in al("desk", "people", "-p", policy)


def test_revoking_signs_out_and_hands_on(policy: str) -> None:
    al("desk", "invite", "dora", "--role", "rater", "-p", policy)
    with Ledger.of(load_policy(policy)) as ledger, PeopleStore.of(load_policy(policy)) as people:
        assert "dora" in ledger.raters
        people.redeem(people.invite("dora", None, "root"))
        assert "sessions ended: 1" in al("desk", "revoke", "dora", "--sign-out-only", "-p", policy)
        assert "dora" in ledger.raters
        assert "let in no more" in al("desk", "revoke", "dora", "-p", policy)
        assert ledger.raters == ("anna", "ben")
        assert people.invitations() == []
    result = CliRunner().invoke(app, ["desk", "revoke", "nobody", "-p", policy])
    assert result.exit_code == 1
    assert "nobody called 'nobody'" in result.output


def test_the_audit_log_is_listed_and_cannot_steer_the_terminal(policy: str) -> None:
    al("desk", "invite", "ada", "--role", "admin", "-p", policy)
    with PeopleStore.of(load_policy(policy)) as people:
        people.audit("ada", "export", "votes", "\x1b[2J[red]x")
    shown = al("desk", "audit-log", "-p", policy)
    assert r"\x1b[2J[red]x" in shown
    assert "\x1b[2J" not in shown
    (entry,) = json.loads(al("desk", "audit-log", "-p", policy, "--act", "invite", "--json"))
    assert entry["by"].endswith("(command line)")
    assert entry["subject"] == "ada"


def test_a_user_without_a_name_is_in_the_log_by_number(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2_000_000_000)
    al("desk", "invite", "ada", "--role", "admin", "-p", policy)
    (entry,) = json.loads(al("desk", "audit-log", "-p", policy, "--json"))
    assert entry["by"] == "user 2000000000 (command line)"


def test_a_role_that_cannot_be_is_refused(policy: str) -> None:
    arguments = ["desk", "invite", "ada", "--role", "rater", "--role", "admin", "-p", policy]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "a rater cannot also be admin" in str(result.exception)


def test_serving_to_other_machines_without_tls_is_refused(policy: str) -> None:
    result = CliRunner().invoke(app, ["desk", "serve", "--host", "0.0.0.0", "-p", policy])
    assert result.exit_code == 1
    assert "unencrypted" in str(result.exception)


def test_the_desk_loads_nothing_heavy() -> None:
    heavy = ["torch", "dagster", "sklearn", "scipy", "matplotlib", "transformers", "faiss"]
    code = (
        "import sys, al_assets.cli, al_assets.review.desk.shell.app, al_assets.review.desk.shell.server; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("file", "said"), [("policy.yaml", "the loop has not started"), ("none.yaml", "no such policy")]
)
def test_the_loop_is_looked_at_behind_the_page(policy: str, file: str, said: str) -> None:
    watch = LoopWatch(Path(policy).with_name(file))
    asked_at = time.monotonic()
    first = watch()
    assert time.monotonic() - asked_at < 1
    while watch() == first and time.monotonic() - asked_at < 60:
        time.sleep(0.05)
    assert first == "The loop is being looked at."
    assert said in watch()


def test_an_edited_policy_file_is_told_on_the_dashboard(policy: str) -> None:
    as_read = load_policy(policy)
    Path(policy).write_text(POLICY.replace("Spam sells.", "Spam sells what nobody asked for."))
    watch = LoopWatch(Path(policy), as_read)
    first = watch()
    until = time.monotonic() + 60
    while watch() == first and time.monotonic() < until:
        time.sleep(0.05)
    assert watch().endswith(". The policy file was edited since this desk was started: start it again.")
