"""What MiniLM embeddings of real texts measure, for generated pools to be held against.

Each figure is the mean over five pools of 6,000 items at 5 % positives, drawn from a data set by ``thinned`` with seeds
0 to 4 and measured by ``measure`` with seed 0. VADER: the demo's tweets and product reviews (Hutto & Gilbert 2014),
truth is the majority of three simulated experts. Webis: Webis Clickbait 17, truth is a mean judgement above one half.
"""

from benchmarks.pools.pool_measures import PoolMeasures

ITEMS, PREVALENCE = 6_000, 0.05

VADER = {
    "opposite_near_positives": 0.823, "lone_positives": 0.271, "crowded_positives": 0.271,
    "opposite_near_items": 0.075, "mixed_items": 0.030,
    "nearest_cosine_q10": 0.434, "nearest_cosine_q50": 0.607, "nearest_cosine_q90": 0.800,
    "nearest_opposite_q10": 0.400, "nearest_opposite_q50": 0.531, "nearest_opposite_q90": 0.720,
    "mean_cosine": 0.102, "between_share": 0.239, "silhouette": 0.020, "noise_share": 0.594,
    "intrinsic_dimension": 20.1, "participation_ratio": 70.0, "probe_auc": 0.889,
}  # fmt: skip
WEBIS = {
    "opposite_near_positives": 0.850, "lone_positives": 0.357, "crowded_positives": 0.208,
    "opposite_near_items": 0.084, "mixed_items": 0.025,
    "nearest_cosine_q10": 0.400, "nearest_cosine_q50": 0.512, "nearest_cosine_q90": 0.698,
    "nearest_opposite_q10": 0.365, "nearest_opposite_q50": 0.468, "nearest_opposite_q90": 0.617,
    "mean_cosine": 0.059, "between_share": 0.158, "silhouette": 0.021, "noise_share": 0.829,
    "intrinsic_dimension": 18.6, "participation_ratio": 129.0, "probe_auc": 0.813,
}  # fmt: skip
TOLERANCE = {
    "opposite_near_positives": 0.04, "lone_positives": 0.08, "crowded_positives": 0.08,
    "opposite_near_items": 0.01, "mixed_items": 0.02,
    "nearest_cosine_q10": 0.04, "nearest_cosine_q50": 0.04, "nearest_cosine_q90": 0.04,
    "nearest_opposite_q10": 0.06, "nearest_opposite_q50": 0.06, "nearest_opposite_q90": 0.06,
    "mean_cosine": 0.02, "between_share": 0.03, "silhouette": 0.025, "noise_share": 0.15,
    "intrinsic_dimension": 2.0, "participation_ratio": 15.0, "probe_auc": 0.04,
}  # fmt: skip
"""How far outside the two data sets' range a pool of the difficulty "real" may be; two pools of one data set differ by
about half of it in the figures on positives, of which there are 300."""


def misses(measures: PoolMeasures) -> dict[str, tuple[float, float, float]]:
    """Return the figures outside the tolerance: name -> (measured, lowest allowed, highest allowed).

    :param measures: of a pool of about ``ITEMS`` items at ``PREVALENCE``; at other sizes they mean something else.
    """
    found = {}
    for name, tolerance in TOLERANCE.items():
        low, high = sorted((VADER[name], WEBIS[name]))
        value = getattr(measures, name)
        # Written so that NaN is a miss.
        if not low - tolerance <= value <= high + tolerance:
            found[name] = (value, low - tolerance, high + tolerance)
    return found
