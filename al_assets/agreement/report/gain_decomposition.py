"""How much of the student's gain over the incumbent is a better ranking, and how much another threshold.

A student differs from the incumbent in which items it puts first and in how many it calls positive. Four models are
compared on the same items: either ranking, cut so that either positive share of the pool is called positive. With
k(r, s) the kappa with the experts of ranking r at share s, 0 the incumbent's and 1 the student's,

    gain_from_ranking   = ((k(1, 0) - k(0, 0)) + (k(1, 1) - k(0, 1))) / 2
    gain_from_threshold = ((k(0, 1) - k(0, 0)) + (k(1, 1) - k(1, 0))) / 2

are the Shapley values (Shapley 1953) of the two changes: the mean over both orders of making them. They add up to
k(1, 1) - k(0, 0), the gain, exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import Distribution, Interval, agreement_leverage, grouped_distributions
from al_assets.agreement.core.figures import Figure, as_figure
from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.core.labelled_items import LabelledItems, floats
from al_assets.agreement.population.pool_design import PoolDesign
from al_assets.agreement.population.population_figures import population_distributions
from al_assets.agreement.population.student_threshold import StudentThreshold
from al_assets.agreement.population.thresholds import labels_at, prevalence_threshold
from al_assets.agreement.report.scopes import model_sample, scope_masks
from al_assets.formatting import percent

RANKING, THRESHOLD = "gain_from_ranking", "gain_from_threshold"
_PARTS = (RANKING, THRESHOLD)
_UNDEFINED = "kappa is undefined for one of the four combinations of ranking and positive share"


@dataclass(frozen=True)
class Combinations:
    """The four models on some items.

    :param labels: model (the student's ranking at the student's positive share), incumbent (both the incumbent's),
        model_at_incumbent_share and incumbent_at_model_share; each shape (items,), 1, 0 or NaN.
    :param model_share: share of the pool that the student calls positive.
    """

    labels: Mapping[str, Floats]
    model_share: float
    incumbent_share: float

    def where(self, mask: NDArray[np.bool_]) -> "Combinations":
        """Return the labels of the items of a mask."""
        return replace(self, labels={name: labels[mask] for name, labels in self.labels.items()})


def combinations(items: LabelledItems, scores: pl.DataFrame, chosen: StudentThreshold) -> Combinations:
    """Return the four models' labels; the thresholds of the mixed two are quantiles of the stop set.

    :param scores: item_id, role, p_student, p_incumbent, incumbent_label; rows of role ``stop_set`` count.
    """
    stop_set = scores.filter(pl.col("role") == "stop_set")
    student, incumbent = floats(stop_set["p_student"]), floats(stop_set["p_incumbent"])
    model_share = float((student >= chosen.threshold).mean())
    incumbent_share = float(floats(chosen.matched(stop_set)["incumbent_label"]).mean())
    labels = {
        "model": chosen.labels(items),
        "incumbent": chosen.labels(items, "incumbent"),
        "model_at_incumbent_share": labels_at(items.p_student, prevalence_threshold(student, incumbent_share)),
        "incumbent_at_model_share": labels_at(items.p_incumbent, prevalence_threshold(incumbent, model_share)),
    }
    return Combinations(labels, model_share, incumbent_share)


def gain_parts(
    scope: str, items: LabelledItems, models: Combinations, design: PoolDesign, *, resamples: int, seed: int
) -> list[Figure]:
    """Return both parts of the gain with paired intervals: in the audit's scope over the whole pool, else BCa.

    :param items: all labelled items; those of the scope count.
    :param models: ``combinations`` of them.
    """
    if scope == "audit":
        sample, usable = model_sample(items, models.labels, design, 2)
    else:
        usable = scope_masks(items)[scope] & (items.decisive > 0)
    labelled, labels = items.where(usable), models.where(usable).labels
    if not len(labelled) or (scope == "audit" and not sample.random.any()):
        nothing = Interval(None, None, None, 0, "no labelled item in this scope")
        return [as_figure(name, scope, nothing) for name in _PARTS]
    if scope == "audit":
        kappas = population_distributions(sample, labelled.votes, labels, resamples=resamples, seed=seed)
        estimates = _parts({name: np.array([kappa.estimate]) for name, kappa in kappas.items()})
        replicates = _parts({name: kappa.replicates for name, kappa in kappas.items()})
        groups = kappas["model_expert_kappa"].groups
        parts = {name: Distribution(float(estimates[name][0]), replicates[name], groups) for name in _PARTS}
    else:
        agreement = Panel(labelled.votes, labels)
        leverage = agreement_leverage(labelled.positive_share).get("student_gain", float("nan"))
        parts = grouped_distributions(
            lambda weights: _parts(agreement.kappas(weights)),
            labelled.group, resamples=resamples, seed=seed, leverage=dict.fromkeys(_PARTS, leverage),
        )  # fmt: skip
    shared = int(sample.random.sum()) if scope == "audit" else int((labelled.decisive > 1).sum())
    shares = (
        f"the student calls {percent(models.model_share, 1)} of the pool positive, "
        f"the incumbent {percent(models.incumbent_share, 1)}"
    )
    details = {
        RANKING: f"part of student_gain: which items are put first, at either positive share; {shares}",
        THRESHOLD: f"part of student_gain: how many items are called positive, in either ranking; {shares}",
    }
    return [
        as_figure(name, scope, part.interval(shared, undefined=_UNDEFINED), details[name])
        for name, part in parts.items()
    ]


def _parts(figures: Mapping[str, Floats]) -> dict[str, Floats]:
    both = figures["model_expert_kappa"] - figures["incumbent_expert_kappa"]
    crossed = figures["model_at_incumbent_share_expert_kappa"] - figures["incumbent_at_model_share_expert_kappa"]
    return {RANKING: (both + crossed) / 2, THRESHOLD: (both - crossed) / 2}
