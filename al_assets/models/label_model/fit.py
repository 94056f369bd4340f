"""Several labelers' votes combined into one probability, without a label: an ordered Dawid-Skene model by EM.

Dawid and Skene (1979): given an item's true label, labelers answer independently of each other, each with its own
chances of every answer; the labels are latent, and expectation-maximisation finds the chances. Four things are added,
because labelers here are LLMs, word lists and classifiers rather than clinicians:

- **Answers.** A raw p_positive need not mean what it says: an LLM that says no to everything may still rank well. So a
  labeler's votes are cut into ordered answers by rank (``answers_of``), and its scale has no say. What an answer is
  worth is then read between the middles of the answers, so that the order within an answer is kept.
- **No vote is an answer.** A word list that is silent on most items says something by being silent, and one that only
  ever says yes says nothing else: what it leaves out is what its yes is measured by.
- **Nobody is turned round.** The evidence of an answer never falls where the vote rises: at worst a labeler counts for
  nothing. Without it two labelers that err together may swap the meaning of the classes. The maximum under this order
  is exact: isotonic regression of the share of positives among the items of each answer (Dykstra, Kochar and Robertson
  1995, likelihood ratio ordering). The prevalence is what the policy expects and is not estimated, as with 5 % of
  positives the likelihood hardly knows it; and every labeler starts as, and is pulled towards, one of area under the
  curve .76 (a Dirichlet prior worth ``prior_strength`` of the pool). With one labeler this is all there is to know.
- **Echoes share a voice.** Two prompts to one LLM are not two witnesses. Labelers whose answers correlate above .8 in
  rank share their weight, so that copies of a labeler count as one. Milder dependence, which the votes alone cannot
  tell from both being right, is left in: it makes probabilities too sure, seldom their order wrong. Their level is put
  right in the end: the mean over the pool is the expected prevalence.

Maintained libraries do not fit: snorkel's last release is of February 2023; crowd-kit 1.4.2 takes hard labels in long
tables, has neither "no vote" nor priors nor order, and brings transformers and nltk along.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.calibration import level_for
from al_assets.models.label_model.answers import Answers, answers_of, expected_share
from al_assets.models.label_model.fitted_model import LabelModel, Member, check_votes, vote_threshold

PRIOR_STRENGTH = 0.2
ECHO = 0.8
_SMALLEST = 1e-9


def fit_label_model(
    votes: Floats,
    names: Sequence[str],
    prevalence: float,
    *,
    prior_strength: float = PRIOR_STRENGTH,
    max_iterations: int = 300,
    tolerance: float = 1e-5,
) -> LabelModel:
    """Fit the model to the votes on a pool; the same votes give the same model.

    Items with the same answers are one row of the computation, with a count.

    :param votes: shape (items, members), in [0, 1], NaN for none.
    :param names: of the members.
    :param prevalence: expected share of positives, in (0, 1).
    :param prior_strength: what is thought of a labeler beforehand counts as this share of the pool, > 0.
    :param tolerance: the iteration ends when no chance of an answer changes by more.
    :raises ValueError: no items, no members, votes outside [0, 1], or a parameter out of range.
    """
    from scipy.special import expit

    check_votes(votes, len(names))
    if not len(votes) or not len(names):
        raise ValueError(f"votes: {len(votes)} items of {len(names)} members; a label model takes one or more of each")
    if not 0 < prevalence < 1 or not prior_strength > 0 or max_iterations < 1:
        raise ValueError(
            f"prevalence {prevalence:g}, prior_strength {prior_strength:g}, max_iterations {max_iterations}; expected "
            "a share in (0, 1), a number above 0 and at least 1"
        )
    answers = [answers_of(column) for column in votes.T]
    pattern, count = _patterns(answers)
    weights = _weights(answers, pattern, count)
    prior = [prior_strength * _split(expected_share(each, prevalence), each.counts) for each in answers]
    chances, trace = _expectation_maximisation(
        pattern, count, weights, prior, prevalence, max_iterations=max_iterations, tolerance=tolerance
    )
    members = [
        _member(name, each, chance, float(weight))
        for name, each, chance, weight in zip(names, answers, chances, weights, strict=True)
    ]
    log_odds = np.zeros(len(votes))
    for column, member in zip(votes.T, members, strict=True):
        log_odds += member.weight * member.evidence_of(column)
    level = level_for(log_odds, prevalence)
    positive = np.asarray(expit(log_odds + level))
    rated = tuple(_rated(member, column, positive, prevalence) for column, member in zip(votes.T, members, strict=True))
    return LabelModel(rated, prevalence, level, len(votes), tuple(trace))


def _patterns(answers: Sequence[Answers]) -> tuple[NDArray[np.uint8], Floats]:
    """Return the different rows of answers, shape (patterns, members), and how many items have each."""
    key = np.zeros(len(answers[0].code), dtype=np.int64)
    largest = 1
    for each in answers:
        if largest * len(each.counts) >= 2**62:
            key = np.unique(key, return_inverse=True)[1].astype(np.int64)
            largest = len(key)
        key = key * len(each.counts) + each.code
        largest *= len(each.counts)
    _, first, count = np.unique(key, return_index=True, return_counts=True)
    return np.stack([each.code[first] for each in answers], axis=1), count.astype(np.float64)


def _weights(answers: Sequence[Answers], pattern: NDArray[np.uint8], count: Floats) -> Floats:
    """Return 1 / (1 + the echoes of each member): the rank correlation with the others, from .8 (none) to 1 (whole)."""
    ranks = np.stack([each.ranks[code] for each, code in zip(answers, pattern.T, strict=True)])
    centred = ranks - np.average(ranks, axis=1, weights=count)[:, None]
    covariance = np.atleast_2d((centred * count) @ centred.T)
    spread = np.sqrt(np.diag(covariance))
    # One that always gives the same answer correlates with nobody.
    scale = np.where(spread > _SMALLEST * count.sum(), spread, np.inf)
    echo = np.clip((covariance / np.outer(scale, scale) - ECHO) / (1 - ECHO), 0, 1)
    np.fill_diagonal(echo, 1)
    return np.asarray(1 / echo.sum(axis=1))


def _split(share: Floats, counts: Floats) -> Floats:
    """Return the counts of each answer as positive and negative items, shape (2, answers)."""
    return np.stack([share * counts, (1 - share) * counts])


def _expectation_maximisation(
    pattern: NDArray[np.uint8],
    count: Floats,
    weights: Floats,
    prior: Sequence[Floats],
    prevalence: float,
    *,
    max_iterations: int,
    tolerance: float,
) -> tuple[list[Floats], list[float]]:
    """Return each member's log chances of its answers, shape (2, answers): positive, negative; and the objective.

    The objective is the log-likelihood, each member's factor to the power of its weight, plus the log of the prior to
    the same power: each step raises it.
    """
    chances, trace = [_log_chances(each) for each in prior], list[float]()
    start = np.log([prevalence, 1 - prevalence])
    for _ in range(max_iterations):
        joint = np.repeat(start[:, None], len(pattern), axis=1)
        for code, weight, chance in zip(pattern.T, weights, chances, strict=True):
            joint += weight * chance[:, code]
        marginal = np.logaddexp(joint[0], joint[1])
        believed = sum(
            float(weight * (each * chance).sum()) for weight, each, chance in zip(weights, prior, chances, strict=True)
        )
        trace.append(float(count @ marginal) + believed)
        positive = np.exp(joint[0] - marginal) * count
        before, chances = chances, [
            _log_chances(_maximised(code, positive, count, each)) for code, each in zip(pattern.T, prior, strict=True)
        ]  # fmt: skip
        change = max(float(np.abs(np.exp(new) - np.exp(old)).max()) for new, old in zip(chances, before, strict=True))
        if change < tolerance:
            break
    return chances, trace


def _maximised(code: NDArray[np.uint8], positive: Floats, count: Floats, prior: Floats) -> Floats:
    """Return the expected items of each answer, positive and negative, with the share of positives made to rise."""
    from scipy.optimize import isotonic_regression

    answers = prior.shape[1]
    expected = np.bincount(code, weights=positive, minlength=answers) + prior[0]
    total = np.bincount(code, weights=count, minlength=answers) + prior.sum(axis=0)
    return _split(np.asarray(isotonic_regression(expected / total, weights=total).x), total)


def _log_chances(items: Floats) -> Floats:
    share = np.maximum(items, np.finfo(np.float64).tiny)
    return np.asarray(np.log(share / share.sum(axis=1, keepdims=True)))


def _member(name: str, answers: Answers, chances: Floats, weight: float) -> Member:
    evidence = chances[0] - chances[1]
    voted = ~np.isnan(answers.centres)
    knots, levels = answers.centres[voted], evidence[voted]
    if answers.ranged and len(knots) > 1:
        # Half a step beyond the middles of the outermost ranges, so that the order within them is kept.
        levels = np.concatenate([[1.5 * levels[0] - 0.5 * levels[1]], levels, [1.5 * levels[-1] - 0.5 * levels[-2]]])
        knots = np.concatenate([[answers.lowest], knots, [answers.highest]])
    # They rise but for the last digit, which rounding may take.
    levels = np.maximum.accumulate(levels)
    silence = 0.0 if answers.silent is None else float(evidence[answers.silent])
    coverage = float(answers.counts[voted].sum() / answers.counts.sum())
    return Member(name, coverage, 0.5, None, None, weight, tuple(knots.tolist()), tuple(levels.tolist()), silence)


def _rated(member: Member, votes: Floats, positive: Floats, prevalence: float) -> Member:
    threshold = vote_threshold(votes, prevalence)
    voted = ~np.isnan(votes)
    yes, chance = votes[voted] >= threshold, positive[voted]
    sensitivity = float(chance @ yes / chance.sum()) if voted.any() else None
    specificity = float((1 - chance) @ ~yes / (1 - chance).sum()) if voted.any() else None
    return replace(member, threshold=threshold, sensitivity=sensitivity, specificity=specificity)
