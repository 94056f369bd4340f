import hashlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from upath import UPath

from al_assets.config import EmbeddingSettings
from al_assets.demo.fetch import minilm_directory, static_model_directory
from al_assets.models.embedders import EmbedderError, SentenceTransformersEmbedder, embed_texts
from al_assets.storage.content_store import ContentStore

TEXTS = ["the battery died after a week", "batteries that die within days", "what a lovely morning", "hello there"]


def hashes(texts: Sequence[str]) -> list[str]:
    return [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]


def embedder_of(kind: str, location: Path | str, **changes: Any) -> SentenceTransformersEmbedder:
    settings = EmbeddingSettings.model_validate({"kind": kind, "model": str(location), **changes})
    return SentenceTransformersEmbedder(settings, str(location))


@pytest.fixture(scope="module")
def static() -> SentenceTransformersEmbedder:
    return embedder_of("static", static_model_directory(), batch_size=2)


@pytest.fixture(scope="module")
def minilm() -> Iterator[SentenceTransformersEmbedder]:
    with embedder_of("sentence_transformers", minilm_directory()) as embedder:
        yield embedder


class Recorder(SentenceTransformersEmbedder):
    """An embedder that says what it was asked, and stops when told to."""

    def __init__(self, inner: SentenceTransformersEmbedder, stop_after: int = 99) -> None:
        self.inner = inner
        self.asked: list[list[str]] = []
        self.stop_after = stop_after
        self.fingerprint = inner.fingerprint
        self.batch_size = inner.batch_size

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if len(self.asked) == self.stop_after:
            raise KeyboardInterrupt
        self.asked.append(list(texts))
        return self.inner.embed(texts)

    @property
    def dimensions(self) -> int:
        return self.inner.dimensions

    def close(self) -> None:
        self.inner.close()


class DictStore:
    def __init__(self) -> None:
        self.values: dict[str, NDArray[Any]] = {}

    def known(self, hashes: Collection[str]) -> set[str]:
        return self.values.keys() & set(hashes)

    def get(self, hashes: Sequence[str]) -> NDArray[Any]:
        return np.stack([self.values[each] for each in hashes])

    def add(self, hashes: Sequence[str], values: ArrayLike) -> None:
        self.values.update(zip(hashes, np.asarray(values), strict=True))


@pytest.mark.parametrize(("name", "dimensions"), [("static", 64), ("minilm", 384)])
def test_vectors_are_unit_and_near_for_like_texts(name: str, dimensions: int, request: pytest.FixtureRequest) -> None:
    embedder = request.getfixturevalue(name)
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (4, dimensions) == (4, embedder.dimensions)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > max(cosines[0, 2], cosines[0, 3])
    assert np.array_equal(embedder.embed(TEXTS), vectors)
    assert embedder.embed([]).shape == (0, dimensions)


def test_a_text_without_known_tokens_still_gets_a_direction(static: SentenceTransformersEmbedder) -> None:
    vectors = static.embed(["", "hello there"])
    assert np.allclose(vectors[0], 1 / np.sqrt(64))
    assert not np.allclose(vectors[0], vectors[1])


def test_only_the_first_tokens_count(minilm: SentenceTransformersEmbedder) -> None:
    short = embedder_of("sentence_transformers", minilm_directory(), max_tokens=8)
    texts = ["one two three four five six " + tail for tail in ("seven", "eleven")]
    cut, whole = short.embed(texts), minilm.embed(texts)
    assert np.allclose(cut[0], cut[1], atol=1e-6)
    assert not np.allclose(whole[0], whole[1], atol=1e-3)


def test_the_fingerprint_is_known_without_the_model_and_follows_the_settings() -> None:
    base = embedder_of("static", "nowhere")
    assert base.fingerprint == embedder_of("static", "nowhere", batch_size=7).fingerprint
    changed = ({"revision": "2"}, {"max_tokens": 9})
    others = [embedder_of("static", "elsewhere"), *(embedder_of("static", "nowhere", **each) for each in changed)]
    assert base.fingerprint not in {other.fingerprint for other in others}


@pytest.mark.parametrize("kind", ["static", "sentence_transformers"])
def test_a_model_that_is_none_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=f"embedding.model: '{tmp_path}' is not a usable {kind} model"):
        embedder_of(kind, tmp_path).embed(["text"])


def test_vectors_that_are_not_finite_are_refused(
    static: SentenceTransformersEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = static._model()[0]
    weight = module.embedding.weight
    row = module.tokenizer.encode("hello", add_special_tokens=False).ids[0]
    before = weight.data[row].clone()
    weight.data[row] = float("nan")
    try:
        with pytest.raises(EmbedderError, match="not finite for 1 of 2 texts, the first 'hello there'"):
            static.embed(["what a morning", "hello there"])
    finally:
        weight.data[row] = before


def test_each_text_is_embedded_once(static: SentenceTransformersEmbedder) -> None:
    store, recorder = DictStore(), Recorder(static)
    texts = [*TEXTS, TEXTS[0]]
    seen: list[tuple[int, int]] = []
    vectors = embed_texts(recorder, hashes(texts), texts, store, lambda done, total: seen.append((done, total)))
    assert sum(map(len, recorder.asked)) == 4
    assert np.allclose(vectors, static.embed(texts), atol=1e-6)
    assert seen == [(0, 4), (2, 4), (4, 4)]
    again = embed_texts(recorder, hashes(texts), texts, store)
    assert sum(map(len, recorder.asked)) == 4
    assert np.array_equal(again, vectors)


def test_a_stopped_run_goes_on_where_it_stopped(static: SentenceTransformersEmbedder, tmp_path: Path) -> None:
    store = ContentStore(UPath(tmp_path / "a"), np.float16)
    with pytest.raises(KeyboardInterrupt):
        embed_texts(Recorder(static, stop_after=1), hashes(TEXTS), TEXTS, store)
    recorder = Recorder(static)
    vectors = embed_texts(recorder, hashes(TEXTS), TEXTS, ContentStore(UPath(tmp_path / "a"), np.float16))
    assert sum(map(len, recorder.asked)) == 2
    undisturbed = embed_texts(static, hashes(TEXTS), TEXTS, ContentStore(UPath(tmp_path / "b"), np.float16))
    assert np.array_equal(vectors, undisturbed)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_texts_give_no_vectors(static: SentenceTransformersEmbedder) -> None:
    assert embed_texts(static, [], [], DictStore()).shape == (0, 64)
    with pytest.raises(ValueError, match="1 hashes for 2 texts"):
        embed_texts(static, ["a"], ["a", "b"], DictStore())
