"""What a label model has found out about several labelers, and what it makes of their votes.

``fit_label_model`` fits one; see there for what it assumes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.thresholds import prevalence_threshold


@dataclass(frozen=True)
class Member:
    """What was found out about one labeler.

    :param coverage: share of the items on which it votes.
    :param threshold: its votes at or above it are a yes: see ``vote_threshold``.
    :param sensitivity: estimated share of yes among its votes on positive items, ``specificity`` of no on negative
        ones; None if it never votes.
    :param weight: 1, or less if others echo it: two that are alike weigh one half each.
    :param knots: votes, rising, with the log of P(vote | positive) / P(vote | negative) at each in ``evidence``, which
        never falls; read linearly in between. ``silence`` is that of no vote.
    """

    name: str
    coverage: float
    threshold: float
    sensitivity: float | None
    specificity: float | None
    weight: float
    knots: tuple[float, ...]
    evidence: tuple[float, ...]
    silence: float

    def evidence_of(self, votes: Floats) -> Floats:
        """Return the log-likelihood ratio of each vote, shape (items,)."""
        if not self.knots:
            return np.where(np.isnan(votes), self.silence, 0.0)
        return np.where(np.isnan(votes), self.silence, np.interp(votes, self.knots, self.evidence))


@dataclass(frozen=True)
class LabelModel:
    """A fitted label model: for a vote, the labelers' evidence added up.

    :param level: log-odds to start from: those of the prevalence, moved so that the pool's mean is the prevalence.
    :param items: it was fitted to.
    :param log_posterior: after each iteration, without constants; never falls.
    """

    members: tuple[Member, ...]
    prevalence: float
    level: float
    items: int
    log_posterior: tuple[float, ...]

    @property
    def weights(self) -> Floats:
        """The members' weights, shape (members,)."""
        return np.array([each.weight for each in self.members])

    @property
    def thresholds(self) -> Floats:
        """The members' thresholds, shape (members,)."""
        return np.array([each.threshold for each in self.members])

    def posterior(self, votes: Floats) -> Floats:
        """Return the probability of positive of each item, shape (items,); never falls where a vote rises.

        :param votes: shape (items, members), in [0, 1], NaN for none; also of items the model was not fitted to.
        :raises ValueError: another number of members, or votes outside [0, 1].
        """
        from scipy.special import expit

        check_votes(votes, len(self.members))
        log_odds = np.full(len(votes), self.level)
        for column, member in zip(votes.T, self.members, strict=True):
            log_odds += member.weight * member.evidence_of(column)
        return np.asarray(expit(log_odds))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the model whose ``asdict`` this is, tuples as JSON has them.

        :raises KeyError, TypeError: these are not its values.
        """
        members = tuple(
            Member(**{**each, "knots": tuple(each["knots"]), "evidence": tuple(each["evidence"])})
            for each in values["members"]
        )
        return cls(**{**values, "members": members, "log_posterior": tuple(values["log_posterior"])})


def vote_threshold(votes: Floats, prevalence: float) -> float:
    """Return the vote from which a labeler says yes.

    One half for a labeler that abstains or says 0 and 1 only, as both mean what they say. The scores of any other are
    taken as a ranking: as many items are called positive as are expected to be.

    :param votes: shape (items,), in [0, 1], NaN for none.
    """
    given = votes[~np.isnan(votes)]
    if len(given) < len(votes) or not len(votes) or bool(np.isin(given, (0, 1)).all()):
        return 0.5
    return prevalence_threshold(given, prevalence)


def calls_of(votes: Floats, thresholds: Floats) -> Floats:
    """Return what each vote says: 1 at or above its member's threshold, 0 below, NaN for none; shape as votes."""
    return np.where(np.isnan(votes), np.nan, votes >= thresholds)


def disagreement_of(calls: Floats, weights: Floats) -> Floats:
    """Return how far the members disagree on each item: 2 min(yes, no) / (yes + no), by weight.

    0 where all who vote say the same or fewer than two vote, 1 where as much weight says yes as says no.

    :param calls: shape (items, members), 1, 0 or NaN.
    :param weights: shape (members,), > 0.
    :return: shape (items,).
    """
    yes = (calls == 1) @ weights
    no = (calls == 0) @ weights
    voted = yes + no
    # A sum of weights may come out a last digit apart from the same weights in another order.
    return np.asarray(np.clip(2 * np.minimum(yes, no) / np.where(voted > 0, voted, 1.0), 0.0, 1.0))


def check_votes(votes: Floats, members: int) -> None:
    """Do nothing if these are votes of so many members.

    :raises ValueError: another shape, or votes outside [0, 1].
    """
    if votes.ndim != 2 or votes.shape[1] != members:
        raise ValueError(f"votes: shape {votes.shape}; expected (items, {members}), one column for each member")
    wrong = ~np.isnan(votes) & ~((votes >= 0) & (votes <= 1))
    if wrong.any():
        raise ValueError(
            f"votes: {int(wrong.sum())} of {votes.size} are not in [0, 1], such as {votes[wrong][0]:g}; give "
            "p_positive, or NaN for no vote"
        )
