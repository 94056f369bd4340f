"""How long the full panel of agreement figures takes, against a plain loop over scikit-learn."""

import time
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats, kappa_of, pair_cells
from al_assets.agreement.raters.rated_items import leave_one_out_majority, rated_items
from al_assets.agreement.raters.slices import agreement_figures

REASONS = ("boundary", "promising", "margin", "audit", "control")
CASES = ((1_000, 5), (5_000, 20))
"""Items and raters that the panel is timed with: 2 and 10 seconds are its limits."""
_ITERATIONS = 4
_PREVALENCE, _ERROR, _MODEL_ERROR, _UNDECIDED = 0.3, 0.1, 0.15, 0.02


@dataclass(frozen=True)
class AgreementBench:
    """What ``bench_agreement`` found; every time is taken with numerical libraries held to one thread.

    :param items: labelled items, each its own group.
    :param raters: raters, all of whom answered every item (2 % of the answers undecided).
    :param resamples: BCa resamples behind each interval; the jackknife over items comes on top.
    :param figures: rows of the panel: every figure of every slice and rater, with its interval.
    :param seconds: wall time of ``agreement_figures``, frames in, frame out: the median of ``runs`` runs.
    :param cpu_seconds: processor time of that run; not above seconds, or more than one core was at work.
    :param runs: timed runs of the panel, after one on fewer items that is not counted.
    :param loop_kappas: kappas the loop computes in each resample: each two raters, each rater with the model and with
        the majority of the others. No other figure and no slice, which favours the loop.
    :param loop_timed: resamples of the loop that were run.
    :param loop_seconds: wall time of the loop for all resamples and the jackknife, ``resamples`` + ``items`` rounds,
        scaled up from ``loop_timed`` of them.
    :param ratio: loop_seconds / seconds.
    :param largest_difference: between the loop's kappas and the panel's for the same draws; rounding only.
    """

    items: int
    raters: int
    resamples: int
    figures: int
    seconds: float
    cpu_seconds: float
    runs: int
    loop_kappas: int
    loop_timed: int
    loop_seconds: float
    ratio: float
    largest_difference: float


def bench_agreement(
    items: int = 1_000, raters: int = 5, resamples: int = 2_000, seed: int = 0, *, runs: int = 3, loop_timed: int = 100
) -> AgreementBench:
    """Return the time of the full panel of simulated votes and a model, and of the same kappas in a plain loop.

    :param loop_timed: how many resamples of the loop to run; its time is scaled up to all of them.
    """
    from threadpoolctl import threadpool_limits

    votes, model = simulated_votes(items, raters, seed)
    with threadpool_limits(1):
        warm, warm_model = simulated_votes(50, raters, seed)
        agreement_figures(warm, model=warm_model, resamples=100)
        taken = []
        for _ in range(runs):
            wall, cpu = time.perf_counter(), time.process_time()
            figures = agreement_figures(votes, model=model, resamples=resamples, seed=seed)
            taken.append((time.perf_counter() - wall, time.process_time() - cpu))
        seconds, cpu_seconds = sorted(taken)[runs // 2]
        first, second = _compared(votes, model)
        timed, difference = _loop(first, second, loop_timed, seed)
    loop_seconds = timed / loop_timed * (resamples + items)
    return AgreementBench(
        items=items,
        raters=raters,
        resamples=resamples,
        figures=figures.height,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        runs=runs,
        loop_kappas=first.shape[1],
        loop_timed=loop_timed,
        loop_seconds=loop_seconds,
        ratio=loop_seconds / seconds,
        largest_difference=difference,
    )


def simulated_votes(items: int, raters: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return votes of raters who err on a tenth of the items, and labels of a model that errs on 15 %.

    :return: votes with policy_version, over five label reasons, four iterations and two policy versions; and the
        model's item_id, label.
    """
    generator = np.random.default_rng(seed)
    truth = generator.random(items) < _PREVALENCE
    said = truth[:, None] ^ (generator.random((items, raters)) < _ERROR)
    labels = np.where(said, "positive", "negative")
    labels = np.where(generator.random((items, raters)) < _UNDECIDED, "undecided", labels)
    place = np.arange(items)
    asked = pl.DataFrame(
        {
            "item_id": [f"i{item:06d}" for item in place],
            "iteration": [f"{part:04d}" for part in place * _ITERATIONS // items],
            "reason": [REASONS[item % len(REASONS)] for item in place],
            "group_id": [f"i{item:06d}" for item in place],
            "stratum": pl.Series([None] * items, dtype=pl.String),
            "stratum_size": pl.Series([None] * items, dtype=pl.Int64),
            "inclusion_probability": pl.Series([None] * items, dtype=pl.Float64),
            "policy_version": ["1" if 2 * item < items else "2" for item in place],
        }
    )
    votes = pl.concat(
        [asked.with_columns(rater=pl.lit(f"r{rater}"), label=labels[:, rater]) for rater in range(raters)]
    )
    called = truth ^ (generator.random(items) < _MODEL_ERROR)
    return votes, asked.select("item_id").with_columns(label=called)


def _compared(votes: pl.DataFrame, model: pl.DataFrame) -> tuple[Floats, Floats]:
    """Return who is compared with whom, two arrays of shape (items, comparisons)."""
    given = rated_items(votes).items.votes
    called = model.sort("item_id")["label"].cast(pl.Float64).to_numpy()[:, None]
    pairs = list(combinations(range(given.shape[1]), 2))
    first = np.concatenate([given[:, [a for a, _ in pairs]], given, given], axis=1)
    models = np.broadcast_to(called, given.shape)
    second = np.concatenate([given[:, [b for _, b in pairs]], models, leave_one_out_majority(given)], axis=1)
    return first, second


def _loop(first: Floats, second: Floats, resamples: int, seed: int) -> tuple[float, float]:
    """Return the seconds of that many resamples in a plain loop, and its largest difference from the panel's way."""
    from sklearn.metrics import cohen_kappa_score

    items = len(first)
    draws = np.random.default_rng(seed).integers(0, items, size=(resamples, items))
    kappas = np.full((resamples, first.shape[1]), np.nan)
    started = time.perf_counter()
    for resample, drawn in enumerate(draws):
        for column in range(first.shape[1]):
            a, b = first[drawn, column], second[drawn, column]
            common = ~(np.isnan(a) | np.isnan(b))
            kappas[resample, column] = cohen_kappa_score(a[common], b[common])
    seconds = time.perf_counter() - started
    return seconds, float(np.abs(kappas - _panel_kappas(first, second, draws)).max())


def _panel_kappas(first: Floats, second: Floats, draws: NDArray[np.int64]) -> Floats:
    times = np.stack([np.bincount(drawn, minlength=len(first)) for drawn in draws]).astype(np.float64)
    cells = pair_cells(first, second)
    return kappa_of((times @ cells.reshape(len(first), -1)).reshape(len(draws), first.shape[1], 4))
