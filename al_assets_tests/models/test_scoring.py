import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from upath import UPath

from al_assets.models.labelers.protocol import Labeler, LabelerError
from al_assets.models.scoring import ValueStore, compute_missing, score_texts
from al_assets.storage.content_store import ContentStore


class MemoryStore:
    """Keeps values in a dictionary."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.batches: list[list[str]] = []

    def known(self, hashes: Collection[str]) -> set[str]:
        return {each for each in hashes if each in self.values}

    def get(self, hashes: Sequence[str]) -> NDArray[Any]:
        return np.array([self.values[each] for each in hashes])

    def add(self, hashes: Sequence[str], values: ArrayLike) -> None:
        self.batches.append(list(hashes))
        self.values |= dict(zip(hashes, np.asarray(values), strict=True))


class Counting(Labeler):
    """Scores a text by its length and its batch's, as a bfloat16 model does; stops when told to."""

    fingerprint = "counting"

    def __init__(self, batch_size: int, stop_after: int | None = None) -> None:
        self.batch_size = batch_size
        self.stop_after = stop_after
        self.batches: list[list[str]] = []

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        if self.stop_after is not None and len(self.batches) >= self.stop_after:
            raise KeyboardInterrupt
        self.batches.append(list(texts))
        longest = max(map(len, texts))
        return np.array([(1 + len(each)) / (2 + longest) + 1e-9 * sum(map(ord, each)) % 1e-6 for each in texts]) / 2


class Fixed(Labeler):
    fingerprint = "fixed"
    batch_size = 8

    def __init__(self, scores: Iterable[float]) -> None:
        self.scores = list(scores)

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return np.array(self.scores)


@pytest.fixture(params=["memory", "files"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], ValueStore]:
    """Return a function that opens a store: the same one each time, as a restarted process would."""
    memory = MemoryStore()
    if request.param == "memory":
        return lambda: memory
    return lambda: ContentStore(UPath(tmp_path / "scores"), np.float64)


TEXTS = [f"{'long ' * (index % 7)}text {index % 23}" for index in range(60)]
HASHES = [f"h{index % 23}-{index % 7}" for index in range(60)]


def test_scores_come_in_the_order_of_the_texts(make_store: Callable[[], ValueStore]) -> None:
    labeler = Counting(batch_size=60)
    scores = score_texts(labeler, HASHES, TEXTS, make_store())
    longest = max(map(len, TEXTS))
    expected = [((1 + len(each)) / (2 + longest) + 1e-9 * sum(map(ord, each)) % 1e-6) / 2 for each in TEXTS]
    np.testing.assert_array_equal(scores, expected)


def test_a_text_is_scored_once_however_often_it_occurs(make_store: Callable[[], ValueStore]) -> None:
    labeler = Counting(batch_size=4)
    score_texts(labeler, HASHES * 3, TEXTS * 3, make_store())
    scored = [text for batch in labeler.batches for text in batch]
    assert sorted(scored) == sorted(set(TEXTS))
    again = Counting(batch_size=4)
    score_texts(again, HASHES, TEXTS, make_store())
    assert again.batches == []


@pytest.mark.parametrize("stop_after", [0, 1, 5])
def test_a_stopped_run_resumes_and_gives_the_same_bits(stop_after: int, make_store: Callable[[], ValueStore]) -> None:
    undisturbed = score_texts(Counting(batch_size=8), HASHES, TEXTS, MemoryStore())
    stopped = Counting(batch_size=8, stop_after=stop_after)
    with pytest.raises(KeyboardInterrupt):
        score_texts(stopped, HASHES, TEXTS, make_store())
    resumed = Counting(batch_size=8)
    scores = score_texts(resumed, HASHES, TEXTS, make_store())
    assert scores.tobytes() == undisturbed.tobytes()
    assert sum(map(len, stopped.batches)) + sum(map(len, resumed.batches)) == len(set(TEXTS))


def test_only_what_is_missing_of_a_batch_is_scored(make_store: Callable[[], ValueStore]) -> None:
    make_store().add(["b"], np.array([0.25]))
    labeler = Counting(batch_size=3)
    scores = score_texts(labeler, ["a", "b", "c"], ["1", "2", "3"], make_store())
    assert labeler.batches == [["1", "3"]]
    assert scores[1] == 0.25


def test_batches_hold_texts_of_like_length_whatever_their_order() -> None:
    batches = []
    for order in (1, -1):
        labeler = Counting(batch_size=8)
        score_texts(labeler, HASHES[::order], TEXTS[::order], MemoryStore())
        batches.append(labeler.batches)
    assert batches[0] == batches[1]
    lengths = [len(each) for batch in batches[0] for each in batch]
    assert lengths == sorted(lengths)


def test_progress_counts_texts_once_and_ends_at_all() -> None:
    seen: list[tuple[int, int]] = []
    store = MemoryStore()
    score_texts(Counting(batch_size=25), HASHES, TEXTS, store, lambda done, total: seen.append((done, total)))
    assert seen == [(0, 60), (25, 60), (50, 60), (60, 60)]
    seen.clear()
    score_texts(Counting(batch_size=25), HASHES * 2, TEXTS * 2, store, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (60, 60)


def test_nothing_to_score_is_no_error(make_store: Callable[[], ValueStore]) -> None:
    assert score_texts(Counting(batch_size=2), [], [], make_store()).shape == (0,)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([0.5, 1.5], r"1 of 2 scores are not in \[0, 1\], such as 1.5; return p_positive"),
        ([0.5, float("nan")], r"1 of 2 scores are not in \[0, 1\], such as nan"),
        ([0.5], r"returned scores of shape \(1,\) for 2 texts"),
        ([-0.1, 1.1], "2 of 2 scores"),
    ],
)
def test_wrong_scores_are_never_kept(scores: list[float], message: str, make_store: Callable[[], ValueStore]) -> None:
    with pytest.raises(LabelerError, match=f"labeler fixed: {message}"):
        score_texts(Fixed(scores), ["a", "b"], ["1", "2"], make_store())
    assert make_store().known(["a", "b"]) == set()


def test_texts_without_hashes_are_refused() -> None:
    with pytest.raises(ValueError, match="1 hashes for 2 texts"):
        score_texts(Fixed([1]), ["a"], ["1", "2"], MemoryStore())
    with pytest.raises(ValueError, match="batch_size: 0 texts a batch"):
        compute_missing(lambda texts: [0.0] * len(texts), 0, ["a"], ["1"], MemoryStore())


def test_vectors_are_kept_the_same_way(tmp_path: Path) -> None:
    store = ContentStore(UPath(tmp_path), np.float16)
    compute_missing(
        lambda texts: np.array([[len(each), 1.0] for each in texts]), 2, ["a", "b", "c"], ["1", "22", "333"], store
    )
    assert store.get(["c", "a"]).tolist() == [[3.0, 1.0], [1.0, 1.0]]


@given(st.lists(st.text(max_size=6), max_size=40), st.integers(1, 9), st.integers(0, 6))
def test_wherever_it_stops_every_text_is_scored_exactly_once(
    texts: list[str], batch_size: int, stop_after: int
) -> None:
    store = MemoryStore()
    stopped = Counting(batch_size, stop_after)
    try:
        score_texts(stopped, texts, texts, store)
    except KeyboardInterrupt:
        assert len(stopped.batches) == stop_after
    resumed = Counting(batch_size)
    scores = score_texts(resumed, texts, texts, store)
    assert scores.tobytes() == score_texts(Counting(batch_size), texts, texts, MemoryStore()).tobytes()
    assert sorted(each for batch in stopped.batches + resumed.batches for each in batch) == sorted(set(texts))


WORKER = """
import sys
import numpy as np
from upath import UPath
from al_assets.config import CausalLMSettings as Settings
from al_assets.models.labelers.causal_lm import CausalLMLabeler
from al_assets.models.labelers.prompts import PromptTemplate
from al_assets.models.scoring import score_texts
from al_assets.storage.content_store import ContentStore

model, folder = sys.argv[1:]
settings = Settings(kind="causal_lm", model=model, batch_size=8)
template = PromptTemplate("Is the following remark strongly negative? Answer yes or no.\\n\\nText: ", "\\nAnswer:")


class Announcing(CausalLMLabeler):
    def score(self, texts):
        print(len(texts), flush=True)
        return super().score(texts)


texts = [f"Remark {i}: " + "I really do not like it. " * (i % 9) for i in range(72)]
with Announcing(settings, "f", template, model) as labeler:
    store = ContentStore(UPath(folder), np.float64)
    scores = score_texts(labeler, [f"{i:016x}" for i in range(72)], texts, store)
print(scores.tobytes().hex())
"""


def start_worker(model: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WORKER, model, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


def finish(worker: subprocess.Popen[str]) -> tuple[list[int], str]:
    output, _ = worker.communicate()
    assert worker.returncode == 0
    *batches, scores = output.split()
    return [int(each) for each in batches], scores


@pytest.mark.slow
def test_a_killed_language_model_resumes_and_gives_the_same_bits(tmp_path: Path) -> None:
    from al_assets.demo.fetch import smollm2_directory

    model = str(smollm2_directory())
    batches, undisturbed = finish(start_worker(model, tmp_path / "undisturbed"))
    assert batches == [8] * 9
    with start_worker(model, tmp_path / "killed") as worker:
        assert worker.stdout is not None
        for _ in range(4):
            worker.stdout.readline()
        # The fourth batch has been announced and takes longer than this.
        time.sleep(0.1)
        worker.send_signal(signal.SIGKILL)
        unread = worker.stdout.read()
    assert unread == "", "the batch was over before the process was killed"
    kept = ContentStore(UPath(tmp_path / "killed"), np.float64).known([f"{index:016x}" for index in range(72)])
    assert len(kept) == 24
    again, resumed = finish(start_worker(model, tmp_path / "killed"))
    assert 8 * 4 + sum(again) == 72 + 8, "one batch, the one it was killed in, is scored twice"
    assert resumed == undisturbed
