"""Labelling functions: plain Python that says how likely a text violates the policy, or abstains."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_assets.config import FunctionsLabeler as FunctionsSettings
from al_assets.models.labelers.imports import load_object
from al_assets.models.labelers.protocol import Abstaining, LabelerError

BATCH_SIZE = 1_000


class FunctionsLabeler(Abstaining):
    """The mean of the functions that do not abstain; where all abstain, the prevalence expected by the policy."""

    batch_size = BATCH_SIZE

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
        function = load_object("labeler.functions", path, self._base_dir)
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
