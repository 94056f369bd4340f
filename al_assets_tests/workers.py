"""How ``pytest -n`` shares out the tests among processes, and which run fails for what it skipped."""

import os
from typing import Any

import pytest

PREFIX = "al_assets_tests/"
# Files of one unit share what is costly to make, a deployment or Ray's processes, and so go to one process. Those that
# take longest come first, so that no process is left alone with one of them at the end.
LONGEST_FIRST: tuple[tuple[str, ...], ...] = (
    ("daemon/test_loop.py", "daemon/test_embedding_change.py"),
    ("bench/test_coverage.py",),
    ("models/labelers/test_vllm.py",),
    ("models/students/test_sft.py",),
    ("browser/test_first_iteration.py",),
    ("scale/test_ray_runner.py", "scale/test_embed_shards.py", "bench/test_selection_ray.py"),
    ("demo/test_run.py",),
    ("daemon/test_failed_iteration.py",),
    ("storage/ledger/test_ledger_safety.py",),
    ("assets/test_loop_in_process.py",),
    ("daemon/test_two_occasions.py",),
    ("models/test_scoring.py",),
    ("assets/test_bad_input.py",),
    ("curation/test_engine.py",),
    ("test_docker.py",),
)
PLACES = {PREFIX + file: place for place, files in enumerate(LONGEST_FIRST) for file in files}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which ``AL_NO_SKIPS`` is set and a test was skipped: the CI has all that the tests need."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("AL_NO_SKIPS") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole units, so that what the tests of a file share is made once."""
    # Imported here: pytest-xdist asks for it, and a run in one process does without.
    from xdist.scheduler import LoadScopeScheduling

    class ByUnit(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

        def _assign_work_unit(self, node: Any) -> None:
            self.workqueue.move_to_end(min(self.workqueue, key=place_of), last=False)
            super()._assign_work_unit(node)

    return ByUnit(config, log)


def unit_of(nodeid: str) -> str:
    """Return what the tests that go to one process together have in common: their file, or the first of its unit."""
    file = nodeid.split("::", 1)[0]
    return PREFIX + LONGEST_FIRST[place_of(file)][0] if file in PLACES else file


def place_of(unit: str) -> int:
    """Return when a unit's turn comes; those that are not long share the last place."""
    return PLACES.get(unit, len(LONGEST_FIRST))
