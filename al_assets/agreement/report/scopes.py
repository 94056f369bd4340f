"""The figures of one set of labelled items, with the intervals that fit how those items were chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import (
    Distribution,
    Interval,
    agreement_leverage,
    grouped_distributions,
    smoothed_distribution,
)
from al_assets.agreement.core.figures import NEEDS_ONE_VOTE, Figure, as_figure
from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.core.labelled_items import RANDOM_REASONS, LabelledItems, why_undefined
from al_assets.agreement.population.audit import audit_distributions, audit_of
from al_assets.agreement.population.thresholds import average_precision

PSEUDO_ITEMS = 2.0
_POPULATION = tuple(
    f"{who}_{what}" for who in ("model", "incumbent") for what in ("precision", "recall", "positive_share")
)
_HEADLINES = (
    "expert_expert_kappa",
    "model_expert_kappa",
    "incumbent_expert_kappa",
    "parity_difference",
    "student_gain",
)
_DISPLAY = {name: name.removeprefix("model_") for name in _POPULATION if name.startswith("model_")}
_DIFFERENCES = {
    "parity_difference": ("model_expert_kappa", "expert_expert_kappa"),
    "student_gain": ("model_expert_kappa", "incumbent_expert_kappa"),
}


@dataclass(frozen=True)
class Scope:
    """A scope's figures, as distributions from which bounds of any confidence can be read.

    :param items: labelled items with a decisive vote; ``shared`` of them have two or more.
    :param answers: votes of any kind, ``undecided`` ones included.
    :param undefined: why kappa is undefined here, if it is.
    :param expected: figures to give as undefined when there is no labelled item.
    :param methods: of figures whose interval is made otherwise than by ``method``.
    """

    name: str
    distributions: Mapping[str, Distribution]
    items: int
    shared: int
    undecided: int
    answers: int
    method: str
    undefined: str
    expected: tuple[str, ...] = _HEADLINES
    methods: Mapping[str, str] = field(default_factory=dict)

    def interval(self, figure: str, confidence: float = 0.95) -> Interval:
        """Return a figure's interval, or the reason why it has none."""
        items = self.items if figure in NEEDS_ONE_VOTE else self.shared
        if figure not in self.distributions:
            return Interval(None, None, None, items, self.undefined)
        reason = "nothing positive to measure it on" if figure in NEEDS_ONE_VOTE else self.undefined
        return self.distributions[figure].interval(items, confidence, reason)

    def figures(self) -> list[Figure]:
        """Return the scope's figures."""
        figures = [
            as_figure(_DISPLAY.get(name, name), self.name, self.interval(name), self.methods.get(name, self.method))
            for name in self.distributions or self.expected
        ]
        share = self.undecided / self.answers if self.answers else None
        detail = f"{self.undecided} of {self.answers} answers were 'cannot decide'"
        return [*figures, Figure("undecided_share", self.name, share, items=self.items, detail=detail)]


def scope_masks(items: LabelledItems) -> dict[str, NDArray[np.bool_]]:
    """Return which labelled items belong to each scope of labelled items: shape (items,) each."""
    evaluation = items.evaluation
    return {
        "boundary": evaluation & ~np.isin(items.reason, RANDOM_REASONS),
        "control": evaluation & (items.reason == "control"),
        "evaluation": evaluation,
        "panel": items.split == "panel",
        "audit": evaluation & (items.reason == "audit"),
        "loop": np.ones(len(items), dtype=np.bool_),
    }


def all_scopes(items: LabelledItems, student: Floats, *, resamples: int, seed: int) -> dict[str, Scope]:
    """Return every scope of labelled items, each with the intervals that fit it.

    :param student: shape (items,), the student's labels, 1 or 0.
    """
    masks = scope_masks(items)
    audit = masks.pop("audit")
    del masks["loop"]
    scopes = {
        name: measured_scope(name, items.where(mask), student[mask], resamples=resamples, seed=seed)
        for name, mask in masks.items()
    }
    scopes["audit"] = population_scope("audit", items.where(audit), student[audit], resamples=resamples, seed=seed)
    scopes["loop"] = expert_scope("loop", items, resamples=resamples, seed=seed)
    return scopes


def measured_scope(name: str, items: LabelledItems, student: Floats, *, resamples: int, seed: int) -> Scope:
    """Return the figures of items that count alike, with BCa intervals over their groups.

    :param student: shape (items,), the student's labels, 1 or 0.
    """
    kept = items.decisive > 0
    labelled, model = items.where(kept), student[kept]
    if not len(labelled):
        return _scope(name, items, {}, "no interval")
    agreement = Panel(labelled.votes, _models(labelled, model))
    share = labelled.positive_share
    scores = {"average_precision": labelled.p_student}
    if labelled.has_incumbent:
        scores["incumbent_average_precision"] = labelled.p_incumbent

    def statistics(weights: Floats) -> dict[str, Floats]:
        figures = _with_differences(agreement.figures(weights))
        for figure, score in scores.items():
            figures[figure] = average_precision(score, share, weights)
        return figures

    distributions = grouped_distributions(
        statistics, labelled.group, resamples=resamples, seed=seed, leverage=agreement_leverage(share)
    )
    distributions["parity_difference"] = parity_distribution(
        labelled.votes, model, labelled.group, resamples=resamples, seed=seed
    )
    drawn = f"{resamples} resamples of {distributions['model_expert_kappa'].groups} groups"
    methods = {"parity_difference": f"percentile, {drawn} and {PSEUDO_ITEMS:g} pseudo-items"}
    return replace(_scope(name, items, distributions, f"BCa, {drawn}"), methods=methods)


def expert_scope(name: str, items: LabelledItems, *, resamples: int, seed: int) -> Scope:
    """Return the agreement of the experts among themselves, on items that no model needs to have scored."""
    labelled = items.where(items.decisive > 0)
    if not len(labelled):
        return _scope(name, items, {}, "no interval")
    leverage = agreement_leverage(labelled.positive_share)
    distributions = grouped_distributions(
        Panel(labelled.votes).figures, labelled.group, resamples=resamples, seed=seed, leverage=leverage
    )
    groups = distributions["expert_expert_kappa"].groups
    return _scope(name, items, distributions, f"BCa, {resamples} resamples of {groups} groups")


def population_scope(name: str, items: LabelledItems, student: Floats, *, resamples: int, seed: int) -> Scope:
    """Return what audit items say about the whole pool: weighted figures with Rao-Wu bootstrap intervals."""
    kept = items.decisive > 0
    labelled = items.where(kept)
    if not len(labelled):
        return replace(_scope(name, items, {}, "no interval"), expected=("prevalence", *_HEADLINES, *_POPULATION))
    sample = audit_of(labelled)
    distributions = audit_distributions(sample, _models(labelled, student[kept]), resamples=resamples, seed=seed)
    for difference, (first, second) in _DIFFERENCES.items():
        if second not in distributions:
            continue
        one, other = distributions[first], distributions[second]
        distributions[difference] = Distribution(
            one.estimate - other.estimate, one.replicates - other.replicates, one.groups
        )
    strata = len(np.unique(sample.strata))
    method = f"weighted to the pool; Rao-Wu, {resamples} resamples within {strata} strata"
    return _scope(name, items, distributions, method)


def _with_differences(figures: Mapping[str, Floats]) -> dict[str, Floats]:
    return {**figures, **{name: figures[a] - figures[b] for name, (a, b) in _DIFFERENCES.items() if b in figures}}


def _models(labelled: LabelledItems, student: Floats) -> dict[str, Floats]:
    return {"model": student, **({"incumbent": labelled.incumbent} if labelled.has_incumbent else {})}


def _scope(name: str, items: LabelledItems, distributions: Mapping[str, Distribution], method: str) -> Scope:
    return Scope(
        name=name,
        distributions=distributions,
        items=int((items.decisive > 0).sum()),
        shared=int((items.decisive > 1).sum()),
        undecided=int(items.undecided.sum()),
        answers=int(items.undecided.sum() + items.decisive.sum()),
        method=method,
        undefined=why_undefined(items),
    )


def parity_distribution(
    votes: Floats, model: Floats, groups: NDArray[Any], *, resamples: int = 2_000, seed: int = 0
) -> Distribution:
    """Return the difference of the two mean kappas, on the same items, with its bootstrap distribution over groups.

    It rests on the items where one of two experts and the model differs from the other two, and of those there are
    few. If by luck only experts were alone in their view, no plain resample shows a model that is, and parity is
    declared too often: in simulation, of 150 items with 5 % positive, at 12 to 17 % instead of 5 % of the one-sided
    95 % bounds. Two pseudo-items, shared out over all ways to differ, bring that to 6 to 10 %, and change nothing
    where there are many (``python -m benchmarks coverage``).

    :param votes: shape (items, raters), 1 positive, 0 negative, NaN missing.
    :param model: shape (items,), 1 or 0.
    :param groups: shape (items,), what is resampled together.
    """
    pseudo_votes, pseudo_model = discordant_items(votes.shape[1])
    agreement = Panel(np.concatenate([votes, pseudo_votes]), {"model": np.concatenate([model, pseudo_model])})

    def difference(weights: Floats) -> Floats:
        figures = agreement.kappas(weights)
        return figures["model_expert_kappa"] - figures["expert_expert_kappa"]

    return smoothed_distribution(difference, groups, len(pseudo_votes), PSEUDO_ITEMS, resamples=resamples, seed=seed)


def discordant_items(raters: int) -> tuple[Floats, Floats]:
    """Return an item for each way in which one of two raters and the model differs from the other two.

    :return: votes of shape (items, raters), NaN for the raters not concerned; the model's labels, shape (items,).
    """
    patterns = [pattern for pattern in product((0.0, 1.0), repeat=3) if 0 < sum(pattern) < 3]
    pairs = list(combinations(range(raters), 2))
    votes = np.full((len(pairs) * len(patterns), raters), np.nan)
    model = np.zeros(len(votes))
    for row, ((first, second), pattern) in enumerate(product(pairs, patterns)):
        model[row], votes[row, first], votes[row, second] = pattern
    return votes, model
