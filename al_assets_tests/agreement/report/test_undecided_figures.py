from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from al_assets.agreement.core.figures import Figure
from al_assets.agreement.core.labelled_items import LabelledItems, labelled_items
from al_assets.agreement.core.undecided import UndecidedPanel
from al_assets.agreement.population.pool_design import pool_design
from al_assets.agreement.report.inputs import asked_items
from al_assets.agreement.report.iteration_report import models_of
from al_assets.agreement.report.undecided_figures import SCOPES, left_out_of_kappa, undecided_figures
from al_assets_tests.support.reports import design_of, report_frame, threshold_of
from al_assets_tests.support.simulated_loop import World, make_world

BOUNDS = [f"{who}_expert_kappa_{end}" for who in ("expert", "model", "incumbent") for end in ("worst", "best")]


def _items(world: World) -> LabelledItems:
    return labelled_items(world.votes, world.split, world.scores)


def _figures(world: World) -> dict[tuple[str, str], Figure]:
    items = _items(world)
    models = models_of(items, threshold_of(world, 0.2))
    found = undecided_figures(items, models, design_of(world), resamples=200, seed=0)
    return {(figure.scope, figure.figure): figure for figure in found}


def _answered(world: World, labels: Sequence[str], share: float) -> World:
    """Return the world with a share of all votes replaced by these, one after the other."""
    generator = np.random.default_rng(1)
    chosen = generator.random(world.votes.height) < share
    given = [str(labels[at % len(labels)]) for at in range(world.votes.height)]
    changed = pl.when(pl.Series(chosen)).then(pl.Series(given)).otherwise("label")
    return World(world.votes.with_columns(label=changed), world.split, world.scores, world.prevalence)


def test_every_scope_says_what_kappa_would_be_had_everybody_decided() -> None:
    world = _answered(make_world(), ["undecided"], 0.1)
    found = _figures(world)
    items = _items(world)
    for scope in SCOPES:
        names = [name for where, name in found if where == scope]
        bounds = BOUNDS[:2] if scope == "loop" else BOUNDS
        assert sorted(names) == sorted(["left_out_of_kappa", "alpha_with_undecided", *bounds])
        for name in bounds:
            figure = found[scope, name]
            assert figure.low is not None
            assert figure.estimate is not None
            assert figure.high is not None
            assert figure.low < figure.estimate < figure.high
        for kappa in {name.rpartition("_")[0] for name in bounds}:
            worst, best = (found[scope, f"{kappa}_{end}"].estimate for end in ("worst", "best"))
            assert worst is not None
            assert best is not None
            assert worst < best
    everything = UndecidedPanel(items.votes, items.undecided_by).figures(np.ones((1, len(items))))
    assert found["loop", "expert_expert_kappa_worst"].estimate == pytest.approx(
        float(everything["expert_expert_kappa_worst"][0])
    )
    assert "weighted to the pool" in str(found["audit", "expert_expert_kappa_best"].detail)


def test_the_report_holds_kappa_between_its_bounds() -> None:
    world = _answered(make_world(), ["undecided"], 0.1)
    report = report_frame(votes=world.votes, split=world.split, scores=world.scores, resamples=100)
    kappas = {(row["scope"], row["figure"]): row["estimate"] for row in report.iter_rows(named=True)}
    for scope in SCOPES:
        bounds = [kappas[scope, f"expert_expert_kappa_{end}"] for end in ("worst", "best")]
        assert bounds[0] < kappas[scope, "expert_expert_kappa"] < bounds[1] + 0.05


def test_where_everybody_decided_there_are_no_bounds_and_the_report_says_so() -> None:
    world = make_world()
    world = World(world.votes.filter(pl.col("label") != "undecided"), world.split, world.scores, world.prevalence)
    assert {name for _, name in _figures(world)} == {"left_out_of_kappa"}
    report = report_frame(votes=world.votes, split=world.split, scores=world.scores, resamples=100)
    share = report.row(
        by_predicate=(pl.col("figure") == "undecided_share") & (pl.col("scope") == "evaluation"), named=True
    )
    assert share["estimate"] == 0
    assert str(share["detail"]).endswith("so no kappa has a worst and a best beside it")


def test_where_nobody_decided_every_figure_has_a_reason_in_place_of_a_number() -> None:
    found = _figures(_answered(make_world(items=120), ["undecided"], 1.1))
    assert ("evaluation", "expert_expert_kappa_worst") in found
    for (scope, name), figure in found.items():
        if name != "left_out_of_kappa":
            assert (figure.estimate, figure.low, figure.high) == (None, None, None), (scope, name)
            assert figure.detail == "every answer is 'cannot decide'"
    left_out = found["loop", "left_out_of_kappa"]
    assert left_out.estimate == left_out.items == 120


def test_items_that_kappa_leaves_out_are_counted_and_named() -> None:
    world = make_world(items=120)
    item_ids = world.votes["item_id"].unique().sort()
    one, two = item_ids[0], item_ids[1]
    votes = world.votes.with_columns(
        label=pl.when(pl.col("label") == "undecided").then(pl.lit("negative")).otherwise("label")
    )
    votes = votes.filter((pl.col("item_id") != one) | (pl.col("rater") == "r1")).with_columns(
        label=pl.when((pl.col("item_id") == two) & (pl.col("rater") != "r1"))
        .then(pl.lit("undecided"))
        .otherwise("label")
    )
    items = labelled_items(votes, world.split, world.scores)
    figure = left_out_of_kappa("loop", items)
    assert (figure.estimate, figure.items) == (2, 120)
    assert figure.detail == (
        f"2 of 120 items have fewer than two decisive votes: 1 by 'cannot decide', 1 with one answer only; {one}, {two}"
    )
    whole = left_out_of_kappa("loop", items.where(items.decisive > 1))
    assert (whole.estimate, whole.detail) == (0, "0 of 118 items have fewer than two decisive votes")
    nothing = left_out_of_kappa("panel", items.where(items.decisive > 9))
    assert (nothing.estimate, nothing.detail) == (None, "no labelled item in this scope")


def test_a_rater_with_one_vote_changes_the_bounds_by_a_pair_and_no_more() -> None:
    world = _answered(make_world(items=120), ["undecided"], 0.1)
    before = _figures(world)["loop", "expert_expert_kappa_worst"].estimate
    guest = world.votes.head(1).with_columns(rater=pl.lit("guest"), label=pl.lit("undecided"))
    after = _figures(World(pl.concat([world.votes, guest]), world.split, world.scores, 0.2))
    now = after["loop", "expert_expert_kappa_worst"].estimate
    assert before is not None
    assert now is not None
    assert now == pytest.approx(before, abs=0.02)


def test_without_a_random_item_the_pool_is_undefined_by_name() -> None:
    world = _answered(make_world(items=120), ["undecided"], 0.1)
    chosen = world.split.filter(pl.col("reason") == "boundary")["item_id"].to_list()
    votes, split = (frame.filter(pl.col("item_id").is_in(chosen)) for frame in (world.votes, world.split))
    items = labelled_items(votes, split, world.scores)
    models = {"model": (items.p_student > 0.5).astype(np.float64)}
    found = undecided_figures(items, models, pool_design(asked_items(votes)), resamples=50, seed=0)
    audit = {figure.figure: figure for figure in found if figure.scope == "audit"}
    assert audit.pop("left_out_of_kappa").detail == "no labelled item in this scope"
    assert sorted(audit) == sorted(["alpha_with_undecided", *BOUNDS[:4]])
    assert {(figure.estimate, figure.detail) for figure in audit.values()} == {(None, "no random item has two answers")}
