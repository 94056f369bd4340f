from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.agreement.core.bootstrap import Resampling, grouped_distributions
from al_assets.agreement.core.kappa import kappa_of, pair_cells
from al_assets.agreement.raters.retest import retest
from al_assets.tables import AGREEMENT_FIGURES

FAST = Resampling(resamples=400, seed=1)
NAMES = {"p": "positive", "n": "negative", "u": "undecided"}


def answers(rater: str, pattern: str, *, same_policy: bool = True, start: int = 0) -> pl.DataFrame:
    """A rater's retests from pairs of letters, such as ``pp pn``: the first answer, the later one."""
    rows = [
        {
            "item_id": f"item{start + number:04d}", "rater": rater, "group_id": f"group{start + number:04d}",
            "first_label": NAMES[pair[0]], "label": NAMES[pair[1]], "same_policy": same_policy,
        }
        for number, pair in enumerate(pattern.split())
    ]  # fmt: skip
    schema = {"item_id": pl.String, "rater": pl.String, "group_id": pl.String, "first_label": pl.String,
              "label": pl.String, "same_policy": pl.Boolean}  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def pattern(both: int, first: int, later: int, neither: int) -> str:
    return " ".join(["pp"] * both + ["pn"] * first + ["np"] * later + ["nn"] * neither)


def figures(frame: pl.DataFrame) -> dict[tuple[str, str], dict[str, object]]:
    found = retest(frame, FAST)
    assert found.schema == AGREEMENT_FIGURES.schema
    return {(row["slice"], row["figure"]): row for row in found.iter_rows(named=True)}


def test_one_raters_figures_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import cohen_kappa_score

    frame = answers("anna", pattern(20, 5, 10, 15))
    found = figures(frame)
    expected = cohen_kappa_score(frame["first_label"].to_list(), frame["label"].to_list())
    for part in ("anna", "all"):
        assert found[part, "retest_kappa"]["estimate"] == pytest.approx(expected)
        assert found[part, "retest_agreement"]["estimate"] == pytest.approx(0.7)
        assert found[part, "retest_kappa"]["items"] == 50
        assert found[part, "retest_kappa"]["detail"] is None


def test_the_interval_is_the_grouped_bca_interval() -> None:
    frame = answers("anna", pattern(20, 5, 10, 15)).with_columns(
        group_id=pl.Series([f"g{number // 2:02d}" for number in range(50)])
    )
    votes = [(frame[name] == "positive").cast(pl.Float64).to_numpy() for name in ("first_label", "label")]
    cells = pair_cells(votes[0], votes[1])
    groups = frame["group_id"].to_numpy().astype(np.str_)
    kappa = grouped_distributions(lambda w: {"kappa": kappa_of(w @ cells)}, groups, resamples=400, seed=1)["kappa"]
    expected = kappa.interval(50)
    found = figures(frame)["anna", "retest_kappa"]
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))


def test_all_raters_together_take_chance_within_each() -> None:
    # anna: n 10, Po .8, Pe .5 (5 of 10 positive both times); ben: n 10, Po .9, Pe .9 (1 of 10, then none).
    frame = pl.concat([answers("anna", pattern(4, 1, 1, 4)), answers("ben", pattern(0, 1, 0, 9), start=50)])
    found = figures(frame)
    anna, ben = 10 * (1 - 0.5), 10 * (1 - 0.9)
    assert found["anna", "retest_kappa"]["estimate"] == pytest.approx(0.6)
    assert found["ben", "retest_kappa"]["estimate"] == pytest.approx(0.0)
    assert found["all", "retest_kappa"]["estimate"] == pytest.approx((anna * 0.6 + ben * 0.0) / (anna + ben))
    assert found["all", "retest_agreement"]["estimate"] == pytest.approx(0.85)


def test_one_table_of_raters_with_other_habits_would_flatter() -> None:
    # Both answer at random about their own habit: neither agrees with himself beyond chance.
    often = answers("anna", pattern(16, 4, 4, 1))
    rarely = answers("ben", pattern(1, 4, 4, 16), start=50)
    found = figures(pl.concat([often, rarely]))
    assert found["all", "retest_kappa"]["estimate"] == pytest.approx(0)
    pooled = figures(pl.concat([often, rarely.with_columns(rater=pl.lit("anna"))]))
    assert float(str(pooled["all", "retest_kappa"]["estimate"])) > 0.3


def test_without_retests_nothing_is_claimed() -> None:
    none = retest(answers("anna", ""), FAST)
    assert none["estimate"].to_list() == [None, None]
    assert set(none["detail"]) == {"no retest: set selection.repeat_share above 0"}
    frame = pl.concat([answers("anna", "up pu uu"), answers("anna", "pp nn", same_policy=False, start=9)])
    found = figures(frame)
    for part in ("anna", "all"):
        row = found[part, "retest_kappa"]
        assert (row["estimate"], row["low"], row["items"]) == (None, None, 0)
        assert row["detail"] == "no retest: 2 lie on either side of an edit of the policy, 3 hold a 'cannot decide'"


def test_one_label_throughout_leaves_kappa_undefined_and_agreement_known() -> None:
    found = figures(answers("anna", pattern(0, 0, 0, 12)))
    kappa, agreement = found["anna", "retest_kappa"], found["anna", "retest_agreement"]
    assert kappa["estimate"] is None
    assert kappa["detail"] == "one and the same label throughout the 12 retests; repeat more items"
    assert agreement["estimate"] == 1
    # No disagreement in 12: the rule of the unseen, 1 - .025 ** (1 / 12).
    assert agreement["low"] == pytest.approx(1 - (1 - 0.025 ** (1 / 12)))
    assert agreement["high"] == 1
    assert found["all", "retest_kappa"]["estimate"] is None


def test_a_rater_who_never_agrees_has_an_interval_that_ends_at_nothing() -> None:
    agreement = figures(answers("anna", pattern(0, 6, 6, 0)))["anna", "retest_agreement"]
    assert (agreement["estimate"], agreement["low"]) == (0, 0)


def test_few_groups_have_an_estimate_and_no_interval() -> None:
    row = figures(answers("anna", pattern(3, 1, 1, 3)))["anna", "retest_kappa"]
    assert row["estimate"] == pytest.approx(0.5)
    assert (row["low"], row["high"]) == (None, None)
    assert str(row["detail"]).startswith("no interval: 8 independent groups")


@given(st.lists(st.sampled_from(["pp", "pn", "np", "nn", "pu"]), min_size=1, max_size=40))
@settings(max_examples=40)
def test_neither_the_order_of_rows_nor_the_names_matter(pairs: Sequence[str]) -> None:
    frame = pl.concat([answers("anna", " ".join(pairs)), answers("ben", " ".join(reversed(pairs)))])
    shuffled = frame.sample(fraction=1, shuffle=True, seed=len(pairs))
    assert retest(shuffled, FAST).equals(retest(frame, FAST))
    renamed = frame.with_columns(rater=pl.col("rater").replace_strict({"anna": "xena", "ben": "yve"}))
    assert retest(renamed, FAST).drop("slice").equals(retest(frame, FAST).drop("slice"))
    turned = frame.rename({"first_label": "label", "label": "first_label"})
    assert retest(turned, FAST)["estimate"].to_list() == pytest.approx(retest(frame, FAST)["estimate"].to_list())


def test_wrong_frames_are_refused() -> None:
    frame = answers("anna", "pp nn")
    with pytest.raises(ValueError, match="retests: columns same_policy are missing"):
        retest(frame.drop("same_policy"))
    with pytest.raises(
        ValueError, match=r"retests.first_label: 'maybe'; expected one of positive, negative, undecided"
    ):
        retest(frame.with_columns(first_label=pl.lit("maybe")))
    with pytest.raises(ValueError, match="more than one row for item_id='item0000', rater='anna'"):
        retest(pl.concat([frame, frame]))
