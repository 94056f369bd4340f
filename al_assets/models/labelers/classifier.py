"""Any classifier with scikit-learn's interface that takes texts."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_assets.config import ClassifierLabeler as ClassifierSettings
from al_assets.config import LabelNames
from al_assets.models.labelers.imports import IMPORT_PATH, load_object
from al_assets.models.labelers.protocol import Closing, LabelerError
from al_assets.models.scoring import checked_scores

BATCH_SIZE = 1_000
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")


class ClassifierLabeler(Closing):
    """A fitted classifier; p_positive is the column of ``predict_proba`` that belongs to the positive class."""

    batch_size = BATCH_SIZE

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
        elif IMPORT_PATH.match(name) and not _DRIVE.match(name):
            model = load_object("labeler.model", name, self._base_dir)()
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
        classes = [_plain(each) for each in getattr(model, "classes_", (False, True))]
        positives = (True, "positive", self._labels.positive, "1", "true", "True")
        found = [index for index, each in enumerate(classes) if each in positives]
        if len(classes) != 2 or len(found) != 1:
            raise LabelerError(
                f"labeler.model: {self._settings.model!r} tells the classes {classes} apart; expected two, one of "
                f"them True, 1, 'positive' or policy.labels.positive ({self._labels.positive!r})"
            )
        return found[0]


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
