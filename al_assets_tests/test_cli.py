import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from al_assets.cli import app
from al_assets.config import PolicyError, load_policy
from al_assets_tests.support.small_loop import SmallLoop

run = CliRunner().invoke


def test_a_user_error_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "al_assets.cli", "status", "--policy", str(tmp_path / "none.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no such policy file" in done.stderr
    assert "al init" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_environment_names_the_policy(curated: SmallLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AL_POLICY", str(curated.policy_file))
    assert run(app, ["status", "--json"]).exit_code == 0


def test_load_policy_is_told_apart_from_a_directory(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path)
