"""How ``pytest -n`` shares out the tests among processes, what a run says at its end, and when skipping fails it."""

import os
from typing import Any

import pytest

PREFIX = "al_assets_tests/"
# Files of one unit share what is costly to make, such as a deployment, a loop that has lived or Ray's processes, and so
# go to one process. Those that take longest come first, so that none is left alone at the end.
LONGEST_FIRST: tuple[tuple[str, ...], ...] = (
    ("daemon/test_loop.py", "daemon/test_embedding_change.py"),
    ("daemon/test_desk.py",),
    ("models/labelers/test_vllm.py",),
    (
        "assets/test_loop_in_process.py", "assets/test_selection.py", "automation/test_sensor_and_schedule.py",
        "commands/test_reading.py", "report/test_explain.py",
    ),
    ("scale/test_ray_runner.py", "scale/test_embed_shards.py", "bench/test_selection_ray.py"),
    ("models/students/test_sft.py",),
    ("browser/test_desk_rating.py",),
    ("browser/test_first_iteration.py",),
    ("review/label_studio/test_label_studio.py",),
    ("demo/test_run.py",),
    ("daemon/test_failed_iteration.py",),
    ("demo/test_by_hand.py",),
    ("bench/test_coverage.py",),
    ("browser/test_desk_overview.py",),
    ("study/test_docs.py",),
    ("automation/test_schedule_on_disk.py",),
    ("study/test_run.py",),
    ("storage/ledger/test_ledger_safety.py",),
    ("models/test_scoring.py",),
    ("commands/test_bench.py",),
    ("assets/test_bad_input.py",),
    ("curation/test_engine.py",),
    ("test_docker.py",),
    ("bench/test_pools.py",),
    ("bench/test_stopping.py",),
    ("models/students/test_crossfit.py",),
    ("models/students/test_linear.py",),
    ("bench/rivals/test_adapters.py",),
    ("assets/test_hidden.py",),
    ("assets/test_marts.py",),
)  # fmt: skip
PLACES = {PREFIX + file: place for place, files in enumerate(LONGEST_FIRST) for file in files}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which ``AL_NO_SKIPS`` is set and a test was skipped: the CI has all that the tests need."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("AL_NO_SKIPS") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show why a test had a second try (``--reruns``): what passes only then is still to be looked into."""
    again = terminalreporter.stats.get("rerun", [])
    if again:
        terminalreporter.section("failed at the first try")
    for report in again:
        terminalreporter.write_line(f"{report.nodeid} ({report.when})", yellow=True)
        terminalreporter.write_line(report.longreprtext)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole units, so that what the tests of a file share is made once."""
    # Imported here: pytest-xdist asks for it, and a run in one process does without.
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class ByUnit(LoadScopeScheduling):  # type: ignore[misc]
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
