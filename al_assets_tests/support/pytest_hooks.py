"""How ``pytest -n`` shares out the tests among processes, what a run says at its end, and when skipping fails it."""

import os
from pathlib import Path
from typing import Any

import pytest

LONGEST_FIRST = ("daemon", "vllm", "ray", "label_studio", "browser", "slow")
"""Marks of long tests. Their files start first, so that no process is left alone with one at the end."""

SLOW_FIXTURES = {"journal", "smollm2"}
"""Fixtures that run a whole loop or load a language model: whichever test is first waits for them."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is slow by its fixtures; in a process of ``pytest -n`` sort the files for ``--dist loadfile``."""
    for item in items:
        if SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    if hasattr(config, "workerinput"):
        turns: dict[Path, int] = {}
        for item in items:
            turns[item.path] = min(turn_of(item), turns.get(item.path, len(LONGEST_FIRST)))
        items.sort(key=lambda item: turns[item.path])


def turn_of(item: pytest.Item) -> int:
    """Return the place of a test's first mark in ``LONGEST_FIRST``, or the one after the last."""
    marks = {mark.name for mark in item.iter_markers()}
    return next((turn for turn, mark in enumerate(LONGEST_FIRST) if mark in marks), len(LONGEST_FIRST))


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
