from pathlib import Path

import pytest

from al_assets.storage.cache import CACHE_VARIABLE, cache_directory


def test_the_cache_is_in_the_home_folder_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, "/somewhere")
    assert cache_directory() == Path("/somewhere")
    monkeypatch.delenv(CACHE_VARIABLE)
    assert cache_directory() == Path.home() / ".cache" / "al_assets"
