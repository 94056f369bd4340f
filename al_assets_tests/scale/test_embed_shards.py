import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from al_assets.config import EmbeddingSettings, Policy
from al_assets.curation.checks import CurationError
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.runner import Threads
from al_assets.demo.fetch import minilm_directory
from al_assets.models.embedders import EmbedderError, make_embedder
from al_assets.scale.embed_shards import embed_shards, parquet_shards, text_shards
from al_assets.scale.ray_runner import RayRunner
from al_assets_tests.support.small_loop import small_policy


@pytest.fixture(scope="module")
def policy(small_embedder: Path) -> Policy:
    return Policy.model_validate(small_policy(small_embedder))


@pytest.fixture(scope="module")
def texts(small_texts: pl.DataFrame) -> list[str]:
    some = small_texts["text"].to_list()[:100]
    return [*some, some[3], some[0]]


def in_one_go(texts: list[str], policy: Policy, settings: EmbeddingSettings | None = None) -> NDArray[np.float16]:
    with make_embedder(settings or policy.embedding, policy) as embedder:
        return embedder.embed(texts).astype(np.float16)


def test_shards_are_what_one_go_gives(texts: list[str], policy: Policy, tmp_path: Path) -> None:
    found = embed_shards(text_shards(texts, 7), policy.embedding, policy, tmp_path, Threads(2))
    assert np.array_equal(found.vectors, in_one_go(texts, policy))
    assert found.rows == (14, 15, 14, 15, 14, 15, 15)
    assert found.embedded_now == 7
    assert isinstance(found.vectors, np.memmap)
    assert list(tmp_path.iterdir()) == [found.path]
    assert len(Vectors(found.vectors)) == len(texts)


def test_finished_shards_are_not_embedded_again(texts: list[str], policy: Policy, tmp_path: Path) -> None:
    first = embed_shards(text_shards(texts, 4), policy.embedding, policy, tmp_path)
    again = embed_shards(text_shards(texts, 4), policy.embedding, policy, tmp_path)
    assert (again.embedded_now, again.path) == (0, first.path)
    grown = [*text_shards(texts, 4), ["one more"]]
    assert embed_shards(grown, policy.embedding, policy, tmp_path).embedded_now == 5
    other = policy.embedding.model_copy(update={"revision": "2"})
    assert embed_shards(text_shards(texts, 4), other, policy, tmp_path).path != first.path


KILLED = """
import os, sys
from pathlib import Path
from al_assets.config import Policy
from al_assets.models import embedders
from al_assets.scale import embed_shards as module
from al_assets.curation.runner import Threads

policy = Policy.model_validate_json(Path(sys.argv[1]).read_text())
shards = [line.split("|") for line in Path(sys.argv[2]).read_text().splitlines()]
embed, done = embedders.SentenceTransformersEmbedder.embed, []

def embed_three_times(self, texts):
    done.append(texts)
    if len(done) > 3:
        os._exit(9)
    return embed(self, texts)

embedders.SentenceTransformersEmbedder.embed = embed_three_times
module.embed_shards(shards, policy.embedding, policy, Path(sys.argv[3]), Threads(1))
"""


def test_a_killed_run_goes_on_where_it_stopped(texts: list[str], policy: Policy, tmp_path: Path) -> None:
    shards = [[re.sub(r"[|\s]+", " ", text) for text in shard] for shard in text_shards(texts, 5)]
    (tmp_path / "policy.json").write_text(policy.model_dump_json())
    (tmp_path / "shards").write_text("\n".join("|".join(shard) for shard in shards))
    folder = tmp_path / "vectors"
    arguments = [str(tmp_path / "policy.json"), str(tmp_path / "shards"), str(folder)]
    assert subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False).returncode == 9
    finished = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert len(finished) == 3
    found = embed_shards(shards, policy.embedding, policy, folder)
    assert found.embedded_now == 2
    assert np.array_equal(found.vectors, in_one_go([text for shard in shards for text in shard], policy))


def test_parquet_is_read_where_it_is_embedded(texts: list[str], policy: Policy, tmp_path: Path) -> None:
    pl.DataFrame({"number": range(len(texts)), "text": texts}).write_parquet(tmp_path / "pool.parquet")
    shards = parquet_shards(tmp_path / "pool.parquet", "text", 40)
    assert [(shard.start, shard.stop) for shard in shards] == [(0, 40), (40, 80), (80, 102)]
    found = embed_shards(shards, policy.embedding, policy, tmp_path / "vectors")
    assert np.array_equal(found.vectors, in_one_go(texts, policy))
    with pytest.raises(CurationError, match="has no column 'texts'; it has number, text"):
        parquet_shards(tmp_path / "pool.parquet", "texts", 40)


def test_what_cannot_be_embedded_is_refused(policy: Policy, tmp_path: Path) -> None:
    with pytest.raises(CurationError, match="shards: 0 is too small"):
        embed_shards([], policy.embedding, policy, tmp_path)
    with pytest.raises(CurationError, match="shards: number 1 of 2 holds no text"):
        embed_shards([["a"], []], policy.embedding, policy, tmp_path)
    missing = policy.embedding.model_copy(update={"model": str(tmp_path / "nowhere")})
    with pytest.raises(EmbedderError, match=r"^embedding\.model:"):
        embed_shards([["a"]], missing, policy, tmp_path)


@pytest.mark.ray
def test_ray_embeds_what_one_go_gives(texts: list[str], policy: Policy, runner: RayRunner, tmp_path: Path) -> None:
    found = embed_shards(text_shards(texts, 8), policy.embedding, policy, tmp_path, runner)
    assert np.array_equal(found.vectors, in_one_go(texts, policy))
    assert len(runner.nodes()) == 2


@pytest.mark.ray
def test_ray_embeds_with_a_real_model(texts: list[str], policy: Policy, runner: RayRunner, tmp_path: Path) -> None:
    settings = EmbeddingSettings(model=str(minilm_directory()))
    found = embed_shards(text_shards(texts[:48], 4), settings, policy, tmp_path, runner)
    # Other batches are padded to other lengths, which moves the last digits.
    assert np.allclose(found.vectors, in_one_go(texts[:48], policy, settings), atol=2e-3)
    assert found.vectors.shape == (48, 384)
