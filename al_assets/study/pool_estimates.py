"""What a loop's own labels say of its pool: the positive share, and how much better one model is than another.

The report of the live loop rests on the same functions, so a study can hold them against the truth.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.population.pool_design import PoolDesign, pool_design
from al_assets.agreement.population.population_figures import sample_distributions
from al_assets.agreement.population.thresholds import agreement_threshold, estimate_prevalence
from al_assets.partitions import FIRST_KEY, iteration_key

RESAMPLES = 1_000
_ASKED = ("item_id", "reason", "stratum", "stratum_size", "inclusion_probability")


def design_of(queues: Sequence[pl.DataFrame], item_ids: pl.Series) -> PoolDesign:
    """Return how the items of a loop came to be asked, from the queue of each round.

    :param item_ids: of the pool, which neither grows nor shrinks.
    """
    asked = [queue.select(*_ASKED, iteration=pl.lit(iteration_key(number))) for number, queue in enumerate(queues)]
    frame = pl.DataFrame({"item_id": item_ids}).with_columns(joined=pl.lit(FIRST_KEY))
    return pool_design(pl.concat(asked), frame)


def pool_prevalence(design: PoolDesign, labelled: pl.DataFrame, expected: float, prior_strength: float) -> float:
    """Return the pool's positive share by all labels so far, shrunk towards the expected one.

    :param labelled: item_id and positive_share, null where no expert decided.
    """
    item_ids, share = _ids(labelled), labelled["positive_share"].fill_null(float("nan")).to_numpy()
    decided = ~np.isnan(share)
    return estimate_prevalence(design.sample(item_ids, decided), share[decided], expected, prior_strength)


def tuned_threshold(design: PoolDesign, labelled: pl.DataFrame, scores: Floats) -> float:
    """Return the threshold at which a student agrees best with the votes so far, weighted to the pool.

    :param labelled: item_id and positive_share, null where no expert decided.
    :param scores: the student's of those, each by a model that has not learnt from the item.
    """
    share = labelled["positive_share"].fill_null(float("nan")).to_numpy()
    decided = ~np.isnan(share)
    weights = design.sample(_ids(labelled), decided).weights
    return agreement_threshold(scores[decided], share[decided], weights)


def gains_in_pool(
    design: PoolDesign, held_out: pl.DataFrame, votes: Floats, student: Floats, others: Mapping[str, Floats]
) -> dict[str, Interval]:
    """Return how much better a student agrees with the experts in the pool than other models, paired, at 95 %.

    :param held_out: item_id of the labelled items that no student learns from.
    :param votes: the experts' on them, shape (items, experts).
    :param student: its labels, shape (items,), 1 or 0; ``others`` by name.
    """
    usable = (~np.isnan(votes)).sum(axis=1) > 1
    sample = design.sample(_ids(held_out), usable)
    items = int(sample.random.sum())
    if not items:
        return dict.fromkeys(others, Interval(None, None, None, 0, "no random item with two decisive votes"))
    models = {"student": student, **others}
    agreement = Panel(votes[usable], {name: each[usable] for name, each in models.items()})

    def gains(weights: Floats) -> dict[str, Floats]:
        kappas = agreement.kappas(weights)
        return {name: kappas["student_expert_kappa"] - kappas[f"{name}_expert_kappa"] for name in others}

    found = sample_distributions(sample, gains, resamples=RESAMPLES)
    return {name: found[name].interval(items) for name in others}


def _ids(items: pl.DataFrame) -> NDArray[np.str_]:
    return items["item_id"].to_numpy().astype(np.str_)
