import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from pydantic import ValidationError

from al_assets.config import KeywordsSettings, Policy
from al_assets.models.labelers import Labeler, LabelerError, make_labeler
from al_assets.models.labelers.protocol import Abstaining

MakePolicy = Callable[..., Policy]


@pytest.fixture
def module(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Write labelling functions beside the policy file, in a module named for the test."""
    name = "functions_of_" + re.sub(r"\W", "_", request.node.name)
    (tmp_path / f"{name}.py").write_text(
        "def hate(text): return 1.0 if 'hate' in text else None\n"
        "def shouts(text): return text.isupper()\n"
        "def short(text): return 0.25 if len(text) < 5 else None\n"
        "def percent(text): return 80\n"
        "def word(text): return 'yes'\n"
        "def nan(text): return float('nan')\n"
        "def fails(text): return text[100]\n"
        "number = 3\n",
        encoding="utf-8",
    )
    return name


def labeler_of(make_policy: MakePolicy, *functions: str, **policy: object) -> Labeler:
    made = make_policy({"kind": "functions", "functions": list(functions)}, **policy)
    return make_labeler(made.labeler, made)


def test_functions_that_do_not_abstain_are_averaged(module: str, make_policy: MakePolicy) -> None:
    functions = [f"{module}:{name}" for name in ("hate", "shouts", "short")]
    with labeler_of(make_policy, *functions) as labeler:
        scores = labeler.score(["I hate it", "HOT", "hot", "it is what it is"])
    assert scores.tolist() == [0.5, 0.625, 0.125, 0.0]


def test_where_all_abstain_the_expected_prevalence_stands(module: str, make_policy: MakePolicy) -> None:
    with labeler_of(make_policy, f"{module}:hate", expected_prevalence=0.07) as labeler:
        assert labeler.score(["fine", "I hate it"]).tolist() == [0.07, 1.0]


def test_the_demo_lexicon_is_a_labelling_function(make_policy: MakePolicy) -> None:
    with labeler_of(make_policy, "al_assets.demo.lexicon:strongly_negative") as labeler:
        low, high = labeler.score(["I love this wonderful place", "horrible, disgusting, I hate it"])
    assert low < high


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("percent", r"percent' returned 80 for the text 'fine'; return a number in \[0, 1\], or None to abstain"),
        ("word", r"word' returned 'yes'"),
        ("nan", r"nan' returned nan"),
        ("fails", r"fails' raised IndexError: string index out of range on the text 'fine'; let it return None"),
        ("number", r"number' is int, not a function"),
        ("nothing", r"has no 'nothing'"),
    ],
)
def test_a_wrong_function_is_named(function: str, message: str, module: str, make_policy: MakePolicy) -> None:
    with labeler_of(make_policy, f"{module}:{function}") as labeler, pytest.raises(LabelerError, match=message):
        labeler.score(["fine"])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_module:f", "cannot be imported: No module named 'no_such_module'"),
        ("functions.f", "is not of the form"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: str, message: str, make_policy: MakePolicy) -> None:
    with labeler_of(make_policy, path) as labeler, pytest.raises(LabelerError, match=f"labeler.functions: .*{message}"):
        labeler.score(["fine"])


TEXTS = ["I hate it", "lovely", "I hate you", "very nice", "hate", "nice"]
LABELS = [True, False, True, False, True, False]


def fitted(classes: dict[bool, Any]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [classes[each] for each in LABELS])


def classifier_of(make_policy: MakePolicy, model: str, **policy: Any) -> Labeler:
    made = make_policy({"kind": "classifier", "model": model}, **policy)
    return make_labeler(made.labeler, made)


@pytest.mark.parametrize(
    "classes",
    [
        {True: True, False: False},
        {True: 1, False: 0},
        {True: "positive", False: "negative"},
        {True: "Rude", False: "fine"},
    ],
)
def test_the_positive_class_is_found_by_its_name(classes: Any, make_policy: MakePolicy, tmp_path: Path) -> None:
    model = fitted(classes)
    joblib.dump(model, tmp_path / "model.joblib")
    labels = {"positive": "Rude", "negative": "fine"}
    with classifier_of(make_policy, "model.joblib", labels=labels) as labeler:
        scores = labeler.score(TEXTS)
        assert labeler.score([]).shape == (0,)
    column = list(model.classes_).index(classes[True])
    np.testing.assert_array_equal(scores, model.predict_proba(TEXTS)[:, column])
    assert min(scores[::2]) > 0.5 > max(scores[1::2])


def test_a_factory_beside_the_policy_file_is_called(make_policy: MakePolicy, tmp_path: Path) -> None:
    (tmp_path / "constant_classifier.py").write_text(
        "import numpy as np\n"
        "class Constant:\n"
        "    def predict_proba(self, texts): return np.tile([0.75, 0.25], (len(texts), 1))\n"
        "def make(): return Constant()\n",
        encoding="utf-8",
    )
    with classifier_of(make_policy, "constant_classifier:make") as labeler:
        assert labeler.score(["a", "b"]).tolist() == [0.25, 0.25]


def test_classes_of_which_none_is_positive_are_refused(make_policy: MakePolicy, tmp_path: Path) -> None:
    joblib.dump(fitted({True: "spam", False: "ham"}), tmp_path / "model.joblib")
    with (
        classifier_of(make_policy, "model.joblib") as labeler,
        pytest.raises(LabelerError, match=r"\['ham', 'spam'\] apart; expected two, one of them True"),
    ):
        labeler.score(["a"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is neither a file .* nor a 'package.module:factory' path"),
        (b"not a joblib file", "cannot be read by joblib"),
        ({"weights": 1}, "is a dict without predict_proba"),
    ],
)
def test_a_file_without_a_classifier_is_refused(
    content: Any, message: str, make_policy: MakePolicy, tmp_path: Path
) -> None:
    if isinstance(content, bytes):
        (tmp_path / "model.joblib").write_bytes(content)
    elif content:
        joblib.dump(content, tmp_path / "model.joblib")
    with classifier_of(make_policy, "model.joblib") as labeler, pytest.raises(LabelerError, match=message):
        labeler.score(["a"])


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
