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
from al_assets.agreement.population.pool_design import PoolDesign
from al_assets.agreement.population.pool_sample import PoolSample
from al_assets.agreement.population.population_figures import (
    DIFFERENCES,
    population_distributions,
    prevalence_distribution,
)
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
RECOMMENDED = "recommended"
_OF_ONE_VOTE = {*_POPULATION, "model_average_precision", "incumbent_average_precision"}
_DISPLAY = {name: name.removeprefix("model_") for name in _OF_ONE_VOTE if name.startswith("model_")}


@dataclass(frozen=True)
class Scope:
    """A scope's figures, as distributions from which bounds of any confidence can be read.

    :param items: labelled items with a decisive vote; ``shared`` of them have two or more.
    :param answers: votes of any kind, ``undecided`` ones included.
    :param undefined: why kappa is undefined here, if it is.
    :param expected: figures to give as undefined when there is no labelled item.
    :param methods: of figures whose interval is made otherwise than by ``method``.
    :param counts: items of figures that rest on others than the rest of the scope.
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
    counts: Mapping[str, int] = field(default_factory=dict)

    def interval(self, figure: str, confidence: float = 0.95) -> Interval:
        """Return a figure's interval, or the reason why it has none."""
        items = self.counts.get(figure, self.items if figure in NEEDS_ONE_VOTE else self.shared)
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
        if self.answers and not self.undecided:
            detail += ", so no kappa has a worst and a best beside it"
        return [*figures, Figure("undecided_share", self.name, share, items=self.items, detail=detail)]


def scope_masks(items: LabelledItems) -> dict[str, NDArray[np.bool_]]:
    """Return which labelled items belong to each scope of labelled items: shape (items,) each."""
    evaluation = items.evaluation
    return {
        "boundary": evaluation & ~np.isin(items.reason, RANDOM_REASONS),
        "control": evaluation & (items.reason == "control"),
        "evaluation": items.counted_alike,
        "panel": items.split == "panel",
        "audit": items.by_lot,
        "loop": np.ones(len(items), dtype=np.bool_),
    }


def all_scopes(
    items: LabelledItems, models: Mapping[str, Floats], design: PoolDesign, *, resamples: int, seed: int
) -> dict[str, Scope]:
    """Return every scope of labelled items, each with the intervals that fit it.

    :param models: model, and incumbent and recommended where there are such -> shape (items,) labels, 1 or 0.
    :param design: how the items came to be asked.
    """
    masks = scope_masks(items)
    scopes = {
        name: measured_scope(name, items.where(masks[name]), _of(models, masks[name]), resamples=resamples, seed=seed)
        for name in ("boundary", "control", "evaluation", "panel")
    }
    scopes["audit"] = population_scope("audit", items, models, design, resamples=resamples, seed=seed)
    scopes["loop"] = expert_scope("loop", items, resamples=resamples, seed=seed)
    return scopes


def measured_scope(
    name: str, items: LabelledItems, models: Mapping[str, Floats], *, resamples: int, seed: int
) -> Scope:
    """Return the figures of items that count alike, with BCa intervals over their groups.

    :param models: model, and incumbent where there is one -> shape (items,) labels, 1 or 0.
    """
    kept = items.decisive > 0
    labelled, models = items.where(kept), {who: labels[kept] for who, labels in models.items() if who != RECOMMENDED}
    if not len(labelled):
        return _scope(name, items, {}, "no interval")
    agreement = Panel(labelled.votes, models)
    share = labelled.positive_share
    scores = {"average_precision": labelled.p_student}
    if "incumbent" in models:
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
        labelled.votes, models["model"], labelled.group, resamples=resamples, seed=seed
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


def population_scope(
    name: str,
    items: LabelledItems,
    models: Mapping[str, Floats],
    design: PoolDesign,
    *,
    resamples: int,
    seed: int,
) -> Scope:
    """Return what labelled items say about the whole pool: weighted figures with Rao-Wu bootstrap intervals.

    Every labelled item tells of the prevalence; of the models, the evaluation items.

    :param items: all labelled items.
    :param models: see ``all_scopes``; NaN for fine-tuning items.
    """
    decided = items.decisive > 0
    everything = design.sample(items.item_id, decided)
    (one, with_one), (two, with_two) = (model_sample(items, models, design, votes) for votes in (1, 2))
    described = items.where(scope_masks(items)["audit"])
    if not everything.random.any():
        return replace(_scope(name, described, {}, "no interval"), expected=("prevalence", *_HEADLINES, *_POPULATION))

    def figures_of(sample: PoolSample, usable: NDArray[np.bool_]) -> dict[str, Distribution]:
        held_out = items.where(usable)
        scores = {"model": held_out.p_student, **({"incumbent": held_out.p_incumbent} if "incumbent" in models else {})}
        return population_distributions(
            sample, held_out.votes, _of(models, usable), scores=scores, resamples=resamples, seed=seed
        )

    distributions = figures_of(two, with_two) if two.random.any() else {}
    if one.random.any() and bool((with_one != with_two).any()):
        on_one = figures_of(one, with_one)
        distributions |= {figure: on_one[figure] for figure in _OF_ONE_VOTE if figure in on_one}
    distributions["prevalence"] = prevalence_distribution(
        everything, items.positive_share[decided], resamples=resamples, seed=seed
    )
    if "student_gain" in distributions:
        distributions.setdefault("gain_over_recommended", distributions["student_gain"])
    for figure in _HEADLINES if not two.random.any() else ():
        distributions[figure] = Distribution(float("nan"), np.full(resamples, np.nan), 0)
    kept = {figure: each for figure, each in distributions.items() if not figure.startswith(f"{RECOMMENDED}_")}
    by_rule = int((~two.random & (two.known > 0)).sum())
    gone = f"; {design.gone} asked items have left the pool and count no more" if design.gone else ""
    method = (
        f"weighted to the pool, {by_rule} items chosen by rule counting for themselves{gone}; Rao-Wu, {resamples} "
        f"resamples within {len(np.unique(two.stratum[two.random]))} strata"
    )
    return replace(
        _scope(name, described, kept, method),
        items=int(one.random.sum()),
        shared=int(two.random.sum()),
        counts={"prevalence": int(everything.random.sum())},
    )


def model_sample(
    items: LabelledItems, models: Mapping[str, Floats], design: PoolDesign, votes: int
) -> tuple[PoolSample, NDArray[np.bool_]]:
    """Return the held-out items with so many decisive votes as a weighted sample of the pool, and which they are."""
    usable = items.evaluation & (items.decisive >= votes)
    return held_out_sample(items, models, design, usable), usable


def held_out_sample(
    items: LabelledItems, models: Mapping[str, Floats], design: PoolDesign, usable: NDArray[np.bool_]
) -> PoolSample:
    """Return usable held-out items as a weighted sample of the pool.

    Where check items were drawn by where the student and the model recommended so far differ, rounds count by how much
    they tell of that.
    """
    differs, other = None, models.get(RECOMMENDED, models.get("incumbent"))
    if other is not None and bool((items.reason == "check").any()):
        differs = np.abs(models["model"] - other)
    sample = design.sample(items.item_id, usable, differs)
    return sample.by_others() if bool(items.by_others[usable].any()) else sample


def _of(models: Mapping[str, Floats], mask: NDArray[np.bool_]) -> dict[str, Floats]:
    return {name: labels[mask] for name, labels in models.items()}


def _with_differences(figures: Mapping[str, Floats]) -> dict[str, Floats]:
    return {**figures, **{name: figures[a] - figures[b] for name, (a, b) in DIFFERENCES.items() if b in figures}}


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
