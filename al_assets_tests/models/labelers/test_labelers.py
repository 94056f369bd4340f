import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from al_assets.config import Policy
from al_assets.models.labelers import labeler_fingerprint, make_labeler
from al_assets.models.labelers.causal_lm import CausalLMLabeler
from al_assets.models.labelers.protocol import probability
from al_assets_tests.models.labelers.conftest import TEXTS

MakePolicy = Callable[..., Policy]
LEXICON = {"kind": "functions", "functions": ["al_assets.demo.lexicon:strongly_negative"]}
CAUSAL = {"kind": "causal_lm", "model": "model"}
OPENAI = {"kind": "openai", "base_url": "http://localhost:1/v1", "model": "model"}
VLLM = {"kind": "vllm", "model": "model"}
BOTH = {"kind": "combination", "labelers": [LEXICON, CAUSAL]}


def fingerprint(make_policy: MakePolicy, labeler: dict[str, Any], **policy: Any) -> str:
    made = make_policy(labeler, **policy)
    with make_labeler(made.labeler, made) as labeler_made:
        assert labeler_made.fingerprint == labeler_fingerprint(made.labeler, made)
        return labeler_made.fingerprint


@pytest.mark.parametrize(
    ("labeler", "change"),
    [
        (CAUSAL, {"batch_size": 7}),
        (CAUSAL, {"device": "cuda"}),
        (OPENAI, {"base_url": "http://elsewhere/v1", "concurrency": 2, "max_retries": 0}),
        (VLLM, {"python": "/opt/vllm/bin/python", "extra_arguments": ["--enforce-eager"]}),
    ],
)
def test_how_fast_and_where_does_not_change_the_fingerprint(
    labeler: dict[str, Any], change: dict[str, Any], make_policy: MakePolicy
) -> None:
    assert fingerprint(make_policy, {**labeler, **change}) == fingerprint(make_policy, labeler)


@pytest.mark.parametrize("labeler", [CAUSAL, OPENAI, VLLM, BOTH])
def test_a_change_of_the_guideline_changes_the_fingerprint_of_whoever_reads_it(
    labeler: dict[str, Any], make_policy: MakePolicy
) -> None:
    assert fingerprint(make_policy, labeler, guideline="Other.") != fingerprint(make_policy, labeler)


def test_a_change_of_the_guideline_means_nothing_to_functions(make_policy: MakePolicy) -> None:
    assert fingerprint(make_policy, LEXICON, guideline="Other.") == fingerprint(make_policy, LEXICON)
    assert fingerprint(make_policy, LEXICON, expected_prevalence=0.3) != fingerprint(make_policy, LEXICON)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"revision": "2"},
        {"dtype": "float32"},
        {"max_tokens": 9},
        {"yes": "y"},
        {"chat_template": True},
        {"prompt": "{text}?"},
    ],
)
def test_settings_that_change_scores_change_the_fingerprint(change: dict[str, Any], make_policy: MakePolicy) -> None:
    assert fingerprint(make_policy, {**CAUSAL, **change}) != fingerprint(make_policy, CAUSAL)
    changed = {"kind": "combination", "labelers": [LEXICON, {**CAUSAL, **change}]}
    assert fingerprint(make_policy, changed) != fingerprint(make_policy, BOTH)


def test_weights_change_the_fingerprint(make_policy: MakePolicy) -> None:
    assert fingerprint(make_policy, {**BOTH, "weights": [1, 2]}) != fingerprint(make_policy, BOTH)


def test_a_tiny_model_labels(make_policy: MakePolicy, tiny_model: Callable[[str], str]) -> None:
    policy = make_policy({"kind": "causal_lm", "model": tiny_model("llama"), "dtype": "float32", "max_tokens": 160})
    with make_labeler(policy.labeler, policy) as labeler:
        assert isinstance(labeler, CausalLMLabeler)
        assert labeler.batch_size == 32
        scores = labeler.score([*TEXTS, "I hate it. " * 100])
        np.testing.assert_array_equal(scores, probability(labeler.logits([*TEXTS, "I hate it. " * 100])))
        labeler.close()
        np.testing.assert_array_equal(labeler.score([*TEXTS, "I hate it. " * 100]), scores)
    assert scores.shape == (len(TEXTS) + 1,)
    assert 0 < scores.min() < scores.max() < 1


@pytest.mark.slow
def test_a_chat_template_is_applied_once(make_policy: MakePolicy, smollm2: str) -> None:
    policy = make_policy(
        {"kind": "causal_lm", "model": smollm2, "chat_template": True, "yes": "Yes", "no": "No", "dtype": "float32"}
    )
    with make_labeler(policy.labeler, policy) as labeler:
        first = labeler.score(TEXTS[:2])
        labeler.close()
        np.testing.assert_array_equal(labeler.score(TEXTS[:2]), first)


def test_probability_is_the_sigmoid_and_never_overflows() -> None:
    logits = np.array([-800.0, -2.0, 0.0, 2.0, 800.0])
    np.testing.assert_allclose(probability(logits), [0, 0.11920292202211755, 0.5, 0.8807970779778823, 1], rtol=1e-12)
    assert probability(np.array([-40.0]))[0] == pytest.approx(4.248354255291589e-18, rel=1e-9)


def test_a_combination_of_a_lexicon_and_a_model(make_policy: MakePolicy, tiny_model: Callable[[str], str]) -> None:
    causal = {**CAUSAL, "model": tiny_model("llama"), "dtype": "float32"}
    scores = []
    for labeler in (LEXICON, causal, {"kind": "combination", "labelers": [LEXICON, causal], "weights": [3, 1]}):
        policy = make_policy(labeler)
        with make_labeler(policy.labeler, policy) as made:
            scores.append(made.score(TEXTS))
    np.testing.assert_allclose(scores[2], 0.75 * scores[0] + 0.25 * scores[1])


def test_making_labelers_imports_nothing_heavy() -> None:
    script = (
        "import sys, al_assets.models.labelers, al_assets.models.scoring\n"
        "heavy = {'torch', 'transformers', 'vllm', 'sklearn', 'scipy', 'joblib'} & set(sys.modules)\n"
        "print(*sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
