import numpy as np
import polars as pl
import pytest

from al_assets.study.pool_estimates import design_of, gains_in_pool, pool_prevalence

ITEMS, POSITIVE = 600, 60
IDS = pl.Series("item_id", [f"{row:04d}" for row in range(ITEMS)])
TRUTH = np.arange(ITEMS) < POSITIVE
CERTAIN = 1e-9


def queue(boundary: np.ndarray, drawn: np.ndarray, rest: int) -> pl.DataFrame:
    """A round's queue: boundary items by rule, and a sample of the rest in one stratum."""
    rows = np.concatenate([boundary, drawn])
    lot = np.arange(len(rows)) >= len(boundary)
    return pl.DataFrame(
        {
            "item_id": IDS.gather(rows),
            "reason": np.where(lot, "audit", "boundary"),
            "stratum": np.where(lot, "all", ""),
            "stratum_size": np.where(lot, rest, 0),
            "inclusion_probability": np.where(lot, len(drawn) / rest, np.nan),
        }
    ).with_columns(pl.col("inclusion_probability").fill_nan(None))


def two_rounds(seed: int) -> list[pl.DataFrame]:
    """Rounds that draw by lot first and then ask for positives alone, so that these are used up."""
    rng, left, queues = np.random.default_rng(seed), np.arange(ITEMS), []
    for _ in range(2):
        drawn = rng.choice(left, 60, replace=False)
        rest = np.setdiff1d(left, drawn)
        boundary = rng.choice(rest[TRUTH[rest]], 20, replace=False)
        queues.append(queue(boundary, drawn, len(left)))
        left = np.setdiff1d(rest, boundary)
    return queues


def labelled(queues: list[pl.DataFrame]) -> pl.DataFrame:
    ids = pl.concat([each.select("item_id") for each in queues])
    return ids.with_columns(positive_share=pl.Series(TRUTH[ids["item_id"].cast(pl.Int64).to_numpy()].astype(float)))


def test_a_pool_that_is_used_up_keeps_its_prevalence() -> None:
    found = []
    for seed in range(60):
        queues = two_rounds(seed)
        found.append(pool_prevalence(design_of(queues, IDS), labelled(queues), 0.5, CERTAIN))
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(POSITIVE / ITEMS, abs=4 * error)
    # What the second audit is drawn from holds less.
    assert np.mean(found) - 4 * error > (POSITIVE - 20 - 6) / (ITEMS - 80)


def test_the_prior_rules_before_anything_is_known_and_items_nobody_decided_do_not_count() -> None:
    queues = two_rounds(0)
    nobody = labelled(queues).with_columns(positive_share=pl.lit(None, dtype=pl.Float64))
    assert pool_prevalence(design_of(queues, IDS), nobody, 0.3, 30.0) == 0.3
    sure = pool_prevalence(design_of(queues, IDS), labelled(queues), 0.9, 1e9)
    assert sure == pytest.approx(0.9, abs=1e-3)


def test_the_gain_is_the_pools() -> None:
    everything = queue(np.arange(0), np.arange(ITEMS), ITEMS)
    votes = np.repeat(TRUTH[:, None].astype(float), 2, axis=1)
    # The other model misses half of the positives: kappa 2/3 against 1, to the item.
    other = (np.arange(ITEMS) < POSITIVE // 2).astype(float)
    design, student = design_of([everything], IDS), TRUTH.astype(float)
    gains = gains_in_pool(design, everything, votes, student, {"half": other, "itself": student})
    gain = gains["half"]
    assert gains["itself"].estimate == 0
    assert gain == gains_in_pool(design, everything, votes, student, {"half": other})["half"]
    agreed = 1 - POSITIVE / 2 / ITEMS
    by_chance = 0.05 * 0.1 + 0.95 * 0.9
    assert gain.estimate == pytest.approx(1 - (agreed - by_chance) / (1 - by_chance))


@pytest.mark.parametrize("case", ["one expert", "nothing drawn"])
def test_without_two_votes_or_a_random_item_there_is_no_gain(case: str) -> None:
    asked = queue(np.arange(100), np.arange(100, 200), ITEMS - 100)
    held_out = asked.head(100) if case == "nothing drawn" else asked
    votes = np.zeros((held_out.height, 1 if case == "one expert" else 2))
    labels = np.zeros(held_out.height)
    gain = gains_in_pool(design_of([asked], IDS), held_out, votes, labels, {"other": labels})["other"]
    assert (gain.estimate, gain.low, gain.reason) == (None, None, "no random item with two decisive votes")
