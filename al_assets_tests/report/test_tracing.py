import io
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import cohen_kappa_score

from al_assets.agreement.core.figures import figure_of
from al_assets.agreement.core.labelled_items import RANDOM_REASONS
from al_assets.config import Policy
from al_assets.report.descriptions import FIGURES, SCOPES
from al_assets.report.explanation import explanation_view
from al_assets.report.iteration_tables import IterationTables, read_tables
from al_assets.report.tracing import explain_figure
from al_assets_tests.support.finished_run import KEYS, SCRIPT
from al_assets_tests.support.loop_journal import Journal

# Their rows hold items that the count leaves out: without a decisive vote, with one vote, not of every expert.
OTHER_COUNTS = ("undecided_share", "gwet_ac1", "alt_test_winning_rate", "alt_test_advantage")


def _with_row(tables: IterationTables, **row: object) -> IterationTables:
    added = pl.concat([tables.report, pl.DataFrame([row], schema=tables.report.schema)])
    return replace(tables, reports={**tables.reports, tables.iteration: added})


def _sklearn_kappa(items: pl.DataFrame, first: str, second: str) -> float:
    both = items.select(first, second).drop_nulls()
    return float(cohen_kappa_score(both[first].to_list(), both[second].to_list()))


@pytest.mark.parametrize("key", [KEYS[0], KEYS[-1]])
def test_every_figure_is_described_and_computed_again_from_its_items(run_policy: Policy, key: str) -> None:
    tables = read_tables(run_policy, key)
    for row in tables.report.iter_rows(named=True):
        found = explain_figure(tables, row["figure"], row["scope"])
        where = f"{row['figure']} of {row['scope']}"
        assert row["figure"] in FIGURES, f"{where} has no description"
        if found.basis == "bounds":
            assert found.rests_on, where
            continue
        assert found.basis in ("items", "figures"), f"{where} cannot be traced"
        if row["estimate"] is None:
            assert found.recomputed is None, where
        else:
            assert found.recomputed == pytest.approx(row["estimate"], abs=1e-9, rel=0), where
        assert found.matches is True, where
        if found.basis == "items" and row["items"] is not None and row["figure"] not in OTHER_COUNTS:
            decisive = found.items
            if row["figure"] == "fleiss_kappa":
                decisive = decisive.filter(_decisive(tables) >= 2)
            if row["figure"] in ("calibration_error", "brier_score"):
                decisive = decisive.filter(pl.col("weight") > 0)
            elif row["scope"] == "audit" or row["figure"] == "threshold_prevalence":
                decisive = decisive.filter(pl.col("reason").is_in(RANDOM_REASONS))
            assert decisive.height == row["items"], where


@pytest.mark.parametrize("key", ["0000", "0001"])
def test_every_figure_of_a_loop_that_ran_is_computed_again(journal: Journal, key: str) -> None:
    tables = read_tables(journal.loop.policy, key)
    explained = [explain_figure(tables, *place) for place in tables.report.select("figure", "scope").iter_rows()]
    traced = [each for each in explained if each.basis != "bounds"]
    assert len(traced) > 60
    assert [each.stored for each in traced if not each.matches] == []


def _decisive(tables: IterationTables) -> pl.Expr:
    return pl.sum_horizontal(pl.col(f"vote_{rater}").is_not_null().cast(pl.Int64) for rater in tables.raters)


def test_the_kappa_of_the_items_shown_is_scikit_learns(tables: IterationTables) -> None:
    found = explain_figure(tables, "expert_expert_mean_kappa", "boundary")
    names = [f"vote_{rater}" for rater in tables.raters]
    pairs = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :]]
    kappas = [_sklearn_kappa(found.items, *pair) for pair in pairs]
    assert found.stored.estimate == pytest.approx(np.mean(kappas), abs=1e-9)
    pooled = explain_figure(tables, "expert_expert_kappa", "boundary")
    assert pooled.matches
    assert pooled.cells.equals(found.cells)
    assert found.cells["kappa"].to_list() == pytest.approx(kappas)
    cells = found.cells.select("both_positive", "first_only", "second_only", "both_negative")
    assert cells.sum_horizontal().to_list() == found.cells["items"].to_list()


def test_the_models_kappa_rests_on_the_labels_and_votes_shown(tables: IterationTables) -> None:
    assert explain_figure(tables, "model_expert_kappa", "evaluation").matches
    found = explain_figure(tables, "model_expert_mean_kappa", "evaluation")
    kappas = [_sklearn_kappa(found.items, "student_label", f"vote_{rater}") for rater in tables.raters]
    assert found.stored.estimate == pytest.approx(np.mean(kappas), abs=1e-9)


def test_the_population_figures_follow_from_the_weights_shown(tables: IterationTables) -> None:
    items = explain_figure(tables, "precision", "audit").items
    votes = items.select(f"vote_{rater}" for rater in tables.raters)
    share = votes.select(
        pl.mean_horizontal(
            pl.col(name).replace_strict({"positive": 1.0, "negative": 0.0}, default=None) for name in votes.columns
        )
    ).to_series()
    called = (items["student_label"] == "positive").cast(pl.Float64).to_numpy()
    weights = items["weight"].to_numpy()
    expected = float((weights * called * share.to_numpy()).sum() / (weights * called).sum())
    stored = figure_of(tables.report, "precision", "audit")
    assert stored is not None
    assert stored.estimate == pytest.approx(expected, abs=1e-9)
    assert items.filter(pl.col("reason").is_in(RANDOM_REASONS))["inclusion_probability"].null_count() == 0
    assert float(weights.mean()) == pytest.approx(1)


def test_an_items_effect_is_what_the_figure_loses_without_it(tables: IterationTables) -> None:
    found = explain_figure(tables, "model_expert_mean_kappa", "boundary")
    without = found.items.slice(1)
    kappas = [_sklearn_kappa(without, "student_label", f"vote_{rater}") for rater in tables.raters]
    assert found.recomputed is not None
    assert found.items["effect"][0] == pytest.approx(found.recomputed - np.mean(kappas), abs=1e-9)


def test_a_figure_without_a_scope_is_that_of_the_evaluation_items(tables: IterationTables) -> None:
    assert explain_figure(tables, "model_expert_kappa").stored.scope == "evaluation"
    assert explain_figure(tables, "prevalence").stored.scope == "audit"
    assert explain_figure(tables, "threshold").stored.scope == "pool"


def test_votes_that_changed_since_the_report_are_noticed(tables: IterationTables) -> None:
    flipped = tables.votes.with_columns(
        first_label=pl.when(pl.col("seq") % 5 == 0).then(pl.lit("positive")).otherwise("first_label")
    )
    found = explain_figure(replace(tables, votes=flipped), "expert_expert_kappa", "loop")
    assert found.matches is False
    assert "changed since the report" in found.note


def test_a_figure_nobody_described_is_given_as_stored(tables: IterationTables) -> None:
    more = _with_row(tables, figure="something_new", scope="evaluation", estimate=0.5, items=3, detail="how")
    found = explain_figure(more, "something_new")
    assert found.basis == "stored"
    assert found.matches is None
    assert found.recomputed is None


@pytest.mark.parametrize(
    ("figure", "scope", "says"),
    [
        ("model_expert_kapa", None, "did you mean model_expert_kappa"),
        ("prevalence", "panel", "prevalence has no scope 'panel'; it has audit"),
    ],
)
def test_an_unknown_figure_or_scope_is_refused_with_a_way_out(
    tables: IterationTables, figure: str, scope: str | None, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        explain_figure(tables, figure, scope)


@pytest.mark.parametrize(
    ("key", "says"), [("0007", "has no kappa_report; there are reports of 0000, 0001, 0002"), ("7", "four digits")]
)
def test_an_iteration_without_a_report_is_refused(run_policy: Policy, key: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_tables(run_policy, key)


def test_an_explanation_is_json_and_fits_a_terminal(tables: IterationTables) -> None:
    from rich.console import Console

    for figure in ("model_expert_kappa", "stop_parity", "watermark", "threshold"):
        found = explain_figure(tables, figure)
        loaded = json.loads(json.dumps(found.as_dict(), default=str))
        assert len(loaded["items"]) == found.items.height
        assert loaded["stored"]["figure"] == figure
        console = Console(width=200, record=True, file=io.StringIO())
        console.print(explanation_view(found, limit=3))
        assert found.title in console.export_text()


def test_texts_are_shown_to_the_letter_in_the_terminal(tables: IterationTables) -> None:
    from rich.console import Console

    found = explain_figure(tables, "labels")
    console = Console(width=250, record=True, file=io.StringIO())
    console.print(explanation_view(found))
    assert SCRIPT in console.export_text()


def test_what_a_description_rests_on_is_described_too() -> None:
    for name, each in FIGURES.items():
        assert each.title
        assert each.sentence.endswith(".")
        assert each.formula
        for figure, scope in each.rests_on:
            assert figure in FIGURES, name
            assert scope in ("", *SCOPES), name


def test_an_effect_is_missing_where_the_figure_would_be_undefined(tables: IterationTables) -> None:
    held_out = tables.split.filter(pl.col("split") != "fine-tuning")["item_id"]
    votes = tables.votes.filter(
        (pl.col("reason") == "control") & pl.col("item_id").is_in(held_out.implode()) & (pl.col("label") != "undecided")
    )
    lone = votes.filter(pl.col("label") == "positive")["item_id"].unique().sort()[0]
    only = votes.filter((pl.col("item_id") == lone) | (pl.col("label") == "negative"))
    found = explain_figure(replace(tables, votes=only), "positive_agreement", "control")
    # Without the one item that anybody calls positive, nobody says positive.
    assert found.items.filter(pl.col("effect").is_null())["item_id"].to_list() == [lone]
    assert found.items.height > 2
