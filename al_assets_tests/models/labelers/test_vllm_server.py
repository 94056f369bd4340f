"""Starting and stopping servers, without vLLM: what the keeper does for it, and what is said when it does not start."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from al_assets.config import Policy
from al_assets.models.labelers import LabelerError, keeper, make_labeler
from al_assets.models.labelers.vllm_server import VLLMServer

# A server that starts a child, says so, and holds on to its life.
STUBBORN = (
    "import signal, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(600)\n"
)


def gone(pid: int, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def keep(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", keeper.__file__, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def interpreter(folder: Path, script: str) -> str:
    """Write an executable that stands where the policy names an interpreter."""
    file = folder / "python-of-vllm"
    file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    file.chmod(0o755)
    return str(file)


def test_when_the_pipe_closes_the_server_and_its_children_end() -> None:
    with keep(sys.executable, "-c", STUBBORN) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert psutil.pid_exists(child)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == -9
    assert gone(child)


def test_when_the_server_ends_its_children_end() -> None:
    with keep("sh", "-c", "sleep 600 & echo $!; exit 3") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        child = int(process.stdout.readline())
        process.wait(20)
        assert "the server ended with code 3" in process.stderr.read()
    assert gone(child)


def test_when_the_parent_is_killed_the_server_ends(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys\n"
        f"kept = subprocess.Popen([sys.executable, '-I', {keeper.__file__!r}, 'sh', '-c', 'echo $$; exec sleep 600'],\n"
        "    stdin=subprocess.PIPE, start_new_session=True)\n"
        "kept.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        assert psutil.pid_exists(server)
        parent.kill()
        parent.wait()
        assert gone(server)


def test_an_interpreter_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelerError, match=r"labeler.python: '/no/python' is not an interpreter; make an environment"):
        VLLMServer.start("model", python="/no/python")


def test_an_environment_without_vllm_is_named(
    make_policy: Callable[..., Policy], tiny_model: Callable[[str], str]
) -> None:
    policy = make_policy({"kind": "vllm", "model": tiny_model("llama"), "python": sys.executable})
    message = r"(?s)ended before it was ready. Make an environment for vLLM with 'bash .ci/vllm-env .*No module named"
    with make_labeler(policy.labeler, policy) as labeler, pytest.raises(LabelerError, match=message):
        labeler.score(["Fine."])


def test_a_server_that_never_gets_ready_is_stopped(tmp_path: Path) -> None:
    python = interpreter(tmp_path, f"echo $$ > {tmp_path}/pid\necho loading weights\nexec sleep 600")
    with pytest.raises(LabelerError, match=r"(?s)not ready after 1.5 s; raise it, or read why.*loading weights"):
        VLLMServer.start("model", python=python, timeout_seconds=1.5)
    assert gone(int((tmp_path / "pid").read_text()))


def test_the_log_of_a_server_that_ends_is_shown(tmp_path: Path) -> None:
    python = interpreter(tmp_path, "seq 1 100\necho cannot load weights\nexit 3")
    with pytest.raises(LabelerError, match="ended before it was ready") as caught:
        VLLMServer.start("model", python=python)
    assert "\n99\n100\ncannot load weights\nkeeper: the server ended with code 3" in str(caught.value)
    assert "\n50\n" not in str(caught.value)


def test_the_key_is_not_among_the_arguments_and_foreign_paths_are_not_inherited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/another/environment")
    python = interpreter(tmp_path, f'echo "$*" > {tmp_path}/arguments\nenv > {tmp_path}/environment\nexit 1')
    with pytest.raises(LabelerError):
        VLLMServer.start("the-model", python=python, arguments=["--dtype", "half"], environment={"SPACE": "2"})
    environment = dict(
        line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines() if "=" in line
    )
    arguments = (tmp_path / "arguments").read_text()
    assert environment["SPACE"] == "2"
    assert "PYTHONPATH" not in environment
    assert len(environment["VLLM_API_KEY"]) == 32
    assert environment["VLLM_API_KEY"] not in arguments
    assert "--model the-model --host 127.0.0.1 --port" in arguments
    assert arguments.endswith("--dtype half\n")


def test_a_failed_start_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    python = interpreter(tmp_path, "exit 1")
    with pytest.raises(LabelerError):
        VLLMServer.start("model", python=python)
    assert [each.name for each in tmp_path.iterdir()] == [os.path.basename(python)]
