"""Experts and a crowd worker simulated from judgements: who answers, how noisily, and how far they agree."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from al_assets.agreement.core.kappa import Floats, cohen_kappa, pooled_kappa, pooled_model_kappa
from al_assets.config import Positive, Section
from al_assets.study import StudyError
from al_assets.study.texts import JudgedTexts

_TIE = 0.001
"""Means this close to .5 are ties: files round thirds, and .667, .667, .667 and 0 are one."""
_ROUNDING = 1e-9
Kappa = Annotated[float, Field(gt=0, le=1)]


class PanelSettings(Section):
    """Who answers for the experts and for the crowd.

    :param experts: how many answer each item.
    :param raters_per_expert: judgements of raters of their own that each expert is the mean of. None: all judgements
        but the crowd's one, shared by all experts, who then differ by noise alone.
    :param expert_kappa: expert-expert kappa to which noise brings the experts; None leaves them as they are.
    :param crowd_kappa: kappa of the crowd worker with the truth, likewise.
    """

    experts: Positive = 3
    raters_per_expert: Positive | None = None
    expert_kappa: Kappa | None = None
    crowd_kappa: Kappa | None = None

    @model_validator(mode="after")
    def _two_to_compare(self) -> Self:
        if self.expert_kappa is not None and self.raters_per_expert is not None and self.experts < 2:
            raise ValueError(
                f"expert_kappa: {self.expert_kappa:g} of a single expert; it takes two experts, or leave out "
                "raters_per_expert"
            )
        return self


@dataclass(frozen=True)
class SimulatedPanel:
    """What each expert and a crowd worker say of each item.

    :param experts: shape (items, experts): 1 positive, 0 negative, NaN where an expert's raters ran out.
    :param crowd: one worker's vote, shape (items,), likewise.
    :param truth: shape (items,): whether the mean of all judgements but the crowd's is above .5, without noise.
    """

    experts: Floats
    crowd: Floats
    truth: NDArray[np.bool_]


def simulate_panel(texts: JudgedTexts, settings: PanelSettings, seed: int) -> SimulatedPanel:
    """Return the answers of the experts and of one crowd worker, and the truth.

    An item's raters are shuffled, and the experts and the crowd worker get raters of their own. Of a text with a single
    judgement the experts have it and the crowd has none; so a file of labels has no crowd unless ``crowd_kappa`` says
    how good one would be. A mean of .5 is negative. The shuffle, and so the truth, depends on the seed and the item's
    id and judgements alone.

    Noise: with probability 1 - r a vote is replaced by a random draw with that rater's own share of positive votes p.
    That keeps p, and multiplies the covariance of two raters by r for each of them that is noisy. As kappa of two
    raters is 2 cov / (p1 (1 - p2) + p2 (1 - p1)), expert-expert kappa becomes r^2 times what it was, and crowd-truth
    kappa r times, as the truth has no noise. r follows from the kappas of all ``texts``: to meet a target on a thinned
    sample, simulate on ``texts.take(rows)``, where the truth is the same.

    :raises StudyError: an expert has not enough raters, or a kappa is asked for that the raters do not reach.
    """
    if settings.raters_per_expert is None:
        experts, crowd, truth = _shared(texts, settings.experts, seed)
    else:
        experts, crowd, truth = _apart(texts, settings.experts, settings.raters_per_expert, seed)
    if settings.expert_kappa is not None:
        # Shared judgements agree with themselves, even those of a single expert.
        pair = experts if settings.raters_per_expert is not None else experts[:, [0, 0]]
        ratio = _ratio("expert_kappa", settings.expert_kappa, pooled_kappa(pair), texts.name)
        experts = _noisy(experts, ratio**0.5, texts.item_ids, f"{seed}:experts")
    if settings.crowd_kappa is not None:
        crowd = crowd if texts.has_raters else truth.astype(np.float64)
        ratio = _ratio("crowd_kappa", settings.crowd_kappa, cohen_kappa(crowd, truth.astype(np.float64)), texts.name)
        crowd = _noisy(crowd[:, None], ratio, texts.item_ids, f"{seed}:crowd")[:, 0]
    return SimulatedPanel(experts, crowd, truth)


def panel_kappas(panel: SimulatedPanel, rows: NDArray[np.int64]) -> tuple[float, float]:
    """Return how far the experts agree with each other, and the crowd worker with them, on these rows; NaN: undefined.

    Both are means of Cohen's kappa over the items with at least two experts' votes; of a single expert, over all items.
    """
    experts, crowd = panel.experts[rows], panel.crowd[rows]
    if experts.shape[1] < 2:
        return float("nan"), cohen_kappa(crowd, experts[:, 0])
    return pooled_kappa(experts), pooled_model_kappa(crowd, experts)


def _shared(texts: JudgedTexts, experts: int, seed: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    shuffled, given = _shuffled(texts, seed)
    crowd = np.where(given > 1, _votes(shuffled[:, 0]), np.nan)
    rest = shuffled.copy()
    rest[given > 1, 0] = np.nan
    shared = _votes(_mean(rest))
    return np.repeat(shared[:, None], experts, axis=1), crowd, shared == 1


def _apart(texts: JudgedTexts, experts: int, raters: int, seed: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    shuffled, given = _shuffled(texts, seed)
    taken = experts * raters
    if given.max(initial=0) < taken:
        raise StudyError(
            f"experts {experts}, raters_per_expert {raters}: they need {taken} judgements of a text, and no text of "
            f"{texts.name!r} has more than {given.max(initial=0)}; ask for fewer, or leave out raters_per_expert"
        )
    votes = _votes(shuffled[:, :taken].reshape(len(shuffled), experts, raters).mean(axis=2))
    if shuffled.shape[1] == taken:
        return votes, np.full(len(shuffled), np.nan), _votes(_mean(shuffled)) == 1
    rest = np.delete(shuffled, taken, axis=1)
    return votes, _votes(shuffled[:, taken]), _votes(_mean(rest)) == 1


def _shuffled(texts: JudgedTexts, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return each item's judgements in random order, the missing ones last, and how many it has."""
    missing = np.isnan(texts.judgements)
    order = _uniform(texts.item_ids, f"{seed}:raters", missing.shape[1])
    order[missing] = np.inf
    shuffled = np.take_along_axis(texts.judgements, np.argsort(order, axis=1, kind="stable"), axis=1)
    return shuffled, (~missing).sum(axis=1)


def _mean(judgements: Floats) -> Floats:
    given = ~np.isnan(judgements)
    mean: Floats = np.where(given, judgements, 0.0).sum(axis=1) / given.sum(axis=1)
    return mean


def _votes(means: Floats) -> Floats:
    return np.where(np.isnan(means), np.nan, (means > 0.5 + _TIE).astype(np.float64))


def _ratio(field: str, target: float, reached: float, name: str) -> float:
    if np.isnan(reached):
        raise StudyError(f"{field}: {target:g}, but the votes on {name!r} have no kappa to start from; leave it out")
    if target > reached + _ROUNDING:
        raise StudyError(
            f"{field}: {target:g} is more than the {reached:.3f} that the raters of {name!r} reach without noise; ask "
            "for less, or leave it out"
        )
    return min(target / reached, 1.0)


def _noisy(votes: Floats, kept: float, item_ids: tuple[str, ...], stream: str) -> Floats:
    """Replace each vote with probability 1 - ``kept`` by a draw with its rater's share of positive votes."""
    raters = votes.shape[1]
    uniform = _uniform(item_ids, stream, 2 * raters)
    # Interleaved, so that a rater's noise does not change with the number of raters.
    drawn = (uniform[:, 1::2] < np.nanmean(votes, axis=0)).astype(np.float64)
    return np.where((uniform[:, ::2] >= kept) & ~np.isnan(votes), drawn, votes)


def _uniform(item_ids: tuple[str, ...], stream: str, count: int) -> Floats:
    """Return numbers in [0, 1), shape (items, count), that depend on the stream's name and the item's id alone."""
    digests = (hashlib.shake_256(f"{stream}:{item_id}".encode()).digest(8 * count) for item_id in item_ids)
    words = np.frombuffer(b"".join(digests), dtype="<u8").reshape(len(item_ids), count)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def noisy_oracle(truth: NDArray[np.bool_], auc: float, seed: int = 0) -> Floats:
    """Return scores in (0, 1) of a labeler of that AUC: unit-variance normal log-odds, apart by sqrt(2) z(auc).

    :param auc: 0.5 (chance) to below 1.
    """
    from scipy.special import ndtri

    log_odds = np.random.default_rng((seed, 12)).standard_normal(len(truth)) + np.sqrt(2) * ndtri(auc) * truth
    return np.asarray(1 / (1 + np.exp(-log_odds)))
