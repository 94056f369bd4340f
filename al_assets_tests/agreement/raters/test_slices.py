from collections.abc import Callable, Sequence

import krippendorff
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from al_assets.agreement.core.kappa import TABLE_FIGURES
from al_assets.agreement.core.labelled_items import labelled_items
from al_assets.agreement.raters.rated_items import MAJORITY, QUALITY_FIGURES
from al_assets.agreement.raters.slices import MODEL, OTHERS, agreement_figures
from al_assets.agreement.report.scopes import expert_scope
from al_assets.tables import AGREEMENT_FIGURES
from al_assets_tests.support.simulated_loop import World
from al_assets_tests.support.votes import noisy_votes, votes_frame

Row = dict[str, object]

PANEL_FIGURES = (
    "expert_expert_kappa", "expert_expert_mean_kappa", "fleiss_kappa", "krippendorff_alpha", "gwet_ac1",
    "observed_agreement", "positive_agreement", "negative_agreement", "prevalence_index", "bias_index",
)  # fmt: skip


def _row(figures: pl.DataFrame, kind: str, value: str, figure: str, against: str | None = None) -> Row:
    compared = pl.col("against").is_null() if against is None else pl.col("against") == against
    found = figures.filter(
        (pl.col("scope") == kind) & (pl.col("slice") == value) & (pl.col("figure") == figure) & compared
    )
    assert found.height == 1, (kind, value, figure, against)
    return found.row(0, named=True)


def _model(labels: Sequence[bool | None]) -> pl.DataFrame:
    items = [f"i{item:05d}" for item in range(len(labels))]
    return pl.DataFrame({"item_id": items, "label": list(labels)}).drop_nulls()


def test_every_slice_holds_every_figure_once() -> None:
    votes = noisy_votes(0, items=80)
    frame = votes_frame(
        votes,
        reason=["boundary", "margin", "audit", "control"] * 20,
        iteration=["0000"] * 40 + ["0001"] * 40,
        policy_version=["1"] * 50 + ["2"] * 30,
    )
    model = _model([bool(label) for label in votes[:, 0]])
    found = agreement_figures(frame, model=model, resamples=50)
    assert found.schema == AGREEMENT_FIGURES.schema
    assert not found.select("scope", "slice", "against", "figure").is_duplicated().any()
    slices = found.filter(pl.col("scope") != "rater").group_by("scope", "slice").agg("figure")
    assert sorted(slices.select("scope", "slice").rows()) == [
        ("all", "all"),
        ("iteration", "0000"),
        ("iteration", "0001"),
        ("policy_version", "1"),
        ("policy_version", "2"),
        ("reason", "audit"),
        ("reason", "boundary"),
        ("reason", "control"),
        ("reason", "margin"),
    ]
    for figures in slices["figure"]:
        assert set(figures) == {*PANEL_FIGURES, "model_expert_kappa", "model_expert_mean_kappa"}
    compared = found.filter((pl.col("scope") == "rater") & (pl.col("slice") == "r1"))
    expected = [(other, figure) for other in ("r0", "r2", MAJORITY, MODEL) for figure in TABLE_FIGURES]
    expected += [(OTHERS, "cohen_kappa")]
    expected += [(MAJORITY if "_share" not in figure else None, figure) for figure in QUALITY_FIGURES]  # type: ignore[misc]
    assert sorted(compared.select("against", "figure").rows(), key=str) == sorted(expected, key=str)


def test_slices_equal_scikit_learn_and_krippendorff_on_their_own_items() -> None:
    votes = noisy_votes(1, items=120)
    reason = ["boundary", "audit", "control"] * 40
    version = ["1"] * 70 + ["2"] * 50
    model = noisy_votes(5, items=120, raters=1)[:, 0]
    found = agreement_figures(
        votes_frame(votes, reason=reason, policy_version=version),
        model=_model([bool(label) for label in model]),
        resamples=50,
    )
    for kind, value, mask in (
        ("all", "all", np.ones(120, dtype=np.bool_)),
        ("reason", "audit", np.array(reason) == "audit"),
        ("policy_version", "2", np.array(version) == "2"),
    ):
        part, called = votes[mask], model[mask]
        pairs = [cohen_kappa_score(part[:, a], part[:, b]) for a, b in ((0, 1), (0, 2), (1, 2))]
        assert _row(found, kind, value, "expert_expert_mean_kappa")["estimate"] == pytest.approx(np.mean(pairs))
        alpha = krippendorff.alpha(part.T, value_domain=[0.0, 1.0], level_of_measurement="nominal")
        assert _row(found, kind, value, "krippendorff_alpha")["estimate"] == pytest.approx(alpha)
        with_model = [cohen_kappa_score(called, part[:, rater]) for rater in range(3)]
        assert _row(found, kind, value, "model_expert_mean_kappa")["estimate"] == pytest.approx(np.mean(with_model))
        assert _row(found, kind, value, "observed_agreement")["items"] == int(mask.sum())
    against = cohen_kappa_score(votes[:, 1], votes[:, 2])
    assert _row(found, "rater", "r1", "cohen_kappa", "r2")["estimate"] == pytest.approx(against)
    mean = np.mean([cohen_kappa_score(votes[:, 1], votes[:, other]) for other in (0, 2)])
    assert _row(found, "rater", "r1", "cohen_kappa", OTHERS)["estimate"] == pytest.approx(mean)
    model_row = _row(found, "rater", "r1", "cohen_kappa", MODEL)
    assert model_row["estimate"] == pytest.approx(cohen_kappa_score(votes[:, 1], model))
    same = votes[:, 0] == votes[:, 2]
    majority = cohen_kappa_score(votes[same, 1], votes[same, 0])
    assert _row(found, "rater", "r1", "cohen_kappa", MAJORITY)["estimate"] == pytest.approx(majority)


def test_intervals_are_near_the_asymptotic_ones_of_statsmodels_in_a_large_sample() -> None:
    votes = noisy_votes(2, items=3_000, raters=2)
    row = _row(agreement_figures(votes_frame(votes)), "rater", "r0", "cohen_kappa", "r1")
    table = np.array([[np.sum((votes[:, 0] == i) & (votes[:, 1] == j)) for j in (0, 1)] for i in (0, 1)])
    fleiss_cohen_everitt = cohens_kappa(table)
    assert row["estimate"] == pytest.approx(fleiss_cohen_everitt.kappa)
    assert row["low"] == pytest.approx(fleiss_cohen_everitt.kappa_low, abs=0.005)
    assert row["high"] == pytest.approx(fleiss_cohen_everitt.kappa_upp, abs=0.005)


def test_intervals_are_near_those_of_irrcac_with_missing_votes() -> None:
    # irrCAC 0.4.4 (linearised variance, t): the 95 % intervals of the same 200 items, categories 0 and 1.
    generator = np.random.default_rng(7)
    truth = generator.random(200) < 0.25
    votes = np.where(generator.random((200, 3)) < 0.12, ~truth[:, None], truth[:, None]).astype(np.float64)
    votes[generator.random((200, 3)) < 0.15] = np.nan
    found = agreement_figures(votes_frame(votes))
    published = {
        "fleiss_kappa": (0.4173, 0.65444),
        "gwet_ac1": (0.58377, 0.77012),
        "krippendorff_alpha": (0.4129, 0.64025),
    }
    for figure, (low, high) in published.items():
        row = _row(found, "all", "all", figure)
        assert (row["low"], row["high"]) == pytest.approx((low, high), abs=0.025), figure


def test_groups_are_resampled_whole_and_the_headline_equals_the_report(world: Callable[..., World]) -> None:
    loop = world(items=240)
    items = labelled_items(loop.votes, loop.split, loop.scores)
    report = expert_scope("loop", items, resamples=300, seed=4).interval("expert_expert_kappa")
    row = _row(agreement_figures(loop.votes, resamples=300, seed=4), "all", "all", "expert_expert_kappa")
    assert (row["estimate"], row["low"], row["high"]) == pytest.approx((report.estimate, report.low, report.high))
    alone = agreement_figures(loop.votes.with_columns(group_id="item_id"), resamples=300, seed=4)
    assert _row(alone, "all", "all", "expert_expert_kappa")["low"] != row["low"]


def test_the_model_is_judged_where_raters_can_be_judged() -> None:
    votes = noisy_votes(6, items=60, raters=2)
    votes[20:, 1] = np.nan
    called = noisy_votes(7, items=60, raters=1)[:, 0]
    # The model knows items 5 to 59; two raters answered items 0 to 19.
    model = _model([None if item < 5 else bool(called[item]) for item in range(60)])
    frame = votes_frame(votes, reason=["audit"] * 8 + ["boundary"] * 52)
    found = agreement_figures(frame, model=model, resamples=100)
    expected = [cohen_kappa_score(called[5:20], votes[5:20, rater]) for rater in (0, 1)]
    row = _row(found, "all", "all", "model_expert_mean_kappa")
    assert (row["estimate"], row["items"]) == (pytest.approx(np.mean(expected)), 15)
    assert _row(found, "all", "all", "expert_expert_kappa")["items"] == 20
    alone = _row(found, "rater", "r0", "cohen_kappa", MODEL)
    assert (alone["estimate"], alone["items"]) == (pytest.approx(expected[0]), 15)
    # 60 items were labelled, but few of them say anything of agreement.
    few = _row(found, "reason", "audit", "observed_agreement")
    assert (few["low"], few["detail"]) == (None, "no interval: 8 independent groups; it takes at least 10")
    third = agreement_figures(frame, model=model.head(9), resamples=100)
    assert _row(third, "all", "all", "model_expert_kappa")["detail"] == (
        "no interval: 9 independent groups; it takes at least 10"
    )


def test_what_is_undefined_is_null_with_a_reason() -> None:
    votes = np.zeros((40, 3))
    votes[:, 2] = np.nan
    votes[0, 2] = 1
    frame = votes_frame(votes, undecided=[(1, 2)], reason=["audit"] * 20 + ["control"] * 20)
    found = agreement_figures(frame, model=_model([None] * 10 + [False] * 30), resamples=100)
    assert found.filter(pl.col("estimate").is_null() | pl.col("low").is_null())["detail"].null_count() == 0
    assert found.filter(pl.col("low").is_not_null())["detail"].null_count() == found["low"].count()
    kappa = _row(found, "reason", "control", "expert_expert_kappa")
    assert kappa["estimate"] is None
    assert kappa["detail"] == "every vote is negative; kappa is undefined while only one label occurs"
    assert _row(found, "reason", "control", "positive_agreement")["detail"] == "no vote is positive"
    assert _row(found, "rater", "r0", "positive_agreement", "r1")["detail"] == "neither ever says positive"
    same = _row(found, "rater", "r0", "cohen_kappa", "r1")
    assert (same["estimate"], same["items"]) == (None, 40)
    assert same["detail"] == "both give one and the same label to all 40 items"
    assert _row(found, "rater", "r2", "cohen_kappa", MODEL)["detail"] == "no item that both answered decisively"
    few = _row(found, "rater", "r0", "observed_agreement", "r2")
    assert (few["estimate"], few["low"]) == (0, None)
    assert few["detail"] == "no interval: 1 independent groups; it takes at least 10"
    whole = _row(found, "rater", "r0", "observed_agreement", "r1")
    # All 40 agree: at worst the share that 40 items would miss, 1 - .025^(1/40).
    assert (whole["low"], whole["high"]) == pytest.approx((0.025 ** (1 / 40), 1))
    drift = _row(found, "rater", "r0", "kappa_drift", MAJORITY)
    assert drift["detail"] == "a drift takes answers from two iterations on items where the others have a majority"


def test_a_loop_without_a_decisive_vote_gives_reasons_only() -> None:
    empty = agreement_figures(votes_frame(np.empty((0, 1))))
    assert empty["detail"].unique().to_list() == ["no item with a decisive vote"]
    assert empty["figure"].to_list() == list(PANEL_FIGURES)
    undecided = votes_frame(np.full((12, 2), np.nan), undecided=[(i, j) for i in range(12) for j in range(2)])
    found = agreement_figures(undecided, resamples=100)
    assert _row(found, "all", "all", "gwet_ac1")["estimate"] is None
    assert _row(found, "rater", "r1", "undecided_share")["estimate"] == 1
    assert _row(found, "rater", "r1", "positive_share")["detail"] == "no decisive vote"
    alone = agreement_figures(votes_frame(noisy_votes(0, raters=1)), resamples=100)
    assert _row(alone, "all", "all", "expert_expert_kappa")["detail"] == "no item has two decisive votes"
    assert "cohen_kappa" not in alone["figure"].to_list()


def test_versions_are_those_of_the_votes_not_of_the_items() -> None:
    votes = noisy_votes(3, items=60, raters=3)
    frame = votes_frame(votes).with_columns(
        policy_version=pl.when(pl.col("rater") == "r2").then(pl.lit("2")).otherwise(pl.lit("1"))
    )
    found = agreement_figures(frame, resamples=50)
    first = _row(found, "policy_version", "1", "expert_expert_kappa")
    assert first["estimate"] == pytest.approx(cohen_kappa_score(votes[:, 0], votes[:, 1]))
    assert _row(found, "policy_version", "2", "expert_expert_kappa")["detail"] == "no item has two decisive votes"
    without = agreement_figures(frame.drop("policy_version"), resamples=50)
    assert_frame_equal(without, found.filter(pl.col("scope") != "policy_version"))


def test_the_model_needs_one_label_for_an_item() -> None:
    frame = votes_frame(noisy_votes(0, items=20))
    with pytest.raises(ValueError, match="model: columns label are missing"):
        agreement_figures(frame, model=frame.select("item_id"), resamples=10)
    with pytest.raises(ValueError, match="model: an item_id is repeated"):
        agreement_figures(frame, model=frame.select("item_id", label=True), resamples=10)


@settings(max_examples=15)
@given(seed=st.integers(0, 1_000), missing=st.sampled_from([0.0, 0.4]))
def test_the_order_of_rows_and_the_names_of_raters_and_items_change_no_estimate(seed: int, missing: float) -> None:
    votes = noisy_votes(seed, items=30, missing=missing)
    generator = np.random.default_rng(seed)
    model = _model([bool(label) for label in generator.integers(0, 2, 30)])
    found = agreement_figures(votes_frame(votes), model=model, resamples=20)
    frame = votes_frame(votes).sample(fraction=1.0, shuffle=True, seed=seed)
    # The same rows in another order give the same frame, bit for bit.
    assert_frame_equal(agreement_figures(frame, model=model, resamples=20), found, check_exact=True)
    turned = {f"r{rater}": f"r{2 - rater}" for rater in range(3)}
    again = {"item_id": pl.lit("j") + (99_999 - pl.col("item_id").str.slice(1).cast(pl.Int64)).cast(pl.String)}
    renamed = agreement_figures(
        frame.with_columns(pl.col("rater").replace(turned), **again, group_id=again["item_id"]),
        model=model.with_columns(**again),
        resamples=20,
    )
    key = ["scope", "slice", "against", "figure"]
    expected = found.with_columns(pl.col("slice", "against").replace(turned))
    assert_frame_equal(
        renamed.select(*key, "estimate", "items").sort(key), expected.select(*key, "estimate", "items").sort(key)
    )


@settings(max_examples=15)
@given(seed=st.integers(0, 1_000))
def test_swapping_the_labels_keeps_kappa_and_swaps_the_agreements(seed: int) -> None:
    votes = noisy_votes(seed, items=40, missing=0.2)
    model = [bool(label) for label in np.random.default_rng(seed).integers(0, 2, 40)]
    found = agreement_figures(votes_frame(votes), model=_model(model), resamples=20)
    turned = agreement_figures(votes_frame(1 - votes), model=_model([not label for label in model]), resamples=20)
    names = {"positive_agreement": "negative_agreement", "negative_agreement": "positive_agreement"}
    signed = pl.col("figure").is_in(["signed_bias", "signed_bias_drift"])
    share = pl.col("figure") == "positive_share"
    mirrored = turned.with_columns(
        pl.col("figure").replace(names),
        estimate=pl.when(signed)
        .then(-pl.col("estimate"))
        .when(share)
        .then(1 - pl.col("estimate"))
        .otherwise("estimate"),
    )
    key = ["scope", "slice", "against", "figure"]
    assert_frame_equal(mirrored.select(*key, "estimate").sort(key), found.select(*key, "estimate").sort(key))
