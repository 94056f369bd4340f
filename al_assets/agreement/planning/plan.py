"""Answers before money is spent: how many labels an answer takes, what the next round costs and what it may gain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, sqrt
from statistics import NormalDist

import polars as pl

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.planning.expected_gain import GainPlan, expected_gain, figure_interval
from al_assets.agreement.planning.sample_size import (
    Stratum,
    audit_items,
    kappa_items,
    parity_items,
    stratified_audit_items,
)
from al_assets.agreement.stopping.ceiling import PLACES, items_until
from al_assets.agreement.stopping.looks import spending_levels
from al_assets.agreement.stopping.rules import PARITY_ERROR, PLATEAU_ERROR

_NORMAL = NormalDist()
_Z95 = _NORMAL.inv_cdf(0.975)
_RESAMPLES = 2_000


@dataclass(frozen=True)
class PlanSettings:
    """What a plan rests on where nothing is measured yet; every value is listed with the plan.

    :param half_width: wanted half-width of the 95 % interval of expert-expert kappa.
    :param prevalence_precision: wanted half-width of the audit's 95 % interval, as a share of the prevalence.
    :param evaluation_prevalence: share of positives among evaluation items; ``pool_prevalence`` in the pool.
    :param expert_kappa: expected kappa between experts; ``model_kappa`` between model and expert.
    :param design_effect: by how much pairs and near-duplicates inflate variances.
    :param raters: experts who share the work; each item gets ``votes_per_item`` of their votes.
    :param budget: items a round; ``audit`` is the share of it drawn at random, and always measures.
    :param evaluation_share: share of the other items that measures; 1 where all teach and measure.
    :param check_items: asked after training, on top of the budget.
    :param hidden_share: hidden gold and repeats on top of the budget, as a share of it; they cost votes too.
    :param max_iterations: looks that parity has, and plateau but for the first ``window``: the more, the surer each.
    :param seconds_per_vote: reading and answering one item, pauses included.
    :param price_per_hour: of an expert, in any currency.
    """

    half_width: float = 0.08
    prevalence_precision: float = 0.2
    evaluation_prevalence: float = 0.25
    pool_prevalence: float = 0.1
    expert_kappa: float = 0.75
    model_kappa: float = 0.5
    design_effect: float = 1.0
    votes_per_item: int = 2
    raters: int = 2
    budget: int = 120
    audit: float = 0.25
    evaluation_share: float = 0.3
    check_items: int = 0
    hidden_share: float = 0.0
    parity_margin: float = 0.05
    min_gain: float = 0.05
    window: int = 3
    max_iterations: int = 8
    seconds_per_vote: float = 30.0
    price_per_hour: float = 60.0

    @property
    def evaluation_per_round(self) -> int:
        """Evaluation items a round brings: the audit, and the evaluation share of the rest."""
        audit = round(self.budget * self.audit)
        return audit + round((self.budget - audit) * self.evaluation_share)


@dataclass(frozen=True)
class Assumption:
    """A value the plan rests on, and where it comes from: ``assumed``, or the report and figure that measured it."""

    name: str
    value: float
    source: str


@dataclass(frozen=True)
class EvaluationPlan:
    """Evaluation items for the wanted half-width of kappa; ``further`` counts from those labelled now."""

    half_width: float
    items: int
    votes: int
    labelled: int
    further: int
    rounds: int
    half_width_now: float | None


@dataclass(frozen=True)
class AuditPlan:
    """Audit items for the wanted precision of the pool's prevalence.

    :param strata: the strata assumed: what the model calls positive and negative; None if nothing is known of them.
    :param stratified: items in each stratum; None without strata.
    """

    half_width: float
    simple_random: int
    strata: tuple[Stratum, ...] | None
    stratified: tuple[int, ...] | None
    labelled: int


@dataclass(frozen=True)
class ParityPlan:
    """What the parity rule still takes: further items by scope, or items in all where none is labelled yet."""

    further: Mapping[str, int | None]
    text: str


@dataclass(frozen=True)
class PanelPlan:
    """Panel items for the plateau rule to be able to fire if nothing is gained any more; None if not known yet."""

    items: int | None
    labelled: int
    text: str


@dataclass(frozen=True)
class RoundPlan:
    """What the next round costs.

    :param items: of them ``check_items`` asked after training; hidden ones are not among them, but their votes are.
    """

    items: int
    check_items: int
    votes: int
    hours: float
    hours_per_rater: float
    cost: float


@dataclass(frozen=True)
class LabelPlan:
    """Every answer and every assumption behind it."""

    evaluation: EvaluationPlan
    audit: AuditPlan
    parity: ParityPlan
    panel: PanelPlan
    next_round: RoundPlan
    gain: GainPlan
    assumptions: tuple[Assumption, ...]


def plan(settings: PlanSettings | None = None, reports: Mapping[str, pl.DataFrame] | None = None) -> LabelPlan:
    """Return what further labels would buy, from the kappa reports so far or, where they are silent, from assumptions.

    :param reports: kappa reports by iteration key, columns figure, scope, estimate, low, high, items, detail.
    :raises ValueError: a setting is out of range, or its combination impossible.
    """
    given = settings or PlanSettings()
    _check(given)
    history = [(key, (reports or {})[key]) for key in sorted(reports or {})]
    used, assumptions = _measured(given, history)
    return LabelPlan(
        _evaluation(used, history),
        _audit(used, history),
        _parity(used, history),
        _panel(used, history),
        _round(used),
        expected_gain(history, used.budget),
        assumptions,
    )


def _round(used: PlanSettings) -> RoundPlan:
    # Rounded first, because 1.1 of 120 items is a hair above 132 in binary.
    votes = (ceil(round(used.budget * (1 + used.hidden_share), 6)) + used.check_items) * used.votes_per_item
    hours = votes * used.seconds_per_vote / 3_600
    items, price = used.budget + used.check_items, hours * used.price_per_hour
    return RoundPlan(items, used.check_items, votes, hours, hours / used.raters, price)


def _measured(
    given: PlanSettings, history: Sequence[tuple[str, pl.DataFrame]]
) -> tuple[PlanSettings, tuple[Assumption, ...]]:
    measured: dict[str, tuple[float, str]] = {}
    for key, report in history:
        for name, figure, scope in (
            ("expert_kappa", "expert_expert_kappa", "evaluation"),
            ("model_kappa", "model_expert_kappa", "evaluation"),
            ("pool_prevalence", "prevalence", "audit"),
            ("evaluation_prevalence", "prevalence_index", "evaluation"),
        ):
            value = figure_interval(report, figure, scope).estimate
            if value is None:
                continue
            # The index is |positive - negative| / all, and positives are the rarer answer.
            share = (1 - value) / 2 if figure == "prevalence_index" else value
            if 0 < share < 1:
                measured[name] = (share, f"measured in {key}: {figure}, scope {scope}")
    ceiling = measured.get("expert_kappa", (given.expert_kappa, ""))[0]
    if measured.get("model_kappa", (given.model_kappa, ""))[0] >= sqrt(ceiling):
        # No latent class fits; parity is then planned from its measured interval alone.
        measured.pop("model_kappa", None)
    values = {name: value for name, (value, _) in measured.items()}
    used = replace(given, **values)  # type: ignore[arg-type]
    return used, tuple(
        Assumption(name, float(getattr(used, name)), measured[name][1] if name in measured else "assumed")
        for name in PlanSettings.__dataclass_fields__
    )


def _evaluation(used: PlanSettings, history: Sequence[tuple[str, pl.DataFrame]]) -> EvaluationPlan:
    items = kappa_items(
        used.half_width,
        prevalence=used.evaluation_prevalence,
        expert_kappa=used.expert_kappa,
        experts=used.votes_per_item,
        design_effect=used.design_effect,
    )
    row = _last(history, "expert_expert_kappa", "evaluation")
    width = None if row.low is None or row.high is None else (row.high - row.low) / 2
    further = max(0, items - row.items)
    rounds = ceil(further / used.evaluation_per_round) if used.evaluation_per_round else 0
    return EvaluationPlan(used.half_width, items, items * used.votes_per_item, row.items, further, rounds, width)


def _audit(used: PlanSettings, history: Sequence[tuple[str, pl.DataFrame]]) -> AuditPlan:
    half_width = used.prevalence_precision * used.pool_prevalence
    strata = _called_strata(history)
    stratified = None if strata is None else stratified_audit_items(strata, half_width)
    labelled = _last(history, "prevalence", "audit").items
    return AuditPlan(half_width, audit_items(used.pool_prevalence, half_width), strata, stratified, labelled)


def _called_strata(history: Sequence[tuple[str, pl.DataFrame]]) -> tuple[Stratum, ...] | None:
    called, precision, recall, prevalence = (
        _last(history, name, "audit").estimate for name in ("positive_share", "precision", "recall", "prevalence")
    )
    if called is None or precision is None or recall is None or prevalence is None or not 0 < called < 1:
        return None
    missed = min(1.0, prevalence * (1 - recall) / (1 - called))
    return Stratum(called, precision), Stratum(1 - called, missed)


def _parity(used: PlanSettings, history: Sequence[tuple[str, pl.DataFrame]]) -> ParityPlan:
    places = {"boundary": used.evaluation_prevalence, "audit": used.pool_prevalence}
    rows = {scope: row for scope in places if (row := _last(history, "ceiling_further_labels", scope)).items}
    # A report says more than any assumption, and one without a row for the boundary has no boundary to judge.
    if rows:
        further = {scope: None if row.estimate is None else round(row.estimate) for scope, row in rows.items()}
        return ParityPlan(further, _places({scope: row.reason or "" for scope, row in rows.items()}))
    level = spending_levels(used.max_iterations, PARITY_ERROR, True, _RESAMPLES)[-1]
    assumed = {"expert_kappa": used.expert_kappa, "model_kappa": used.model_kappa, "margin": used.parity_margin}
    try:
        needed = {
            scope: parity_items(
                prevalence=share, experts=used.votes_per_item, design_effect=used.design_effect, level=level, **assumed
            )
            for scope, share in places.items()
        }
    except ValueError as error:
        return ParityPlan({}, f"not known: {error}")
    on_the_margin = "the assumed difference sits on the margin: no number of labels would decide"
    enough = "items decide it at the last look if model and experts agree as assumed"
    words = {scope: f"about {items} {enough}" if items else on_the_margin for scope, items in needed.items()}
    return ParityPlan(needed, _places(words))


def _places(words: Mapping[str, str]) -> str:
    return "; ".join(f"{PLACES[scope][1]} {text}" for scope, text in words.items())


def _panel(used: PlanSettings, history: Sequence[tuple[str, pl.DataFrame]]) -> PanelPlan:
    row = _last(history, "panel_gain", "panel")
    if row.estimate is None or row.high is None or used.min_gain <= 0:
        labelled = max(row.items, _last(history, "model_expert_kappa", "panel").items)
        return PanelPlan(None, labelled, "not known yet: no panel gain with an interval")
    level = spending_levels(max(1, used.max_iterations - used.window), PLATEAU_ERROR, False, _RESAMPLES)[-1]
    bound = (row.high - row.estimate) * _NORMAL.inv_cdf(1 - level) / _Z95
    items = items_until(0.0, bound, used.min_gain, row.items) or row.items
    return PanelPlan(
        items,
        row.items,
        f"a panel of about {items} items could show at the last look a gain below {used.min_gain:g} if nothing is "
        f"gained any more; it has {row.items}",
    )


def _last(history: Sequence[tuple[str, pl.DataFrame]], figure: str, scope: str) -> Interval:
    return figure_interval(history[-1][1], figure, scope) if history else Interval(None, None, None, 0, "no report yet")


def _check(given: PlanSettings) -> None:
    least = {"votes_per_item": 2, "raters": 1, "budget": 1, "max_iterations": 1}
    for name, lowest in least.items():
        if getattr(given, name) < lowest:
            raise ValueError(f"{name}: {getattr(given, name)}; expected at least {lowest}")
    for name in ("seconds_per_vote", "price_per_hour", "hidden_share", "check_items"):
        if getattr(given, name) < 0:
            raise ValueError(f"{name}: {getattr(given, name):g}; expected a number of at least 0")
    if given.raters < given.votes_per_item:
        raise ValueError(f"raters: {given.raters}; expected at least votes_per_item ({given.votes_per_item})")
    for name in ("prevalence_precision", "design_effect", "half_width"):
        if getattr(given, name) <= 0:
            raise ValueError(f"{name}: {getattr(given, name):g}; expected a number above 0")
