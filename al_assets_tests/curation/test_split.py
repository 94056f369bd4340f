from collections.abc import Collection, Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.curation.split import adjudication_counts, split_labels, stable_sample, uniform_hash
from al_assets_tests.support.votes import crossfits

LABELS = ("positive", "negative", "undecided")


def votes_of(rows: Sequence[tuple[str, str, str, str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["item_id", "iteration", "reason", "group_id", "label"], orient="row")


def split(votes: pl.DataFrame, share: float = 0.3, seed: int = 0) -> pl.DataFrame:
    return split_labels(votes, evaluation_share=share, seed=seed, panel_iteration="0000")


def crossfit(votes: pl.DataFrame, iteration: str = "0002", taught_only: Collection[str] = ()) -> pl.DataFrame:
    return split_labels(
        votes, evaluation_share=0.3, seed=0, panel_iteration="0000", crossfit=True, iteration=iteration,
        taught_only=taught_only,
    )  # fmt: skip


def one(*labels: str) -> dict[str, object]:
    found = split(votes_of([("a", "0000", "boundary", "a", label) for label in labels]))
    return found.row(0, named=True)


@pytest.mark.parametrize(
    ("labels", "majority", "share"),
    [
        (["positive", "positive"], True, 1),
        (["positive", "negative", "negative"], False, 1 / 3),
        (["positive", "negative"], None, 0.5),
        (["positive", "undecided"], True, 1),
        (["undecided", "undecided"], None, None),
        (["negative", "undecided", "undecided"], False, 0),
        (["positive", "negative", "undecided"], None, 0.5),
    ],
)
def test_the_majority_and_the_share_are_of_decisive_votes(
    labels: list[str], majority: bool | None, share: float | None
) -> None:
    found = one(*labels)
    assert found["label"] is majority
    assert found["positive_share"] == share
    for name in LABELS:
        assert found[f"{name}_votes"] == labels.count(name)


def decided(adjudicated: str | None, *labels: str, reason: str = "boundary") -> pl.DataFrame:
    rows = [("a", "0001", reason, "a", label) for label in labels]
    return split(votes_of(rows).with_columns(adjudicated=pl.lit(adjudicated, dtype=pl.String)), share=1e-9)


@pytest.mark.parametrize(
    ("adjudicated", "labels", "label", "overturned"),
    [
        ("negative", ["positive", "positive"], False, 1),
        ("positive", ["positive", "positive"], True, 0),
        ("positive", ["positive", "negative"], True, 0),
        ("negative", ["undecided", "undecided"], False, 0),
        ("guideline gap", ["positive", "positive"], None, 0),
        (None, ["positive", "positive"], True, 0),
    ],
)
def test_in_fine_tuning_an_adjudicated_label_takes_the_majoritys_place(
    adjudicated: str | None, labels: list[str], label: bool | None, overturned: int
) -> None:
    found = decided(adjudicated, *labels)
    row = found.row(0, named=True)
    assert (row["split"], row["label"], row["adjudicated"]) == ("fine-tuning", label, adjudicated)
    assert row["positive_share"] == (None if label is None else float(label))
    assert [row[f"{name}_votes"] for name in LABELS] == [labels.count(name) for name in LABELS]
    assert adjudication_counts(found) == {
        "adjudicated": int(adjudicated is not None),
        "overturned": overturned,
        "guideline_gaps": int(adjudicated == "guideline gap"),
        "adjudicated_in_evaluation": 0,
    }


@pytest.mark.parametrize("adjudicated", ["negative", "guideline gap"])
def test_in_evaluation_the_majority_stays(adjudicated: str) -> None:
    found = decided(adjudicated, "positive", "positive", reason="audit")
    assert found.select("split", "label", "adjudicated").row(0) == ("evaluation", True, adjudicated)
    assert found["positive_share"].to_list() == [1]
    counts = adjudication_counts(found)
    assert (counts.pop("adjudicated_in_evaluation"), set(counts.values())) == (1, {0})


def many(seed: int, items: int = 300) -> pl.DataFrame:
    chance = np.random.default_rng(seed)
    rows = []
    for number in range(items):
        iteration = f"{chance.integers(3):04d}"
        reason = str(chance.choice(["boundary", "audit", "control", "check"]))
        group = f"g{number // 2}" if reason == "boundary" else f"i{number}"
        rows += [(f"i{number}", iteration, reason, group, str(chance.choice(LABELS))) for _ in range(2)]
    return votes_of(rows)


@given(st.integers(0, 10_000), st.sampled_from(["0000", "0001", "0002"]))
@settings(max_examples=25)
def test_with_crossfit_all_measure_and_all_with_a_share_teach_but_present_check_items(
    seed: int, iteration: str
) -> None:
    found = crossfit(many(seed).filter(pl.col("iteration") <= iteration), iteration)
    assert crossfits(found)
    present = (found["reason"] == "check") & (found["iteration"] == iteration)
    assert found["teaches"].equals(found["positive_share"].is_not_null() & ~present)
    panel = (found["iteration"] == "0000") & (found["reason"] != "check")
    assert found["split"].to_list() == ["panel" if each else "evaluation" for each in panel]


def test_with_crossfit_what_taught_without_being_judged_goes_on_only_teaching() -> None:
    votes = many(0)
    taught = votes["group_id"].unique().sort().head(20).to_list()
    found = crossfit(votes, taught_only=taught)
    assert set(found.filter(split="fine-tuning")["group_id"]) == set(taught)
    whole = crossfit(votes).select("item_id", "teaches", "label", "positive_share")
    assert found.select(whole.columns).equals(whole)


@pytest.mark.parametrize(
    ("adjudicated", "reason", "iteration", "share"),
    [
        ("negative", "audit", "0001", 0.0),
        ("negative", "check", "0000", 0.0),
        ("negative", "check", "0001", 1.0),
        ("guideline gap", "audit", "0001", None),
        ("guideline gap", "check", "0001", 1.0),
    ],
)
def test_with_crossfit_a_decision_counts_wherever_the_item_may_teach(
    adjudicated: str, reason: str, iteration: str, share: float | None
) -> None:
    votes = votes_of([("a", iteration, reason, "a", "positive")] * 2).with_columns(adjudicated=pl.lit(adjudicated))
    found = crossfit(votes, "0001")
    assert found.select("positive_share", "label").row(0) == (share, None if share is None else share == 1)
    assert adjudication_counts(found) == {
        "adjudicated": int(share != 1),
        "overturned": int(share == 0),
        "guideline_gaps": int(share is None),
        "adjudicated_in_evaluation": int(share == 1),
    }


@given(st.integers(0, 10_000), st.floats(0.05, 0.95))
@settings(max_examples=25)
def test_no_group_is_divided_and_no_audit_or_check_item_is_trained_on(seed: int, share: float) -> None:
    found = split(many(seed), share, seed)
    assert not crossfits(found)
    assert found["teaches"].equals((found["split"] == "fine-tuning") & found["positive_share"].is_not_null())
    trained = found.with_columns(trained=pl.col("split") == "fine-tuning")
    assert (trained.group_by("group_id").agg(pl.col("trained").n_unique())["trained"] == 1).all()
    assert found.filter(pl.col("reason").is_in(["audit", "check"]), split="fine-tuning").is_empty()
    held_out = found.filter(pl.col("split") != "fine-tuning")
    of_panel = (pl.col("iteration") == "0000") & (pl.col("reason") != "check")
    assert (held_out.filter(of_panel)["split"] == "panel").all()
    assert (held_out.filter(~of_panel)["split"] == "evaluation").all()


def test_a_partner_of_an_audited_item_is_held_out_with_it() -> None:
    rows = [("a", "0000", "audit", "pair", "positive"), ("b", "0000", "boundary", "pair", "negative")]
    assert split(votes_of(rows), share=0.01)["split"].to_list() == ["panel", "panel"]


def test_the_split_of_an_item_never_changes_when_labels_are_added() -> None:
    votes = many(1)
    some = votes.filter(pl.col("iteration") <= "0001")
    early, late = split(some), split(votes)
    kept = early.join(late, on="item_id", how="left")
    assert early.height < late.height
    assert (kept["split"] == kept["split_right"]).all()


def test_the_share_held_out_is_about_as_asked() -> None:
    rows = [(f"i{number}", "0001", "boundary", f"i{number}", "positive") for number in range(4000)]
    held_out = (split(votes_of(rows), share=0.3)["split"] == "evaluation").mean()
    assert held_out == pytest.approx(0.3, abs=4 * (0.21 / 4000) ** 0.5)
    assert split(votes_of(rows), seed=1)["split"].to_list() != split(votes_of(rows), seed=0)["split"].to_list()


def test_the_order_of_votes_changes_nothing() -> None:
    votes = many(2)
    shuffled = votes.sample(fraction=1, shuffle=True, seed=5)
    assert split(shuffled).equals(split(votes))


def test_no_votes_give_no_rows() -> None:
    empty = votes_of([("a", "0000", "boundary", "a", "positive")]).clear()
    assert split(empty).height == 0


def test_hashes_are_spread_evenly_and_stay_the_same() -> None:
    values = [uniform_hash(f"i{number}", 0) for number in range(2000)]
    assert 0 <= min(values) <= max(values) < 1
    assert np.mean(values) == pytest.approx(0.5, abs=4 * (1 / 12 / 2000) ** 0.5)
    # Written down: a change would move every item between training and evaluation.
    assert uniform_hash("item", 0) == pytest.approx(0.02734467639573934)


def test_a_sample_keeps_its_members_when_the_pool_grows() -> None:
    pool = [f"i{number}" for number in range(500)]
    few, more = stable_sample(pool[:250], 50, 0), stable_sample(pool, 50, 0)
    assert set(more) & set(pool[:250]) <= set(few)
    assert stable_sample(pool[::-1], 50, 0) == more
    assert stable_sample(pool[:10], 50, 0) == sorted(pool[:10], key=lambda each: uniform_hash(each, 0))
