import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from al_assets.demo import lexicon, vader


def test_more_negative_words_score_higher() -> None:
    terrible, plain, lovely = (
        lexicon.strongly_negative(text)
        for text in ("This is terrible, I hate it.", "The box is on the table.", "What a lovely, great day!")
    )
    assert 0 <= lovely < plain == 0.5 < terrible <= 1


def test_it_ranks_the_demo_texts_usefully_but_not_perfectly() -> None:
    texts = vader.sample_pool(vader.load_texts(), 2_000)
    truth = vader.majority(vader.simulate_experts(texts["ratings"].to_list()))
    scores = np.array([lexicon.strongly_negative(text) for text in texts["text"]])
    assert 0.78 < roc_auc_score(truth, scores) < 0.93


def test_without_its_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    lexicon._analyzer.cache_clear()
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    with pytest.raises(ValueError, match=r"needs the package vaderSentiment; install al_assets\[demo\]"):
        lexicon.strongly_negative("text")
