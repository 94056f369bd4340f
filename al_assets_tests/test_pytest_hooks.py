import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from al_assets_tests.support import REPOSITORY

PARTS = """\
import os
import pytest

@pytest.mark.parametrize("part", range(6))
def test_part(part):
    print("process", __name__, os.environ.get("PYTEST_XDIST_WORKER"))
"""
SKIPPED = 'import pytest\ndef test_what_is_missing(): pytest.skip("nothing to test here")\n'


UNSTEADY = """\
from pathlib import Path

def test_fails_once():
    seen = Path(__file__).with_name("seen")
    was_seen = seen.exists()
    seen.touch()
    assert was_seen, "the machine stood still"
"""


FILES = {"test_one": PARTS, "test_two": PARTS, "test_three": SKIPPED}


def run(
    folder: Path, processes: int, *more: str, files: Mapping[str, str] = FILES, **variables: str
) -> tuple[int, str]:
    """Return the exit status and the output of a folder of tests under the hooks of this project's conftest."""
    for name, content in files.items():
        (folder / f"{name}.py").write_text(content)
    (folder / "conftest.py").write_text('pytest_plugins = ["al_assets_tests.support.pytest_hooks"]')
    own = {name: value for name, value in os.environ.items() if "PYTEST" not in name and name != "AL_NO_SKIPS"}
    options = ["-p", "xdist", "-p", "no:cacheprovider", "-n", str(processes), "-rsP"]
    options += ["--dist", "loadfile", "--no-loadscope-reorder"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *more, str(folder)],
        capture_output=True, text=True, check=False, cwd=folder,
        env={**own, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(REPOSITORY), **variables},
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("processes", [0, 2])
def test_a_skipped_test_is_named_and_fails_the_run_where_nothing_may_be_skipped(tmp_path: Path, processes: int) -> None:
    status, said = run(tmp_path, processes, AL_NO_SKIPS="1")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "12 passed, 1 skipped" in said
    assert "nothing to test here" in said


def test_elsewhere_tests_may_be_skipped_and_those_of_a_file_go_to_one_process(tmp_path: Path) -> None:
    status, said = run(tmp_path, 2)
    assert status == pytest.ExitCode.OK
    assert said.count("process test_") == 12
    assert {(name, len(set(re.findall(rf"process {name} (gw\d)", said)))) for name in ("test_one", "test_two")} == {
        ("test_one", 1), ("test_two", 1),
    }  # fmt: skip
    assert set(re.findall(r"process test_\w+ (gw\d)", said)) == {"gw0", "gw1"}


@pytest.mark.parametrize("processes", [0, 2])
def test_a_second_try_is_told_with_its_reason_and_no_test_has_a_third(tmp_path: Path, processes: int) -> None:
    reruns = ("-p", "pytest_rerunfailures", "--reruns", "1")
    status, said = run(tmp_path, processes, *reruns, files={"test_unsteady": UNSTEADY})
    assert status == pytest.ExitCode.OK
    assert "1 passed, 1 rerun" in said
    assert "failed at the first try" in said
    assert "AssertionError: the machine stood still" in said

    status, said = run(tmp_path, processes, *reruns, files={"test_unsteady": "def test_fails(): assert False"})
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 1 rerun" in said


def test_files_with_long_tests_start_first(tmp_path: Path) -> None:
    plain = "import pytest\ndef test_it(): print('started', __name__)\n"
    long = "@pytest.mark.{}\ndef test_long(): ...\n"
    files = {f"test_{name}": plain for name in "abc"}
    files["test_b"] += long.format("slow")
    files["test_c"] += long.format("daemon")
    status, said = run(tmp_path, 1, files=files)
    assert status == pytest.ExitCode.OK
    assert re.findall(r"started test_(\w)", said) == ["c", "b", "a"]
    status, said = run(tmp_path, 0, files=files)
    assert re.findall(r"started test_(\w)", said) == ["a", "b", "c"]
