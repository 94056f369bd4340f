import numpy as np
import polars as pl
import pytest

from al_assets.curation.checks import CurationError
from al_assets.curation.queue.check import draw_check
from al_assets.tables import CHECK_QUEUE

NOTHING_KNOWN = pl.DataFrame(schema={"student": pl.Boolean, "other": pl.Boolean, "positive_share": pl.Float64})
SIZES = {
    "student negative, incumbent negative": 900,
    "student negative, incumbent positive": 30,
    "student positive, incumbent negative": 40,
    "student positive, incumbent positive": 30,
}
ASKABLE = 5_000


def stop_set(sizes: dict[str, int] = SIZES) -> pl.DataFrame:
    names = [name for name, size in sizes.items() for _ in range(size)]
    student = ["student positive" in name for name in names]
    incumbent = ["incumbent positive" in name for name in names]
    return pl.DataFrame(
        {
            "item_id": [f"i{number:04d}" for number in range(len(names))],
            "text": [f"text {number}" for number in range(len(names))],
            "student": student,
            "other": incumbent,
            "incumbent": incumbent,
            "p_incumbent": [0.8 if each else 0.1 for each in incumbent],
        },
        schema_overrides={**dict.fromkeys(("student", "other", "incumbent"), pl.Boolean), "p_incumbent": pl.Float64},
    )


def counts(drawn: pl.DataFrame) -> dict[str, int]:
    return dict(drawn.group_by("stratum").len().sort("stratum").iter_rows())


def known(positive: float, items: int, *, student: bool, other: bool) -> pl.DataFrame:
    rows = {"student": student, "other": other, "positive_share": positive}
    return pl.DataFrame([rows] * items)


def test_the_items_of_a_stratum_stand_for_its_part_of_the_pool() -> None:
    drawn = draw_check(stop_set(), NOTHING_KNOWN, wanted=90, askable=ASKABLE)
    CHECK_QUEUE.check(drawn.with_columns(revision=pl.lit(1)))
    assert drawn.height == 90
    assert (1 / drawn["inclusion_probability"]).sum() == pytest.approx(ASKABLE)
    for name, size in SIZES.items():
        rows = drawn.filter(stratum=name)
        assert set(rows["stratum_size"]) == {size * 5}
        assert rows["inclusion_probability"].to_list() == [pytest.approx(rows.height / (size * 5))] * rows.height
        assert set(rows["called"]) == {name.split()[-1]}


def test_where_the_two_differ_there_are_many_times_as_many_items_as_in_the_pool() -> None:
    found = counts(draw_check(stop_set(), NOTHING_KNOWN, wanted=90, askable=ASKABLE))
    differing = found["student negative, incumbent positive"] + found["student positive, incumbent negative"]
    # 7 % of the pool; the others keep enough for kappa and the prevalence.
    assert differing > 35
    assert found["student negative, incumbent negative"] > 35
    assert found["student positive, incumbent positive"] >= 2


def test_what_earlier_labels_say_moves_the_shares() -> None:
    unknown = counts(draw_check(stop_set(), NOTHING_KNOWN, wanted=60, askable=ASKABLE))
    # Everything the student alone called positive was negative: there is nothing to learn there any more.
    sure = known(0.0, 100, student=True, other=False)
    many = known(0.5, 100, student=False, other=False)
    for told, stratum, sign in (
        (sure, "student positive, incumbent negative", -1),
        (many, "student negative, incumbent negative", 1),
    ):
        found = counts(draw_check(stop_set(), told, wanted=60, askable=ASKABLE))
        assert sign * (found[stratum] - unknown[stratum]) > 3
        assert min(found.values()) >= 2


def test_no_stratum_is_left_out_however_small_the_draw() -> None:
    tiny = {**dict.fromkeys(SIZES, 500), "student negative, incumbent positive": 1}
    found = counts(draw_check(stop_set(tiny), NOTHING_KNOWN, wanted=8, askable=ASKABLE))
    assert found.pop("student negative, incumbent positive") == 1
    assert min(found.values()) >= 2
    agreed = {name: size for name, size in SIZES.items() if name.count("positive") != 1}
    assert sum(counts(draw_check(stop_set(agreed), NOTHING_KNOWN, wanted=20, askable=ASKABLE)).values()) == 20


def test_a_stop_set_with_fewer_items_is_drawn_whole_and_an_empty_one_gives_none() -> None:
    few = stop_set().head(5)
    drawn = draw_check(few, NOTHING_KNOWN, wanted=90, askable=10)
    assert set(drawn["item_id"]) == set(few["item_id"])
    assert set(drawn["inclusion_probability"]) == {0.5}
    assert draw_check(few.clear(), NOTHING_KNOWN, wanted=90, askable=0).is_empty()


def test_the_same_seed_draws_the_same_whatever_the_order_and_another_draws_others() -> None:
    first = draw_check(stop_set(), NOTHING_KNOWN, wanted=30, askable=ASKABLE, seed=1)
    shuffled = stop_set().sample(fraction=1, shuffle=True, seed=3)
    assert draw_check(shuffled, NOTHING_KNOWN, wanted=30, askable=ASKABLE, seed=1).equals(first)
    assert set(draw_check(stop_set(), NOTHING_KNOWN, wanted=30, askable=ASKABLE, seed=2)["item_id"]) != set(
        first["item_id"]
    )
    # Neighbours in the queue tell nothing of what the models say.
    assert first["stratum"].to_list() != first["stratum"].sort().to_list()


def test_weighted_labels_speak_for_the_pool() -> None:
    items, generator = stop_set(), np.random.default_rng(0)
    rate = np.where(items["student"], 0.5, 0.02) + np.where(items["incumbent"], 0.3, 0.0)
    positive = dict(zip(items["item_id"], generator.random(items.height) < rate, strict=True))
    sums = []
    for seed in range(300):
        drawn = draw_check(items, NOTHING_KNOWN, wanted=60, askable=ASKABLE, seed=seed)
        labels = np.array([positive[item] for item in drawn["item_id"]])
        sums.append((labels / drawn["inclusion_probability"].to_numpy()).sum())
    truth = sum(positive.values()) * ASKABLE / items.height
    assert np.mean(sums) == pytest.approx(truth, abs=4 * np.std(sums) / len(sums) ** 0.5)


@pytest.mark.parametrize(
    ("wanted", "askable", "message"),
    [(7, ASKABLE, "check_items: 7 is too small"), (8, 999, "askable: 999 is too small; expected at least 1000")],
)
def test_a_number_out_of_range_is_refused(wanted: int, askable: int, message: str) -> None:
    with pytest.raises(CurationError, match=message):
        draw_check(stop_set(), NOTHING_KNOWN, wanted=wanted, askable=askable)


def test_items_without_a_label_of_either_model_are_refused() -> None:
    with pytest.raises(CurationError, match="stop_set: column other is missing"):
        draw_check(stop_set().drop("other"), NOTHING_KNOWN, wanted=8, askable=ASKABLE)
    unscored = stop_set().with_columns(student=pl.lit(None, dtype=pl.Boolean))
    with pytest.raises(CurationError, match="stop_set: 1000 of 1000 items are not called by both models"):
        draw_check(unscored, NOTHING_KNOWN, wanted=8, askable=ASKABLE)
