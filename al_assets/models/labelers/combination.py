"""Several labelers as one: the mean of what they say, or what a label model makes of it."""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from upath import UPath

from al_assets.models.label_model.fit import fit_label_model
from al_assets.models.label_model.fitted_model import LabelModel
from al_assets.models.labelers.protocol import Abstaining, KeepsVotes, Labeler, LabelerError
from al_assets.models.scoring import ValueStore, checked_scores, vote_texts
from al_assets.storage.atomic import write_bytes

LABEL_MODEL_VERSION = 1
"""Raise it when the same votes come to other probabilities: it is part of the fingerprint."""


@dataclass(frozen=True)
class MemberLabeler:
    """One labeler of a combination.

    :param name: what it is called in tables, unique among the members.
    """

    name: str
    labeler: Labeler

    @property
    def store_name(self) -> str:
        """Which store its votes are in: that of its scores, or one of its own if it may give no vote.

        So what an LLM once said counts for it alone and for every combination it is a member of.
        """
        return f"{self.labeler.fingerprint}-votes" if isinstance(self.labeler, Abstaining) else self.labeler.fingerprint

    def vote(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return p_positive in [0, 1] of each text, NaN where it abstains, shape (n,)."""
        if isinstance(self.labeler, Abstaining):
            return self.labeler.votes(texts)
        return checked_scores(self.labeler.score(texts), len(texts), self.labeler.fingerprint)


class CombinationLabeler(KeepsVotes):
    """The weighted mean of its members' p_positive; where one abstains, the expected prevalence stands for it."""

    def __init__(
        self, members: Sequence[MemberLabeler], weights: Sequence[float] | None, fingerprint: str, prior: float
    ) -> None:
        """Take over the members, which are closed with this labeler.

        :param weights: one above 0 for each member; None weighs them alike.
        :param prior: the expected prevalence.
        """
        self.fingerprint = fingerprint
        self.batch_size = min(member.labeler.batch_size for member in members)
        self.members = list(members)
        self.weights = np.array([1.0] * len(self.members) if weights is None else weights, dtype=np.float64)
        self.prior = prior
        self._stores: Callable[[str], ValueStore] | None = None

    def keep_in(self, stores: Callable[[str], ValueStore]) -> None:
        """Tell where votes are kept.

        :param stores: opens the store of a name, such as ``RunRoot.scores``.
        """
        self._stores, self.keeps_votes = stores, True

    def votes(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return every member's vote on each text, NaN where it abstains, shape (n, members)."""
        return np.stack([member.vote(texts) for member in self.members], axis=1)

    def kept_votes(
        self, hashes: Sequence[str], texts: Sequence[str], progress: Callable[[int, int], None] | None = None
    ) -> NDArray[np.float64]:
        """Return every member's vote on each text, shape (n, members); members are asked only for what is not kept.

        :param progress: called with (votes given, votes in all).
        :raises ValueError: it was not told where votes are kept.
        """
        if self._stores is None:
            raise ValueError(f"combination {self.fingerprint}: keeps no votes; call keep_in first")
        columns = []
        for place, member in enumerate(self.members):
            told = progress and _share_of(progress, place, len(self.members))
            store = self._stores(member.store_name)
            columns.append(vote_texts(member.vote, member.labeler.batch_size, hashes, texts, store, told))
        return np.stack(columns, axis=1)

    def combine(self, votes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return p_positive of each text from the members' votes, shape (n,)."""
        mean = np.average(np.where(np.isnan(votes), self.prior, votes).T, axis=0, weights=self.weights)
        # A mean of ones may round to just above 1.
        return np.asarray(np.clip(mean, 0.0, 1.0), dtype=np.float64)

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return p_positive of each text, shape (n,)."""
        return self.combine(self.votes(texts))

    def score_kept(
        self, hashes: Sequence[str], texts: Sequence[str], progress: Callable[[int, int], None] | None = None
    ) -> NDArray[np.float64]:
        """Return p_positive of each text, shape (n,); its members are asked only for votes that are not kept."""
        return self.combine(self.kept_votes(hashes, texts, progress))

    def close(self) -> None:
        """Close every member, even if closing one fails."""
        with ExitStack() as stack:
            for member in self.members:
                stack.callback(member.labeler.close)


class LabelModelLabeler(CombinationLabeler):
    """The posterior of a label model, which is fitted once, to the votes on the pool, and then kept."""

    def __init__(self, members: Sequence[MemberLabeler], fingerprint: str, prior: float) -> None:
        """Take over the members, which are closed with this labeler."""
        super().__init__(members, None, fingerprint, prior)
        self._path: UPath | None = None
        self._model: LabelModel | None = None

    def read_model(self, path: UPath) -> None:
        """Tell where the label model is kept; it is read when needed, and need not be there before it is fitted."""
        self._path, self._model = path, None

    @property
    def is_fitted(self) -> bool:
        """Whether there is a label model."""
        return self._model is not None or (self._path is not None and self._path.exists())

    @property
    def model(self) -> LabelModel:
        """The label model.

        :raises LabelerError: it was never fitted, or its file is damaged.
        """
        self._model = self._model or self._read()
        return self._model

    def fit(self, votes: NDArray[np.float64]) -> LabelModel:
        """Fit the label model to the votes on the pool, keep it, and return it.

        :param votes: shape (items, members).
        """
        self._model = fit_label_model(votes, [member.name for member in self.members], self.prior)
        if self._path is not None:
            write_bytes(self._path, json.dumps(asdict(self._model), indent=1).encode())
        return self._model

    def combine(self, votes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the posterior of each text from the members' votes, shape (n,).

        :raises LabelerError: the label model was never fitted, or its file is damaged.
        """
        return self.model.posterior(votes)

    def _read(self) -> LabelModel:
        if self._path is None or not self._path.exists():
            raise LabelerError(
                f"labeler.method: the label model {self.fingerprint} was not fitted yet (no file {self._path}); "
                "materialize pseudo_labels of the first iteration, which fits it to the pool"
            )
        try:
            model = LabelModel.of(json.loads(self._path.read_bytes()))
        except (ValueError, KeyError, TypeError) as error:
            raise LabelerError(
                f"{self._path}: is damaged ({type(error).__name__}: {error}); delete it and materialize pseudo_labels "
                "of the first iteration again"
            ) from error
        if len(model.members) != len(self.members):
            raise LabelerError(
                f"{self._path}: is of {len(model.members)} labelers, the policy names {len(self.members)}; delete it "
                "and materialize pseudo_labels of the first iteration again"
            )
        return model


def _share_of(progress: Callable[[int, int], None], place: int, members: int) -> Callable[[int, int], None]:
    return lambda done, total: progress(place * total + done, members * total)
