"""What all cells of a study share, computed once and kept in its folder: texts, vectors, what LLM-0 says."""

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from upath import UPath

from al_assets.agreement.core.kappa import Floats
from al_assets.config import EmbeddingSettings, LabelerSettings, Policy, fingerprint_of
from al_assets.demo.fetch import minilm_directory, smollm2_directory, static_model_directory
from al_assets.models.embedders import SentenceTransformersEmbedder, embed_texts
from al_assets.models.labelers import labeler_fingerprint, make_labeler
from al_assets.models.scoring import score_texts
from al_assets.storage.atomic import write_bytes
from al_assets.storage.content_store import ContentStore
from al_assets.storage.root import text_hash
from al_assets.study import StudyError
from al_assets.study.settings import OracleLabeler, SimilarityLabeler, Study
from al_assets.study.texts import JudgedTexts, read_texts, vader_texts, without_near_duplicates

Tell = Callable[[str], None]
_PREFIX = "demo:"
_DEMO: Mapping[str, Callable[[], Path]] = {
    "minilm": minilm_directory,
    "smollm2": smollm2_directory,
    "static": static_model_directory,
}
_UNUSED = {"model": "unused"}
_ASK_AGAIN = "delete it and run 'al study scores'"


class Workshop:
    """A study's folder and what is kept in it; made anew in each process, cheaply."""

    def __init__(self, study: Study, folder: Path) -> None:
        """Remember where."""
        self.study, self.folder = study, folder
        self._texts: dict[str, JudgedTexts] = {}
        self._digests: dict[str, str] = {}
        self._vectors: dict[tuple[str, str], NDArray[np.float32]] = {}

    def texts(self, dataset: str) -> JudgedTexts:
        """Return a data set's texts without near-duplicates.

        :raises StudyError: its file cannot be used.
        """
        if dataset not in self._texts:
            settings = self.study.datasets[dataset]
            if settings.kind == "vader":
                read = vader_texts(settings.sources, settings.positive_source)
            else:
                read = read_texts(self.study.base_dir / str(settings.path), dataset)
            self._texts[dataset] = without_near_duplicates(read, settings.near_duplicate_similarity)
        return self._texts[dataset]

    def digest(self, dataset: str) -> str:
        """Return 12 hex digits of a data set's texts and judgements."""
        if dataset not in self._digests:
            texts = self.texts(dataset)
            judged = np.nan_to_num(texts.judgements, nan=-1.0).tolist()
            self._digests[dataset] = fingerprint_of([texts.item_ids, texts.texts, judged])
        return self._digests[dataset]

    def inputs(self, dataset: str) -> str:
        """Return hex digits of all that is read for a data set: its texts, judgements and kept scores."""
        file = self.scores_file(dataset)
        kept = hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file and file.exists() else ""
        return self.digest(dataset) + kept

    def vectors(self, dataset: str, embedding: EmbeddingSettings, say: Tell = lambda _: None) -> NDArray[np.float32]:
        """Return the texts' vectors of length one, shape (texts, dimensions), computing those that are not kept yet."""
        key = (dataset, embedding.fingerprint())
        if key not in self._vectors:
            path = self.folder / "cache" / f"vectors-{self.digest(dataset)}-{embedding.fingerprint()}.npy"
            if not path.exists():
                self._embed(dataset, embedding, path, say)
            self._vectors[key] = np.load(path, mmap_mode="r")
        return self._vectors[key]

    def first_scores(self, dataset: str, say: Tell = lambda _: None) -> Floats:
        """Return LLM-0's p_positive of the texts, shape (texts,); one that is simulated differs from seed to seed.

        :raises StudyError: LLM-0 is simulated, or its file of ``scores`` is of other texts or another question.
        """
        labeler, asked = self.study.datasets[dataset].labeler, self.study.datasets[dataset].asked
        file = self.scores_file(dataset)
        if file and file.exists():
            return self._kept_scores(dataset, file, asked)
        path = self.folder / "cache" / f"llm0-{self.digest(dataset)}-{fingerprint_of(asked)}.npy"
        if not path.exists():
            if isinstance(labeler, OracleLabeler):
                raise StudyError(
                    f"datasets.{dataset}.labeler: a simulated LLM-0 has no scores of its own; name another"
                )
            scores = (
                self._similarities(dataset, labeler, say)
                if isinstance(labeler, SimilarityLabeler)
                else self._scores(dataset, labeler, say)
            )
            _save(path, scores)
        return np.asarray(np.load(path), dtype=np.float64)

    def scores_file(self, dataset: str) -> Path | None:
        """Return the file of ``scores``, whether or not it is there; None if the study names none."""
        name = self.study.datasets[dataset].scores
        return self.study.base_dir / name if name else None

    def write_scores(self, dataset: str, source: str, say: Tell = lambda _: None) -> Path:
        """Ask LLM-0 and keep in the file of ``scores`` what it says, by id, and what it was asked; texts are not kept.

        :param source: where the model is from, in words.
        """
        file = self.scores_file(dataset)
        assert file
        said = {"id": self.texts(dataset).item_ids, "p_positive": self.first_scores(dataset, say).astype(np.float32)}
        about = {"asked": json.dumps(self.study.datasets[dataset].asked), "texts": self.digest(dataset)}
        stream = io.BytesIO()
        pl.DataFrame(said).write_parquet(stream, metadata={**about, "source": source})
        write_bytes(UPath(file), stream.getvalue())
        return file

    def _kept_scores(self, dataset: str, file: Path, asked: dict[str, Any]) -> Floats:
        about = pl.read_parquet_metadata(file)
        if about.get("texts") != self.digest(dataset):
            raise StudyError(f"datasets.{dataset}.scores: {file} is of other texts; {_ASK_AGAIN}")
        was: dict[str, Any] = json.loads(about["asked"])
        for name in {**asked, **was}:
            if asked.get(name) != was.get(name):
                there = f"{file} was made with {was.get(name)!r}"
                raise StudyError(f"datasets.{dataset}: {name} is {asked.get(name)!r}, but {there}; {_ASK_AGAIN}")
        return pl.read_parquet(file)["p_positive"].cast(pl.Float64).to_numpy()

    def prepare(self, say: Tell = lambda _: None) -> None:
        """Compute all that cells share, so that they find it.

        :raises StudyError: a data set cannot be used.
        """
        for name in self.study.datasets:
            say(f"{name}: reading")
            self.texts(name)
            for embedding in self.embeddings:
                self.vectors(name, embedding, say)
            if not isinstance(self.study.datasets[name].labeler, OracleLabeler):
                self.first_scores(name, say)

    @cached_property
    def embeddings(self) -> list[EmbeddingSettings]:
        """All embeddings that selection or a linear student looks at, none twice."""
        own = [each.embedding for each in self.study.students.values() if each.kind == "linear"]
        different = {each.fingerprint(): each for each in (*self.study.embeddings.values(), *own)}
        return list(different.values())

    def _embed(self, dataset: str, embedding: EmbeddingSettings, path: Path, say: Tell) -> None:
        texts = self.texts(dataset).texts
        store = ContentStore(UPath(self.folder / "cache" / f"vectors-{embedding.fingerprint()}"), np.float16)

        def tell(done: int, total: int) -> None:
            say(f"{dataset}: embedding, {done:,} of {total:,} texts ({embedding.model})")

        with SentenceTransformersEmbedder(embedding, model_location(embedding.model, self.study.base_dir)) as embedder:
            _save(path, embed_texts(embedder, [text_hash(each) for each in texts], texts, store, tell))

    def _similarities(self, dataset: str, labeler: SimilarityLabeler, say: Tell) -> Floats:
        """Return (1 + cosine) / 2 of each text with the sentence, by the first embedding of the study."""
        embedding = next(iter(self.study.embeddings.values()))
        vectors = self.vectors(dataset, embedding, say)
        with SentenceTransformersEmbedder(embedding, model_location(embedding.model, self.study.base_dir)) as embedder:
            sentence = embedder.embed([labeler.sentence])[0]
        cosines: Floats = vectors.astype(np.float64) @ sentence.astype(np.float64)
        return np.clip((cosines + 1) / 2, 0, 1)

    def _scores(self, dataset: str, labeler: LabelerSettings, say: Tell) -> Floats:
        texts = self.texts(dataset).texts
        about, base_dir, settings = self.study.datasets[dataset], self.study.base_dir, labeler
        model: Any = getattr(labeler, "model", None)
        if model is not None and labeler.kind != "openai":
            settings = labeler.model_copy(update={"model": model_location(model, base_dir)})
        # However rare positives are made: LLM-0 does not know that some of the texts are left out.
        policy = policy_of(about.wording, labeler=settings, base_dir=base_dir)
        folder = self.folder / "cache" / f"llm0-{labeler_fingerprint(labeler, policy)}"

        def tell(done: int, total: int) -> None:
            say(f"{dataset}: LLM-0 labels, {done:,} of {total:,} texts")

        with make_labeler(settings, policy) as opened:
            store = ContentStore(UPath(folder), np.float64)
            return score_texts(opened, [text_hash(each) for each in texts], texts, store, tell)


def _save(path: Path, values: NDArray[Any]) -> None:
    stream = io.BytesIO()
    np.save(stream, values)
    write_bytes(UPath(path), stream.getvalue())


def model_location(model: str, base_dir: Path) -> str:
    """Return a model's directory, or its name on a hub as it is written.

    :param model: ``demo:minilm``, ``demo:smollm2`` or ``demo:static``; a path relative to the study file; a hub's name.
    :raises StudyError: the demo has no such model.
    :raises FetchError: it is not in the cache and cannot be fetched.
    """
    if model.startswith(_PREFIX):
        fetch = _DEMO.get(model.removeprefix(_PREFIX))
        if fetch is None:
            known = ", ".join(f"{_PREFIX}{name}" for name in _DEMO)
            raise StudyError(f"model: {model!r} is unknown; the demo has {known}")
        return str(fetch())
    local = base_dir / model
    return str(local) if local.exists() else model


def policy_of(asked: Mapping[str, Any], **sections: Any) -> Policy:
    """Return a policy of these sections; those that are not given are placeholders that nobody looks at.

    :param asked: the section ``policy`` but for its name.
    """
    return Policy.model_validate(
        {
            "policy": {"name": "study", "question": "none", "guideline": "none", **asked},
            "pool": {"path": "unused"},
            "labeler": {"kind": "keywords", "positive": ["unused"]},
            "embedding": _UNUSED,
            "student": {"kind": "linear", "embedding": _UNUSED},
            "review": {"raters": ["first", "second"]},
            **sections,
        }
    )
