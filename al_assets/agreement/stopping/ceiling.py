"""The ceiling test: whether the model agrees with the experts as well as they do with each other, on the same items."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import Distribution, Interval, grouped_distributions
from al_assets.agreement.core.kappa import Floats, Panel, kappa_of, mean_defined, pair_cells
from al_assets.agreement.planning.sample_size import items_until
from al_assets.agreement.report.parity_difference import parity_distribution

PARITY = "parity"
BELOW = "below"
UNDECIDED = "undecided"
ONE_SIDED_95 = 0.90


@dataclass(frozen=True)
class CeilingOutcome:
    """What a difference between model-expert and expert-expert kappa says.

    :param outcome: parity, below or undecided; None if the difference could not be measured.
    :param further_labels: further evaluation items, each with the votes that items have now, after which the test
        would decide if the difference stays; 0 if it has decided; None if it sits on the margin or was not measured.
    """

    outcome: str | None
    further_labels: int | None
    text: str


@dataclass(frozen=True)
class ExpertCeiling:
    """One expert: kappa with the model, mean kappa with the other experts, and their difference (95 % interval)."""

    expert: int
    model_kappa: float | None
    peer_kappa: float | None
    difference: Interval


@dataclass(frozen=True)
class CeilingTest:
    """The ceiling test of a model.

    :param difference: mean model-expert minus mean expert-expert kappa as a 90 % interval, each end of which is a
        one-sided 95 % bound.
    :param model_expert: mean over experts of kappa with the model, 95 % interval; so expert_expert, over pairs.
    :param experts: each expert on its own; to be read as a description, as no correction is made for their number.
    """

    result: CeilingOutcome
    margin: float
    difference: Interval
    model_expert: Interval
    expert_expert: Interval
    experts: tuple[ExpertCeiling, ...]


def judge_ceiling(difference: Interval, margin: float = 0.05) -> CeilingOutcome:
    """Say whether a model has reached the experts: a non-inferiority test with both directions named.

    Parity if the one-sided 95 % lower bound lies above -margin, below if the upper bound lies below -margin, else
    undecided, with the further labels foreseen from half-widths that shrink as 1 / sqrt(items).

    :param difference: model-expert minus expert-expert kappa as a 90 % interval.
    """
    if difference.estimate is None or difference.low is None or difference.high is None:
        return CeilingOutcome(None, None, f"not measured: {difference.reason}")
    found = (
        f"model-expert minus expert-expert kappa {difference.estimate:+.2f}, 95 % lower bound "
        f"{difference.low:+.2f}, margin -{margin:g}, {difference.items} items"
    )
    if difference.low > -margin:
        return CeilingOutcome(PARITY, 0, f"{found}: on a par with the experts")
    if difference.high < -margin:
        return CeilingOutcome(BELOW, 0, f"{found}: below the experts")
    nearer = difference.low if difference.estimate > -margin else difference.high
    total = items_until(difference.estimate, nearer, -margin, difference.items)
    if total is None:
        return CeilingOutcome(
            UNDECIDED, None, f"{found}: undecided, and no number of labels would decide while it sits on the margin"
        )
    # The bound may equal the margin, which does not decide yet.
    further = max(total - difference.items, 1)
    likely = PARITY if difference.estimate > -margin else f"{BELOW} the experts"
    return CeilingOutcome(
        UNDECIDED,
        further,
        f"{found}: undecided; about {further} more evaluation labels would show {likely} if the difference stays",
    )


def ceiling_test(
    votes: Floats,
    model: Floats,
    groups: NDArray[Any],
    *,
    margin: float = 0.05,
    resamples: int = 2_000,
    seed: int = 0,
) -> CeilingTest:
    """Compare the model with the experts as these compare with one another, paired, on items with two votes or more.

    Cluster bootstrap over groups; the same resamples serve model and experts. The difference has the bounds of
    ``parity_distribution``, everything else BCa.

    :param votes: shape (items, experts), 1 positive, 0 negative, NaN missing or undecided.
    :param model: shape (items,), 1 or 0.
    :param groups: shape (items,), what is resampled together: pair or near-duplicate family.
    :raises ValueError: shapes do not match, or there is no item with a decisive vote.
    """
    kept = (~np.isnan(votes)).any(axis=1) if votes.ndim == 2 else np.ones(len(votes), dtype=np.bool_)
    votes, model, groups = votes[kept], model[kept], groups[kept]
    agreement, shared = Panel(votes, {"model": model}), int(((~np.isnan(votes)).sum(axis=1) >= 2).sum())
    against = _AgainstEachExpert(votes, model)

    def statistics(weights: Floats) -> dict[str, Floats]:
        figures = agreement.figures(weights)
        with_model, with_peers = against.kappas(weights)
        found = {
            "model": figures["model_expert_kappa"],
            "experts": figures["expert_expert_kappa"],
        }
        for expert in range(votes.shape[1]):
            found[f"model {expert}"], found[f"peers {expert}"] = with_model[:, expert], with_peers[:, expert]
            found[f"difference {expert}"] = with_model[:, expert] - with_peers[:, expert]
        return found

    found = grouped_distributions(statistics, groups, resamples=resamples, seed=seed)
    undefined = "no item has two decisive votes" if not shared else "kappa is undefined while only one label occurs"
    parity = parity_distribution(votes, model, groups, resamples=resamples, seed=seed)
    difference = parity.interval(shared, ONE_SIDED_95, undefined)
    return CeilingTest(
        judge_ceiling(difference, margin),
        margin,
        difference,
        found["model"].interval(shared, undefined=undefined),
        found["experts"].interval(shared, undefined=undefined),
        tuple(_expert(found, expert, against.items[expert], undefined) for expert in range(votes.shape[1])),
    )


class _AgainstEachExpert:
    def __init__(self, votes: Floats, model: Floats) -> None:
        decisive = (~np.isnan(votes)).sum(axis=1) >= 2
        shared = np.where(decisive[:, None], votes, np.nan)
        count = votes.shape[1]
        with_model = pair_cells(np.broadcast_to(model[:, None], shared.shape), shared)
        with_peers = pair_cells(
            np.broadcast_to(shared[:, :, None], (len(votes), count, count)),
            np.broadcast_to(shared[:, None, :], (len(votes), count, count)),
        )
        self.items = (~np.isnan(shared)).sum(axis=0).astype(int).tolist()
        self._model = with_model.reshape(len(votes), count * 4)
        self._peers = with_peers.reshape(len(votes), count * count * 4)
        self._itself = np.eye(count, dtype=np.bool_)

    def kappas(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return each expert's kappa with the model, and its mean kappa with the others, shape (batch, experts)."""
        count = len(self._itself)
        with_model = kappa_of((weights @ self._model).reshape(len(weights), count, 4))
        pairs = kappa_of((weights @ self._peers).reshape(len(weights), count, count, 4))
        return with_model, mean_defined(np.where(self._itself, np.nan, pairs))


def _expert(found: dict[str, Distribution], expert: int, items: int, undefined: str) -> ExpertCeiling:
    model, peers = found[f"model {expert}"].estimate, found[f"peers {expert}"].estimate
    return ExpertCeiling(
        expert,
        None if np.isnan(model) else model,
        None if np.isnan(peers) else peers,
        found[f"difference {expert}"].interval(items, undefined=undefined),
    )
