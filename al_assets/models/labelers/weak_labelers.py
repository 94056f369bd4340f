"""Labelers without a language model: labelling functions, keyword lists, and classifiers as scikit-learn has them."""

import importlib
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_assets.config import ClassifierSettings, FunctionsSettings, KeywordsSettings, LabelNames
from al_assets.models.labelers.protocol import Abstaining, Labeler, LabelerError
from al_assets.models.scoring import checked_scores

_IMPORT_PATH = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")


class FunctionsLabeler(Abstaining):
    """The mean of the functions that do not abstain; where all abstain, the prevalence expected by the policy."""

    batch_size = 1_000

    def __init__(self, settings: FunctionsSettings, fingerprint: str, prior: float, base_dir: Path) -> None:
        """Name the functions; they are imported by the first ``score``.

        :param prior: p_positive of a text on which every function abstains.
        """
        super().__init__(prior)
        self.fingerprint = fingerprint
        self._settings = settings
        self._base_dir = base_dir
        self._functions: list[tuple[str, Callable[[str], Any]]] = []

    def votes(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the mean of the functions that do not abstain, NaN where all do, shape (n,).

        :raises LabelerError: a function cannot be imported, raises, or returns anything but None or a number in [0, 1].
        """
        if not self._functions:
            self._functions = [self._load(path) for path in self._settings.functions]
        return np.array([self._mean(text) for text in texts], dtype=np.float64)

    def close(self) -> None:
        """Forget the functions."""
        self._functions = []

    def _load(self, path: str) -> tuple[str, Callable[[str], Any]]:
        function = _load_object("labeler.functions", path, self._base_dir)
        if not callable(function):
            raise LabelerError(f"labeler.functions: {path!r} is {type(function).__name__}, not a function")
        return path, function

    def _mean(self, text: str) -> float:
        votes = [vote for path, function in self._functions if (vote := _vote(path, function, text)) is not None]
        return math.fsum(votes) / len(votes) if votes else math.nan


def _vote(path: str, function: Callable[[str], Any], text: str) -> float | None:
    try:
        value = function(text)
    except Exception as error:
        raise LabelerError(
            f"labeler.functions: {path!r} raised {type(error).__name__}: {error} on the text {text[:80]!r}; "
            "let it return None where it cannot tell"
        ) from error
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        raise LabelerError(
            f"labeler.functions: {path!r} returned {value!r} for the text {text[:80]!r}; return a number in [0, 1], "
            "or None to abstain"
        )
    return number


class KeywordsLabeler(Abstaining):
    """1 where only words that speak for it are found, 0 where only words against it are, else no vote."""

    batch_size = 10_000

    def __init__(self, settings: KeywordsSettings, fingerprint: str, prior: float) -> None:
        """Compile the patterns.

        :param prior: p_positive of a text on which it abstains.
        """
        super().__init__(prior)
        self.fingerprint = fingerprint
        self._positive = _patterns(settings.positive, settings)
        self._negative = _patterns(settings.negative, settings)

    def votes(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return 1, 0, or NaN where neither or both kinds of words are found, shape (n,)."""
        return np.array([self._vote(text) for text in texts], dtype=np.float64)

    def _vote(self, text: str) -> float:
        positive = any(pattern.search(text) for pattern in self._positive)
        negative = any(pattern.search(text) for pattern in self._negative)
        return np.nan if positive == negative else float(positive)


def _patterns(words: Sequence[str], settings: KeywordsSettings) -> list[re.Pattern[str]]:
    flags = re.IGNORECASE if settings.ignore_case else 0
    if settings.regex:
        # One by one: numbered groups and flags of one must not reach into the next.
        return [re.compile(word, flags) for word in words]
    if not words:
        return []
    joined = "|".join(r"\s+".join(map(re.escape, word.split())) for word in words)
    # Not \b, which would never match before or after a keyword that starts or ends with a sign.
    return [re.compile(rf"(?<!\w)(?:{joined})(?!\w)" if settings.whole_words else joined, flags)]


class ClassifierLabeler(Labeler):
    """A fitted classifier; p_positive is the column of ``predict_proba`` that belongs to the positive class."""

    batch_size = 1_000

    def __init__(self, settings: ClassifierSettings, fingerprint: str, labels: LabelNames, base_dir: Path) -> None:
        """Name the classifier; it is loaded by the first ``score``."""
        self.fingerprint = fingerprint
        self._settings = settings
        self._labels = labels
        self._base_dir = base_dir
        self._model: Any = None
        self._column = 1

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return p_positive in [0, 1] of each text, shape (n,).

        :raises LabelerError: the classifier cannot be loaded, is not one, or does not tell two classes apart.
        """
        if not texts:
            return np.empty(0, dtype=np.float64)
        if self._model is None:
            self._model = self._load()
            self._column = self._positive_column(self._model)
        probabilities = np.asarray(self._model.predict_proba(list(texts)), dtype=np.float64)
        if probabilities.shape != (len(texts), 2):
            raise LabelerError(
                f"labeler.model: {self._settings.model!r} returned probabilities of shape {probabilities.shape} for "
                f"{len(texts)} texts; expected ({len(texts)}, 2), negative and positive"
            )
        return checked_scores(probabilities[:, self._column], len(texts), self.fingerprint)

    def close(self) -> None:
        """Free the classifier."""
        self._model = None

    def _load(self) -> Any:
        name = self._settings.model
        file = self._base_dir / name
        if file.is_file():
            model = _read_joblib(name, file)
        elif _IMPORT_PATH.match(name) and not _DRIVE.match(name):
            model = _load_object("labeler.model", name, self._base_dir)()
        else:
            raise LabelerError(
                f"labeler.model: {name!r} is neither a file ({file}) nor a 'package.module:factory' path; save the "
                "classifier with joblib.dump(model, file), or name a function that returns it"
            )
        if not callable(getattr(model, "predict_proba", None)):
            raise LabelerError(
                f"labeler.model: {name!r} is a {type(model).__name__} without predict_proba; use a pipeline from text "
                "to probabilities, such as make_pipeline(TfidfVectorizer(), LogisticRegression())"
            )
        return model

    def _positive_column(self, model: Any) -> int:
        classes = [_plain(name) for name in getattr(model, "classes_", (False, True))]
        positives = (True, "positive", self._labels.positive, "1", "true", "True")
        positive = [index for index, name in enumerate(classes) if name in positives]
        if len(classes) != 2 or len(positive) != 1:
            raise LabelerError(
                f"labeler.model: {self._settings.model!r} tells the classes {classes} apart; expected two, one of "
                f"them True, 1, 'positive' or policy.labels.positive ({self._labels.positive!r})"
            )
        return positive[0]


def _read_joblib(name: str, file: Path) -> Any:
    import joblib

    try:
        return joblib.load(file)
    except Exception as error:
        raise LabelerError(
            f"labeler.model: {name!r} ({file}) cannot be read by joblib: {type(error).__name__}: {error}; save it "
            "again with the package versions installed here"
        ) from error


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _load_object(setting: str, path: str, base_dir: Path) -> Any:
    """Import ``module:name``; modules beside the policy file are found too.

    :param setting: name of the setting, for the error.
    :raises LabelerError: the path is malformed, or module or name do not exist.
    """
    if not _IMPORT_PATH.match(path):
        raise LabelerError(f"{setting}: {path!r} is not of the form 'package.module:name'")
    module_name, _, name = path.partition(":")
    with _importable(base_dir):
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            raise LabelerError(
                f"{setting}: {path!r} cannot be imported: {error}; install the package that holds it, or put the "
                f"module beside the policy file, in {base_dir}"
            ) from error
    if not hasattr(module, name):
        raise LabelerError(f"{setting}: module {module_name!r} ({module.__file__}) has no {name!r}")
    return getattr(module, name)


@contextmanager
def _importable(base_dir: Path) -> Iterator[None]:
    entry = str(base_dir.resolve())
    sys.path.append(entry)
    try:
        yield
    finally:
        sys.path.remove(entry)
