import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from al_assets.config import KeywordsSettings, Policy
from al_assets.models.labelers import make_labeler
from al_assets.models.labelers.protocol import Abstaining

MakePolicy = Callable[..., Policy]
WORDS = {"kind": "keywords", "positive": ["hate", "waste of money", "$$$"], "negative": ["love", ":-)"]}


def votes(make_policy: MakePolicy, texts: list[str], **settings: Any) -> list[float | None]:
    policy = make_policy({**WORDS, **settings})
    with make_labeler(policy.labeler, policy) as labeler:
        assert isinstance(labeler, Abstaining)
        return [None if math.isnan(vote) else vote for vote in labeler.votes(texts)]


def test_words_speak_for_and_against_and_both_or_neither_are_no_vote(make_policy: MakePolicy) -> None:
    texts = ["I hate it", "I love it", "I love to hate it", "It came.", ""]
    assert votes(make_policy, texts) == [1, 0, None, None, None]


def test_whole_words_in_any_case_and_over_any_space(make_policy: MakePolicy) -> None:
    texts = ["HATE!", "whatever", "a Waste of\n money", "hates", "so $$$", "me:-)", "it :-)"]
    assert votes(make_policy, texts) == [1, None, 1, None, 1, None, 0]
    assert votes(make_policy, ["chateau", "HATE", "hated"], whole_words=False) == [1, 1, 1]
    assert votes(make_policy, ["HATE", "hate"], ignore_case=False) == [None, 1]


def test_a_keyword_is_no_pattern_unless_asked_for(make_policy: MakePolicy) -> None:
    lists: dict[str, Any] = {"positive": ["c.t", "(x"], "negative": []}
    assert votes(make_policy, ["cat", "c.t", "(x"], **lists) == [None, 1, 1]
    patterns: dict[str, Any] = {"positive": [r"c.t", r"^(a)\1"], "negative": [r"\bno\b"], "regex": True}
    assert votes(make_policy, ["concat", "aa b", "no", "know", "b aa"], **patterns) == [1, 1, 0, None, None]


def test_alone_it_gives_the_expected_prevalence_where_it_abstains(make_policy: MakePolicy) -> None:
    policy = make_policy(WORDS, expected_prevalence=0.07)
    with make_labeler(policy.labeler, policy) as labeler:
        assert labeler.score(["It came.", "I hate it"]).tolist() == [0.07, 1]
        assert labeler.score([]).shape == (0,)
        assert np.isfinite(labeler.score(["x"])).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"positive": ["(", "a"], "regex": True}, r"'\(' is not a regular expression: missing \)"),
        ({"negative": ["a*+?*"], "regex": True}, r"'a\*\+\?\*' is not a regular expression"),
        ({}, "neither positive nor negative words are named"),
        ({"positive": ["a", " "]}, "a keyword is blank"),
        ({"positive": ["a"], "negative": ["a"]}, "'a' is both positive and negative"),
        ({"positive": ["a"], "regexp": True}, "unknown key 'regexp'; did you mean 'regex'"),
    ],
)
def test_what_cannot_be_looked_for_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        KeywordsSettings.model_validate({"kind": "keywords", **settings})


def test_words_and_prevalence_are_in_the_fingerprint(make_policy: MakePolicy) -> None:
    prints = []
    for settings, prevalence in (({}, 0.1), ({"positive": ["hate"]}, 0.1), ({"whole_words": False}, 0.1), ({}, 0.2)):
        policy = make_policy({**WORDS, **settings}, expected_prevalence=prevalence)
        prints.append(make_labeler(policy.labeler, policy).fingerprint)
    assert len(set(prints)) == len(prints)
