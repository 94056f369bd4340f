"""The real vLLM server, in the environment whose interpreter AL_VLLM_PYTHON names (``bash .ci/vllm-env DIRECTORY``)."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from upath import UPath

from al_assets.models.labelers import Labeler, LabelerError, make_labeler
from al_assets.models.labelers.causal_lm import CausalLMLabeler
from al_assets.models.labelers.served import OpenAILabeler, VLLMLabeler
from al_assets.models.scoring import score_texts
from al_assets.storage.content_store import ContentStore
from al_assets_tests.models.labelers.conftest import TEXTS
from al_assets_tests.support.policies import RUDE, policy_in
from al_assets_tests.support.processes import group, wait_until

pytestmark = pytest.mark.vllm
ITEMS = [f"{text} {extra}" for text in TEXTS for extra in ("", "Really.", "I will never come back, you crooks!")]


@pytest.fixture(scope="module")
def python() -> str:
    interpreter = os.environ.get("AL_VLLM_PYTHON")
    if not interpreter:
        pytest.skip("AL_VLLM_PYTHON is not set; 'bash .ci/vllm-env DIRECTORY' makes an environment for vLLM")
    return interpreter


@pytest.fixture(scope="module")
def settings(python: str, smollm2: str) -> dict[str, Any]:
    return {
        "kind": "vllm",
        "model": smollm2,
        "python": python,
        "max_tokens": 256,
        "extra_arguments": ["--enforce-eager"],
        "environment": {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"},
        "concurrency": 4,
        "batch_size": 10,
        "max_retries": 3,
    }


@pytest.fixture(scope="module")
def vllm(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMLabeler]:
    with make_vllm(settings, tmp_path_factory.mktemp("policy")) as labeler:
        yield labeler


def make(settings: dict[str, Any], folder: Path) -> Labeler:
    policy = policy_in(folder, policy=RUDE, labeler=settings)
    return make_labeler(policy.labeler, policy)


def make_vllm(settings: dict[str, Any], folder: Path) -> VLLMLabeler:
    labeler = make(settings, folder)
    assert isinstance(labeler, VLLMLabeler)
    return labeler


def test_scores_agree_with_those_of_transformers(vllm: VLLMLabeler, smollm2: str, tmp_path: Path) -> None:
    causal = make({"kind": "causal_lm", "model": smollm2, "max_tokens": 256, "dtype": "bfloat16"}, tmp_path)
    exact = make({"kind": "causal_lm", "model": smollm2, "max_tokens": 256, "dtype": "float32"}, tmp_path)
    assert isinstance(causal, CausalLMLabeler)
    assert isinstance(exact, CausalLMLabeler)
    served, half, full = vllm.logits(ITEMS), causal.logits(ITEMS), exact.logits(ITEMS)
    figures = {
        name: (np.corrcoef(served, other)[0, 1], np.abs(served - other).max(), p_difference(served, other))
        for name, other in (("bfloat16", half), ("float32", full))
    }
    half_full = np.corrcoef(half, full)[0, 1], np.abs(half - full).max()
    assert np.std(full) > 0.2, "the texts must differ for the correlation to mean anything"
    # Measured: correlation .972 and .981, log-odds within .18 and .16, p within .014 and .012; bfloat16 against float32
    # within transformers: .989, .11. vLLM also rounds the logits themselves to bfloat16.
    for correlation, logit_difference, difference in figures.values():
        assert correlation > 0.95, (figures, half_full)
        assert logit_difference < 0.4, (figures, half_full)
        assert difference < 0.05, (figures, half_full)
    np.testing.assert_array_equal(vllm.score(ITEMS[:3]) > 0.5, vllm.logits(ITEMS[:3]) > 0)


def p_difference(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> float:
    return float(np.abs(1 / (1 + np.exp(-first)) - 1 / (1 + np.exp(-second))).max())


def test_a_running_server_is_used_by_the_openai_labeler(
    vllm: VLLMLabeler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = vllm.logits(ITEMS)
    assert vllm.server is not None
    monkeypatch.setenv("AL_TEST_KEY", vllm.server.api_key)
    openai = {"kind": "openai", "base_url": vllm.server.url, "model": vllm.server.model, "api_key_env": "AL_TEST_KEY",
              "concurrency": 4, "max_retries": 0}  # fmt: skip
    with make(openai, tmp_path) as labeler:
        assert isinstance(labeler, OpenAILabeler)
        # One prompt a request instead of eight: other batches, so other roundings.
        np.testing.assert_allclose(labeler.logits(ITEMS), expected, atol=0.5)
    with make({**openai, "model": "other"}, tmp_path) as labeler, pytest.raises(LabelerError, match=r"serves 'other'"):
        labeler.score(ITEMS[:1])
    monkeypatch.setenv("AL_TEST_KEY", "wrong")
    with make(openai, tmp_path) as labeler, pytest.raises(LabelerError, match="key in AL_TEST_KEY is not accepted"):
        labeler.score(ITEMS[:1])
    with make({**openai, "api_key_env": None}, tmp_path) as labeler, pytest.raises(LabelerError, match="no key was"):
        labeler.score(ITEMS[:1])


def test_requests_run_side_by_side(vllm: VLLMLabeler) -> None:
    vllm.logits(ITEMS[:1])
    server = vllm.server
    assert server is not None
    port = int(server.url.removesuffix("/v1").rsplit(":", 1)[1])
    with ThreadPoolExecutor(1) as pool:
        scoring = pool.submit(vllm.logits, ITEMS * 3)
        # A connection pool opens another connection only while all it has are waiting for an answer.
        connections = [0]
        while not scoring.done():
            open_now = psutil.Process().net_connections(kind="tcp")
            connections.append(sum(1 for each in open_now if each.raddr and each.raddr.port == port))
        assert len(scoring.result()) == 3 * len(ITEMS)
    assert max(connections) == 4


def test_a_text_longer_than_the_model_takes_is_cut(vllm: VLLMLabeler) -> None:
    assert np.isfinite(vllm.logits(["I hate it. " * 500])).all()


def test_a_killed_server_is_an_error_and_a_second_run_goes_on(
    settings: dict[str, Any], smollm2: str, tmp_path: Path
) -> None:
    settings = {**settings, "dtype": "float32"}
    hashes = [f"{index:016x}" for index in range(len(ITEMS))]
    store = ContentStore(UPath(tmp_path / "scores"), np.float64)
    with make_vllm(settings, tmp_path) as labeler:
        killed_at: list[int] = []

        def kill_after_first_batch(done: int, total: int) -> None:
            if done == 10:
                assert labeler.server is not None
                killed_at.append(labeler.server.pid)
                for pid in group(labeler.server.pid) - {labeler.server.pid}:
                    os.kill(pid, signal.SIGKILL)

        start = time.monotonic()
        with pytest.raises(LabelerError, match="has ended. What was scored is kept: run again to go on"):
            score_texts(labeler, hashes, ITEMS, store, kill_after_first_batch)
        assert len(store.known(hashes)) == 10
        assert group(killed_at[0]) == set()
        assert time.monotonic() - start < 300
        kept = {each: float(store.get([each])[0]) for each in store.known(hashes)}
        scores = score_texts(labeler, hashes, ITEMS, store, None)
        assert labeler.server is not None
        pid = labeler.server.pid
        assert group(pid)
    with make({"kind": "causal_lm", "model": smollm2, "max_tokens": 256, "dtype": "float32"}, tmp_path) as exact:
        np.testing.assert_allclose(scores, exact.score(ITEMS), atol=1e-5)
    assert all(scores[hashes.index(each)] == value for each, value in kept.items())
    assert group(pid) == set()


def test_a_killed_labelling_process_takes_its_server_along(settings: dict[str, Any], tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from al_assets.models.labelers.vllm_server import VLLMServer\n"
        f"server = VLLMServer.start({settings['model']!r}, python={settings['python']!r},\n"
        "    arguments=['--dtype', 'bfloat16', '--max-model-len', '256', '--enforce-eager'],\n"
        f"    environment={settings['environment']!r})\n"
        "print(server.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert len(group(pid)) >= 2
        parent.kill()
    assert wait_until(lambda: group(pid) == set(), 40), group(pid)


def test_a_server_that_cannot_load_its_model_shows_its_log(
    settings: dict[str, Any], tmp_path: Path, tiny_model: Callable[[str], str]
) -> None:
    settings = {**settings, "model": tiny_model("llama"), "extra_arguments": ["--no-such-argument"]}
    with make_vllm(settings, tmp_path) as labeler, pytest.raises(LabelerError, match="ended before it was ready") as e:
        labeler.score(["Fine."])
    assert "--no-such-argument" in str(e.value)
