"""Embedders: texts to unit vectors, computed once per text and model."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from al_assets.config import EmbeddingSettings, Policy
from al_assets.models.labelers.protocol import Closing
from al_assets.models.labelers.yes_no import hub_revision
from al_assets.models.scoring import ValueStore, compute_missing

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class EmbedderError(ValueError):
    """An embedding model cannot be loaded or gives unusable vectors; the message names the model and the way out."""


class SentenceTransformersEmbedder(Closing):
    """Texts to vectors that are compared by their cosine; kind ``static`` reads a Model2Vec directory.

    Its fingerprint changes when, and only when, the vectors can; it is known without loading the model.
    """

    def __init__(self, settings: EmbeddingSettings, model: str) -> None:
        """Remember what to load; the model is loaded when it is first used.

        :param model: its directory, or its name on a model hub.
        """
        self._settings = settings
        self._location = model
        self.fingerprint = settings.fingerprint()
        self.batch_size = settings.batch_size
        self._loaded: SentenceTransformer | None = None

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._model().get_embedding_dimension() or 0)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, shape (texts, dimensions).

        A text in which a static model knows no token has no direction: it gets the one with equal components.

        :raises EmbedderError: the model gives a vector that is not finite.
        """
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        vectors = np.asarray(
            self._model().encode(list(texts), batch_size=self.batch_size, show_progress_bar=False), dtype=np.float32
        )
        broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(broken):
            raise EmbedderError(
                f"embedding.model: {self._location!r} gave vectors that are not finite for {len(broken)} of "
                f"{len(texts)} texts, the first {texts[broken[0]][:80]!r}; check the model, or use another"
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = np.where(norms > 0, vectors, 1.0)
        return _unit(vectors)

    def close(self) -> None:
        """Free the model."""
        self._loaded = None

    def _model(self) -> "SentenceTransformer":
        if self._loaded is not None:
            return self._loaded
        settings = self._settings
        try:
            model = _static(self._location) if settings.kind == "static" else _transformer(self._location, settings)
        except (OSError, ValueError, KeyError) as error:
            raise EmbedderError(
                f"embedding.model: {self._location!r} is not a usable {settings.kind} model: "
                f"{(str(error).splitlines() or [type(error).__name__])[0]}; name its directory, or its name on a model "
                "hub that can be reached"
            ) from error
        if settings.kind == "sentence_transformers":
            model.max_seq_length = min(settings.max_tokens, model.max_seq_length or settings.max_tokens)
        self._loaded = model.to(settings.device).eval()
        return self._loaded


def make_embedder(settings: EmbeddingSettings, policy: Policy) -> SentenceTransformersEmbedder:
    """Return the embedder that the settings name; a relative model path is looked up beside the policy file."""
    return SentenceTransformersEmbedder(settings, policy.resolve_model(settings.model))


def embed_texts(
    embedder: SentenceTransformersEmbedder,
    texts_hashes: Sequence[str],
    texts: Sequence[str],
    store: ValueStore,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Return unit vectors, in order, shape (texts, dimensions), embedding only texts whose vector is not in the store.

    Stopped at any moment and called again, it repeats at most the batch it was at.

    :param texts_hashes: one for each text; equal hashes mean equal texts.
    :param progress: called with (texts done, texts in all), duplicates counted once, at the start and after each batch.
    :raises ValueError: not one hash for each text.
    :raises EmbedderError: the model cannot be loaded or gives unusable vectors.
    """
    compute_missing(embedder.embed, embedder.batch_size, texts_hashes, texts, store, progress)
    if not texts_hashes:
        return np.empty((0, embedder.dimensions), dtype=np.float32)
    # The store may keep half precision, in which a unit vector is only nearly one.
    return _unit(store.get(texts_hashes).astype(np.float32))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def _transformer(location: str, settings: EmbeddingSettings) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(
        location, device=settings.device, revision=hub_revision(location, settings.revision).get("revision")
    )


# Reading its tokenizer takes seconds, the model itself a few megabytes: kept for the next one to ask.
@lru_cache(maxsize=2)
def _static(location: str) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    return SentenceTransformer(modules=[StaticEmbedding.from_model2vec(location)], device="cpu")
