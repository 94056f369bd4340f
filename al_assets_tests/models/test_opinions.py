from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from al_assets.models.incumbent import llm0, open_incumbent
from al_assets.models.opinions import Opinions, opinions_on_pool
from al_assets.storage.root import RunRoot, text_hash
from al_assets_tests.support.policies import RUDE, policy_in

LEXICON = {"kind": "functions", "functions": ["al_assets.demo.lexicon:strongly_negative"]}
WORDS = {"kind": "keywords", "positive": ["hate"], "negative": ["love"]}
NEVER = {"kind": "keywords", "positive": ["no such word"]}
BOTH = {"kind": "combination", "labelers": [LEXICON, WORDS, NEVER]}
TEXTS = ["I hate it", "rather bad", "I love it", "You gave me this", "love? awful, horrible, disgusting", "ok"]


def opinions(labeler: dict[str, Any], folder: Path, texts: list[str] = TEXTS) -> Opinions:
    policy = policy_in(folder, policy={**RUDE, "expected_prevalence": 0.3}, labeler=labeler)
    root, incumbent = RunRoot(str(folder / "root")), llm0(policy)
    with open_incumbent(incumbent, policy, root) as opened:
        return opinions_on_pool(opened, [text_hash(text) for text in texts], texts, root.scores(incumbent.fingerprint))


def test_a_single_labeler_has_nobody_to_disagree_with(tmp_path: Path) -> None:
    found = opinions(LEXICON, tmp_path)
    assert found.disagreement is None
    assert found.members.is_empty()
    assert found.member_table(np.ones(len(TEXTS), dtype=np.bool_)).is_empty()
    assert found.p_positive[1] > found.p_positive[2]


@pytest.mark.parametrize("method", ["mean", "label_model"])
def test_members_disagree_where_their_votes_do(method: str, tmp_path: Path) -> None:
    found = opinions({**BOTH, "method": method}, tmp_path)
    assert found.disagreement is not None
    # The lexicon calls two of six positive; only where the words are found is there anybody to disagree with.
    assert found.calls is not None
    assert found.calls[:, 0].sum() == 2
    np.testing.assert_array_equal(found.calls[:, 1], [1, np.nan, 0, np.nan, 0, np.nan])
    assert found.disagreement.tolist() == [1 - found.calls[0, 0], 0, 0, 0, found.calls[4, 0], 0]
    assert found.disagreement.sum() > 0

    table = found.member_table(found.p_positive >= 0.3)
    assert table["member"].to_list() == ["al_assets.demo.lexicon:strongly_negative", "keywords: hate, love",
                                         "keywords: no such word"]  # fmt: skip
    assert table["coverage"].to_list() == [1, 0.5, 0]
    assert table["says_yes"].to_list() == [pytest.approx(1 / 3), pytest.approx(1 / 3), None]
    assert table["agreement"].to_list()[2] is None
    assert table["agreement"].is_between(0, 1).sum() == 2
    assert table["sensitivity"].null_count() == (3 if method == "mean" else 1)


def test_a_label_model_is_fitted_to_the_first_pool_and_kept_for_the_next(tmp_path: Path) -> None:
    labeler = {**BOTH, "method": "label_model"}
    first = opinions(labeler, tmp_path)
    assert first.p_positive.mean() == pytest.approx(0.3)
    later = opinions(labeler, tmp_path, [*TEXTS, "I hate, hate, hate it"] * 2)
    np.testing.assert_array_equal(later.p_positive[: len(TEXTS)], first.p_positive)
    assert later.p_positive.mean() > 0.3
    assert isinstance(later.members, pl.DataFrame)
    assert later.members.equals(first.members)
