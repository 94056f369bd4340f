from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from al_assets.config import Policy
from al_assets.models.labelers import Labeler, LabelerError, make_labeler

MakePolicy = Callable[..., Policy]
TEXTS = ["I hate it", "lovely", "I hate you", "very nice", "hate", "nice"]
LABELS = [True, False, True, False, True, False]


def fitted(classes: dict[bool, Any]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [classes[each] for each in LABELS])


def labeler_of(make_policy: MakePolicy, model: str, **policy: Any) -> Labeler:
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
    with labeler_of(make_policy, "model.joblib", labels=labels) as labeler:
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
    with labeler_of(make_policy, "constant_classifier:make") as labeler:
        assert labeler.score(["a", "b"]).tolist() == [0.25, 0.25]


def test_classes_of_which_none_is_positive_are_refused(make_policy: MakePolicy, tmp_path: Path) -> None:
    joblib.dump(fitted({True: "spam", False: "ham"}), tmp_path / "model.joblib")
    with (
        labeler_of(make_policy, "model.joblib") as labeler,
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
    with labeler_of(make_policy, "model.joblib") as labeler, pytest.raises(LabelerError, match=message):
        labeler.score(["a"])
