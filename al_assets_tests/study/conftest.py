import json
from pathlib import Path

import pytest

from al_assets_tests.support.small_loop import write_small_embedder
from al_assets_tests.support.studies import write_judged_texts


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with judged texts and an embedder that knows their words."""
    folder = tmp_path_factory.mktemp("study")
    path = write_judged_texts(folder / "texts.jsonl")
    texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    write_small_embedder(folder / "embedder", texts)
    return folder
