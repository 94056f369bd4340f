from pathlib import Path

import pytest

from al_assets.study.report.page import write_report
from al_assets_tests.support.studies import ABOUT, whole_study


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study that has a figure for everything."""
    path = tmp_path_factory.mktemp("study-report")
    write_report(whole_study(), ABOUT, path)
    return path
