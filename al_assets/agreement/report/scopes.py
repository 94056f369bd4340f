"""The figures of one set of labelled items, with the intervals that fit how those items were chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from al_assets.agreement.core.bootstrap import Distribution, Interval, grouped_distributions
from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.core.labelled_items import LabelledItems
from al_assets.agreement.population.audit import AuditSample, audit_distributions, audit_sample, within_unit
from al_assets.agreement.population.thresholds import average_precision
from al_assets.agreement.report.parity_difference import PSEUDO_ITEMS, parity_distribution

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
_NEEDS_ONE_VOTE = frozenset(("prevalence", "average_precision", "incumbent_average_precision", *_POPULATION))
_SHARES = _NEEDS_ONE_VOTE | {
    "observed_agreement", "positive_agreement", "negative_agreement", "prevalence_index", "bias_index",
}  # fmt: skip
_DISPLAY = {name: name.removeprefix("model_") for name in _POPULATION if name.startswith("model_")}
_DIFFERENCES = {
    "parity_difference": ("model_expert_kappa", "expert_expert_kappa"),
    "student_gain": ("model_expert_kappa", "incumbent_expert_kappa"),
}


@dataclass(frozen=True)
class Figure:
    """A row of the kappa report; estimate, low and high are None where undefined, with the reason in detail."""

    figure: str
    scope: str
    estimate: float | None
    low: float | None = None
    high: float | None = None
    items: int | None = None
    detail: str | None = None


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
        items = self.items if figure in _NEEDS_ONE_VOTE else self.shared
        if figure not in self.distributions:
            return Interval(None, None, None, items, self.undefined)
        reason = "nothing positive to measure it on" if figure in _NEEDS_ONE_VOTE else self.undefined
        interval = self.distributions[figure].interval(items, confidence, reason)
        return within_unit(interval) if figure in _SHARES else interval

    def figures(self) -> list[Figure]:
        """Return the scope's rows of the report."""
        rows = [
            as_figure(_DISPLAY.get(name, name), self.name, self.interval(name), self.methods.get(name, self.method))
            for name in self.distributions or self.expected
        ]
        share = self.undecided / self.answers if self.answers else None
        detail = f"{self.undecided} of {self.answers} answers were 'cannot decide'"
        return [*rows, Figure("undecided_share", self.name, share, items=self.items, detail=detail)]


def as_figure(figure: str, scope: str, interval: Interval, detail: str | None) -> Figure:
    """Return an interval as a row; what could not be computed puts its reason in place of the detail."""
    # Rounded, because the last digits of a matrix product depend on the number of threads.
    estimate, low, high = (
        None if value is None else round(value, 12) for value in (interval.estimate, interval.low, interval.high)
    )
    return Figure(figure, scope, estimate, low, high, interval.items, interval.reason or detail)


def measured_scope(name: str, items: LabelledItems, student: Floats, *, resamples: int, seed: int) -> Scope:
    """Return the figures of items that count alike, with BCa intervals over their groups.

    :param student: shape (items,), the student's labels, 1 or 0.
    """
    kept = items.decisive > 0
    labelled, model = items.where(kept), student[kept]
    if not len(labelled):
        return _scope(name, items, {}, "no interval")
    models = {"model": model, "incumbent": labelled.incumbent}
    agreement = Panel(labelled.votes, models)
    share = labelled.positive_share
    scores = {"average_precision": labelled.p_student, "incumbent_average_precision": labelled.p_incumbent}

    def statistics(weights: Floats) -> dict[str, Floats]:
        found = _with_differences(agreement.figures(weights))
        for figure, score in scores.items():
            found[figure] = average_precision(score, share, weights)
        return found

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
    agreement = Panel(labelled.votes)
    distributions = grouped_distributions(
        agreement.figures,
        labelled.group,
        resamples=resamples,
        seed=seed,
        leverage=agreement_leverage(labelled.positive_share),
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
    models = {"model": student[kept], "incumbent": labelled.incumbent}
    distributions = audit_distributions(sample, models, resamples=resamples, seed=seed)
    for difference, (first, second) in _DIFFERENCES.items():
        distributions[difference] = _difference(distributions[first], distributions[second])
    strata = len(np.unique(sample.strata))
    return _scope(
        name, items, distributions, f"weighted to the pool; Rao-Wu, {resamples} resamples within {strata} strata"
    )


def audit_of(items: LabelledItems) -> AuditSample:
    """Return audit items with decisive votes as a weighted sample of the pool."""
    return audit_sample(items.votes, items.iteration, items.stratum, items.inclusion_probability, items.stratum_size)


def agreement_leverage(share: Floats) -> dict[str, float]:
    """Return how far each figure falls per share of items that turn out discordant, where agreement is perfect.

    :param share: shape (items,), share of positive votes of each item.
    """
    positive = float(share.mean())
    chance = 2 * positive * (1 - positive)
    if chance <= 0:
        return {"observed_agreement": 1.0}
    kappa = 1 / chance
    return {
        **dict.fromkeys(("expert_expert_kappa", "model_expert_kappa", "incumbent_expert_kappa"), kappa),
        **dict.fromkeys(("parity_difference", "student_gain", "panel_gain"), kappa),
        **dict.fromkeys(("fleiss_kappa", "krippendorff_alpha"), kappa),
        "gwet_ac1": 1 / (1 - chance),
        "observed_agreement": 1.0,
        "positive_agreement": 1 / (2 * positive),
        "negative_agreement": 1 / (2 * (1 - positive)),
    }


def table_leverage(cells: Floats) -> dict[str, float]:
    """Return the same for the figures of one 2 x 2 table, ``cohen_kappa`` among them; empty for an empty table.

    :param cells: shape (4,), see ``two_by_two.pair_cells``.
    """
    if not cells.sum():
        return {}
    share = (2 * cells[0] + cells[1] + cells[2]) / (2 * cells.sum())
    found = agreement_leverage(np.array([share]))
    return found | {"cohen_kappa": found.get("expert_expert_kappa", float("nan"))}


def frame_of(figures: list[Figure]) -> pl.DataFrame:
    """Return the rows as a frame with the columns of the kappa_report table."""
    return pl.DataFrame(
        [vars(figure) for figure in figures],
        schema={
            "figure": pl.String,
            "scope": pl.String,
            "estimate": pl.Float64,
            "low": pl.Float64,
            "high": pl.Float64,
            "items": pl.Int64,
            "detail": pl.String,
        },
    )


def _with_differences(figures: Mapping[str, Floats]) -> dict[str, Floats]:
    return {**figures, **{name: figures[a] - figures[b] for name, (a, b) in _DIFFERENCES.items()}}


def _difference(first: Distribution, second: Distribution) -> Distribution:
    return Distribution(first.estimate - second.estimate, first.replicates - second.replicates, first.groups)


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


def why_undefined(items: LabelledItems) -> str:
    """Return why the kappas of these items are undefined, in words, should they be."""
    if not (items.decisive > 0).any():
        return "no labelled item in this scope"
    shared = items.votes[items.decisive > 1]
    if not len(shared):
        return "no item has two decisive votes"
    if len(np.unique(shared[~np.isnan(shared)])) == 1:
        label = "positive" if np.nanmax(shared) > 0 else "negative"
        return f"every vote is {label}; kappa is undefined while only one label occurs"
    return "undefined: some raters or the model use one label only on the items they share"
