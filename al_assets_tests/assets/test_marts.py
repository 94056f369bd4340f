from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from al_assets.agreement.core.kappa import table_figures
from al_assets.assets.loop_assets import ITERATIONS, loop_asset, table_output
from al_assets.assets.marts import build_marts
from al_assets.assets.provenance import build_provenance
from al_assets.assets.resource import LoopResource
from al_assets.storage.io import TableIOManager
from al_assets.storage.root import RunRoot
from al_assets.storage.warehouse import load_models, run_model
from al_assets.tables import DEPENDENCIES, MATERIALIZATIONS, TABLES, WHY_QUEUED

MODELS = load_models()
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

POLICY = """\
policy:
  name: demo
  question: Is it?
  guideline: It is.
pool: {path: pool.jsonl}
labeler: {kind: functions, functions: ["builtins:float"]}
embedding: {model: none}
review: {raters: [ann, ben]}
student: {kind: linear, embedding: {model: none}}
storage: {root: runs}
"""


def rows(name: str, *found: Mapping[str, Any]) -> pl.DataFrame:
    """Return rows of a table; columns left out hold null, or a value of their type that no model looks at."""
    filler: dict[Any, Any] = {
        pl.String: "-", pl.Int64: 0, pl.Int32: 0, pl.Float32: 0.0, pl.Float64: 0.0, pl.Boolean: False,
        pl.List(pl.String): [], pl.List(pl.Float32): [],
    }  # fmt: skip
    columns = TABLES[name].columns
    missing = {key: None if column.nullable else filler.get(column.dtype, NOON) for key, column in columns.items()}
    return TABLES[name].check(pl.DataFrame([{**missing, **each} for each in found], schema=TABLES[name].schema))


def write(root: RunRoot, name: str, key: str, *found: Mapping[str, Any]) -> None:
    root.write_table(root.table_path(name, key), rows(name, *found))


def votes(*found: tuple[int, str, str, str, str, str], **more: Any) -> list[dict[str, Any]]:
    names = ("seq", "item_id", "iteration", "rater", "label", "reason")
    return [{**dict(zip(names, each, strict=True)), "first_label": each[4], **more} for each in found]


def mart(name: str, root: RunRoot, given: Mapping[str, pl.DataFrame] | None = None) -> list[dict[str, Any]]:
    """Run a model after those that stand before it."""
    frames = {**no_provenance(), **(given or {})}
    for each in MODELS.values():
        frames[each.name] = run_model(each, root, frames)
    return frames[name].to_dicts()


def no_provenance() -> dict[str, pl.DataFrame]:
    return {"materializations": MATERIALIZATIONS.empty(), "dependencies": DEPENDENCIES.empty()}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_runs_before_anything_was_written(tmp_path: Path, name: str) -> None:
    frames: dict[str, pl.DataFrame] = no_provenance()
    for each in MODELS.values():
        frames[each.name] = run_model(each, RunRoot(str(tmp_path)), frames)
    assert frames[name].height == 0
    assert not [dtype for dtype in frames[name].dtypes if dtype in (pl.Null, pl.Decimal, pl.Int32)]


def test_queues_of_an_earlier_release_are_read_beside_those_that_say_why(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    asked = rows("review_queue", {"item_id": "a", "reason": "boundary", "rank": 3, "mixing": 0.5})
    root.write_table(root.table_path("review_queue", "0000"), asked.drop(WHY_QUEUED))
    root.write_table(root.table_path("review_queue", "0001"), asked)
    assert [(each["iteration"], each["queued_items"]) for each in mart("loop_history", root)] == [
        ("0000", 1),
        ("0001", 1),
    ]


def test_the_newest_answer_of_a_rater_counts_once(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    old = votes((1, "a", "0000", "ann", "positive", "audit"), (2, "a", "0000", "ben", "undecided", "audit"))
    new = votes((2, "a", "0000", "ben", "undecided", "audit"), (5, "a", "0000", "ann", "negative", "audit"))
    write(root, "expert_labels", "0000", *old)
    write(root, "expert_labels", "0001", *new, *votes((4, "b", "0001", "ann", "positive", "control")))
    found = mart("stg_votes", root)
    assert [(each["seq"], each["item_id"], each["rater"], each["positive"], each["iteration"]) for each in found] == [
        (2, "a", "ben", None, "0000"),
        (4, "b", "ann", True, "0001"),
        (5, "a", "ann", False, "0000"),
    ]


def test_an_item_is_labelled_by_the_majority_of_decisive_votes(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    answers = {"a": ("positive", "positive", "negative"), "b": ("positive", "negative", "undecided"),
               "c": ("undecided", "undecided", "undecided")}  # fmt: skip
    cast = [
        (3 * number + voter, item, "0000", rater, label, "control")
        for number, (item, labels) in enumerate(answers.items())
        for voter, (rater, label) in enumerate(zip(("ann", "ben", "cat"), labels, strict=True))
    ]
    write(root, "expert_labels", "0000", *votes(*cast))
    found = [
        (each["item_id"], each["positive_votes"], each["negative_votes"], each["undecided_votes"],
         each["positive_share"], each["label"])
        for each in mart("stg_item_labels", root)
    ]  # fmt: skip
    assert found == [("a", 2, 1, 0, pytest.approx(2 / 3), True), ("b", 1, 1, 1, 0.5, None), ("c", 0, 0, 3, None, None)]


def answers(iteration: str, first: int, pattern: str, raters: tuple[str, str] = ("ann", "ben")) -> list[dict[str, Any]]:
    """Return two raters' votes on one item for each pair of letters: p, n, u."""
    label = {"p": "positive", "n": "negative", "u": "undecided"}
    cast = [
        (first + 2 * number + side, f"{iteration}-{number}", iteration, raters[side], label[pair[side]], "boundary")
        for number, pair in enumerate(pattern.split())
        for side in (0, 1)
    ]
    return votes(*cast)


def test_rater_agreement_is_cohens_kappa(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    first, second = answers("0000", 0, "pp pp pp pn np nn nn nn nn nn up"), answers("0001", 100, "pp pp")
    write(root, "expert_labels", "0000", *first)
    write(root, "expert_labels", "0001", *first, *second)
    found = {(each["iteration"], each["scope"]): each for each in mart("rater_agreement", root)}
    assert list(found) == [("0000", "iteration"), ("0000", "so far"), ("0001", "iteration"), ("0001", "so far")]
    # 10 decisive items: 3 both positive, 1 and 1 apart, 5 both negative; 4 of 10 positive each: Pe = .16 + .36 = .52.
    one = found["0000", "iteration"]
    counts = ("items", "both_positive", "only_a_positive", "only_b_positive", "both_negative")
    assert [one[each] for each in counts] == [10, 3, 1, 1, 5]
    assert one["observed_agreement"] == pytest.approx(0.8)
    assert one["chance_agreement"] == pytest.approx(0.52)
    assert one["cohen_kappa"] == pytest.approx(0.28 / 0.48)
    assert one["positive_agreement"] == pytest.approx(6 / 8)
    panel = table_figures(np.array([3.0, 1.0, 1.0, 5.0]))
    for figure in ("cohen_kappa", "negative_agreement", "gwet_ac1", "prevalence_index", "bias_index"):
        assert one[figure] == pytest.approx(float(panel[figure])), figure
    # Both always positive: they agree, but kappa is undefined.
    assert found["0001", "iteration"]["observed_agreement"] == 1
    assert found["0001", "iteration"]["cohen_kappa"] is None
    # 12 items: Po = 10 / 12, 6 of 12 positive each: Pe = .5.
    assert found["0001", "so far"]["items"] == 12
    assert found["0001", "so far"]["cohen_kappa"] == pytest.approx((10 / 12 - 0.5) / 0.5)


def test_rater_agreement_rests_on_first_answers(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    corrected = [{**each, "label": "positive"} for each in answers("0000", 0, "pn pn pp nn nn")]
    write(root, "expert_labels", "0000", *corrected)
    assert mart("rater_agreement", root)[0]["observed_agreement"] == pytest.approx(3 / 5)
    assert mart("policy_versions", root)[0]["observed_agreement"] == pytest.approx(3 / 5)
    assert [each["label"] for each in mart("stg_item_labels", root)] == [True] * 5


def test_rater_agreement_tells_who_said_positive(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    write(root, "expert_labels", "0000", *answers("0000", 0, "pn pn np nn", raters=("zoe", "ann")))
    one = mart("rater_agreement", root)[0]
    assert (one["rater_a"], one["rater_b"]) == ("ann", "zoe")
    assert (one["only_a_positive"], one["only_b_positive"]) == (1, 2)
    assert one["positive_agreement"] == 0


def test_curation_yield_follows_positives_from_the_pool_to_the_labels(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    positive = {"a", "b"}
    items = [f"{letter}" for letter in "abcdefghij"]
    write(root, "pseudo_labels", "0000", *({"item_id": each, "label": each in positive} for each in items))
    reasons = {"a": "boundary", "c": "boundary", "b": "audit", "d": "audit", "e": "audit"}
    write(root, "review_queue", "0000", *({"item_id": each, "reason": why} for each, why in reasons.items()))
    cast = [
        (1, "a", "0000", "ann", "positive", "boundary"),
        (2, "c", "0000", "ann", "positive", "boundary"),
        (3, "c", "0000", "ben", "negative", "boundary"),
        # Asked to measure, which is no yield of curation.
        (8, "f", "0000", "ann", "positive", "check"),
    ]
    drawn = votes(
        (4, "b", "0000", "ann", "positive", "audit"),
        (5, "d", "0000", "ann", "positive", "audit"),
        (6, "d", "0000", "ben", "negative", "audit"),
        (7, "e", "0000", "ann", "negative", "audit"),
    )
    write(root, "expert_labels", "0000", *votes(*cast), *drawn)
    prevalence = {"figure": "prevalence", "scope": "audit", "estimate": 0.4, "items": 3}
    write(root, "kappa_report", "0000", prevalence, {**prevalence, "scope": "loop", "estimate": 0.9})
    found = {
        (each["stage"], each["basis"], each["reason"]): (each["items"], each["positives"], each["positive_share"])
        for each in mart("curation_yield", root)
    }
    assert list(found)[:2] == [("pool", "pseudo-labels", "all"), ("pool", "audit estimate", "all")]
    assert found == {
        ("pool", "pseudo-labels", "all"): (10, 2, 0.2),
        ("pool", "audit estimate", "all"): (3, None, 0.4),
        ("queue", "pseudo-labels", "all"): (5, 2, 0.4),
        ("queue", "pseudo-labels", "boundary"): (2, 1, 0.5),
        ("queue", "pseudo-labels", "audit"): (3, 1, pytest.approx(1 / 3)),
        # c and d are tied and left out.
        ("labels", "expert labels", "all"): (3, 2, pytest.approx(2 / 3)),
        ("labels", "expert labels", "boundary"): (1, 1, 1),
        ("labels", "expert labels", "audit"): (2, 1, 0.5),
    }


def pair(positive: str, negative: str, rank: int | None, *, selected: bool = False) -> dict[str, Any]:
    return {
        "pair_id": f"{positive}|{negative}", "positive_item": positive, "negative_item": negative, "rank": rank,
        "selected": selected,
    }  # fmt: skip


def asked(positive: str, negative: str, revision: int = 0) -> list[dict[str, Any]]:
    shared = {"reason": "boundary", "pair_id": f"{positive}|{negative}", "revision": revision}
    return [{"item_id": positive, **shared}, {"item_id": negative, **shared}]


def test_versions_of_the_policy_have_figures_of_their_own(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    old = answers("0000", 0, "pp pp pp pn np nn nn nn nn nn up")
    new = answers("0001", 100, "pp pp nn pp")
    dated = [{**each, "policy_version": "2", "voted_at": datetime(2026, 12, 1, tzinfo=UTC)} for each in new]
    # One vote of the first iteration was given again under the new text.
    again = {**old[0], "seq": 200, "policy_version": "2"}
    write(root, "expert_labels", "0000", *({**each, "policy_version": "1"} for each in old))
    write(root, "expert_labels", "0001", *({**each, "policy_version": "1"} for each in old[1:]), *dated, again)
    first, second = mart("policy_versions", root)
    # Without that item 9 were decided by both: 2 both positive, 1 and 1 apart, 5 both negative.
    assert [first[each] for each in ("policy_version", "latest", "votes", "items", "raters")] == ["1", False, 21, 11, 2]
    assert first["shared_items"] == 9
    assert first["observed_agreement"] == pytest.approx(7 / 9)
    panel = table_figures(np.array([2.0, 1.0, 1.0, 5.0]))
    assert first["cohen_kappa"] == pytest.approx(float(panel["cohen_kappa"]))
    assert first["undecided_share"] == pytest.approx(1 / 21)
    assert first["positive_share"] == pytest.approx(8 / 20)
    assert [second[each] for each in ("policy_version", "latest", "votes", "items")] == ["2", True, 9, 5]
    assert (second["observed_agreement"], second["cohen_kappa"]) == (1, 1)
    assert (first["first_voted_at"], second["last_voted_at"]) == (NOON, datetime(2026, 12, 1, tzinfo=UTC))


def test_a_version_that_one_rater_voted_under_has_no_agreement(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    write(root, "expert_labels", "0000", *votes((1, "a", "0000", "ann", "undecided", "audit"), policy_version="1"))
    (only,) = mart("policy_versions", root)
    assert (only["shared_items"], only["undecided_share"], only["latest"]) == (0, 1, True)
    assert [only[each] for each in ("positive_share", "observed_agreement", "cohen_kappa")] == [None] * 3


def drift(root: RunRoot) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["iteration"], each["unit"]): each for each in mart("selection_drift", root)}


def test_selection_drift_compares_the_published_pairs_with_todays_choice(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    write(root, "review_queue", "0000", *asked("a", "x"), *asked("b", "y"), *asked("c", "z"))
    # a|x stays; b meets another partner; the third place goes to d|w; c|z is ranked fourth.
    todays = [pair("a", "x", 0), pair("b", "w", 1), pair("d", "v", 2), pair("c", "z", 3), pair("e", "u", None)]
    write(root, "boundary_pairs", "0000", *todays)
    cast = [(1, "a"), (2, "x"), (3, "b"), (4, "d")]
    write(root, "expert_labels", "0000", *votes(
        *((seq, item, "0000", "ann", "positive", "boundary") for seq, item in cast),
        (5, "v", "0000", "ann", "undecided", "boundary"),
    ))  # fmt: skip
    pairs = drift(root)["0000", "pair"]
    assert [pairs[each] for each in ("published", "chosen_now", "kept", "dropped", "new")] == [3, 3, 1, 2, 2]
    assert pairs["jaccard"] == pytest.approx(1 / 5)
    assert (pairs["labelled"], pairs["labelled_share"]) == (1, pytest.approx(1 / 3))
    items = drift(root)["0000", "item"]
    # published a b c x y z, chosen a b d x w v
    assert [items[each] for each in ("published", "chosen_now", "kept", "dropped", "new")] == [6, 6, 3, 3, 3]
    assert items["jaccard"] == pytest.approx(3 / 9)
    assert (items["labelled"], items["labelled_share"]) == (4, pytest.approx(4 / 6))


def test_an_unchanged_choice_has_no_drift_although_the_audit_took_a_pairs_member(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    write(root, "review_queue", "0000", *asked("a", "x"), *asked("c", "z"), {"item_id": "y", "reason": "audit"})
    write(
        root, "boundary_pairs", "0000",
        pair("a", "x", 0, selected=True), pair("b", "y", 1, selected=True), pair("c", "z", 2), pair("d", "w", 3),
    )  # fmt: skip
    found = drift(root)
    assert [found["0000", unit]["jaccard"] for unit in ("pair", "item")] == [1, 1]
    assert found["0000", "pair"]["labelled_share"] == 0


def test_reselected_pairs_do_not_enlarge_todays_choice(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    write(root, "review_queue", "0000", *asked("a", "x"), *asked("b", "y", revision=1))
    write(root, "boundary_pairs", "0000", pair("b", "y", 0, selected=True), pair("c", "z", 1))
    found = drift(root)["0000", "pair"]
    assert [found[each] for each in ("published", "chosen_now", "kept", "dropped", "new")] == [2, 1, 1, 1, 0]


def test_drift_without_pairs_is_undefined_and_without_a_queue_is_all_new(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    write(root, "review_queue", "0000", {"item_id": "a", "reason": "control"})
    write(root, "boundary_pairs", "0000")
    write(root, "boundary_pairs", "0001", pair("a", "x", 0, selected=True), pair("b", "y", 1))
    write(root, "review_queue", "0002", *asked("a", "x"))
    write(root, "boundary_pairs", "0003", pair("a", "x", None))
    found = drift(root)
    assert ("0000", "pair") not in found
    assert [found["0001", "pair"][each] for each in ("published", "chosen_now", "new", "jaccard")] == [0, 1, 1, 0]
    assert [found["0002", "pair"][each] for each in ("published", "chosen_now", "jaccard")] == [1, 0, 0]
    assert found["0002", "pair"]["labelled_share"] is None
    assert found["0003", "pair"]["jaccard"] is None


def test_loop_history_tells_the_course_of_the_loop(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    write(root, "incumbent_model", "0000", {"kind": "llm0"})
    write(root, "incumbent_model", "0001", {"kind": "checkpoint", "promoted_from": "0000"})
    hidden = [{"item_id": "e", "reason": "gold"}, {"item_id": "f", "reason": "repeat"}]
    write(root, "review_queue", "0000", {"item_id": "a"}, {"item_id": "b"}, {"item_id": "c"}, *hidden)
    write(root, "review_queue", "0001", {"item_id": "d"})
    write(root, "check_queue", "0000", {"item_id": "g"})
    cast = votes(
        (1, "a", "0000", "ann", "positive", "audit"),
        (2, "a", "0000", "ben", "positive", "audit"),
        (3, "b", "0000", "ann", "undecided", "audit"),
    )
    write(root, "expert_labels", "0000", *cast)
    write(root, "expert_labels", "0001", *cast, *votes((4, "d", "0001", "ann", "negative", "audit")))
    concluded = {
        "verdict": "continue", "verdict_reason": "no rule fired: yet",
        "promoted": True, "promotion_reason": "not worse: 2 items", "better": "student", "recommended": "0000",
    }  # fmt: skip
    figure = {"figure": "model_expert_kappa", "low": 0.3, "high": 0.5, **concluded}
    write(
        root, "kappa_report", "0000",
        {**figure, "scope": "evaluation", "estimate": 0.4},
        {**figure, "scope": "panel", "estimate": 0.41},
        {**figure, "scope": "audit", "estimate": 0.42},
        {"figure": "expert_expert_kappa", "scope": "evaluation", "estimate": 0.8, "low": 0.7, "high": 0.9},
        {"figure": "expert_expert_kappa", "scope": "loop", "estimate": 0.1},
        {"figure": "parity_difference", "scope": "evaluation", "estimate": -0.4, "low": -0.5, "high": -0.3},
        {"figure": "gain_over_recommended", "scope": "audit", "estimate": 0.2, "low": 0.1, "high": 0.3},
        {"figure": "prevalence", "scope": "audit", "estimate": 0.05, "low": 0.02, "high": 0.1},
        {"figure": "threshold", "scope": "pool", "estimate": 0.7},
    )  # fmt: skip
    first, second = mart("loop_history", root)
    assert first == {
        "iteration": "0000", "incumbent": "llm0", "incumbent_from": None,
        "queued_items": 4, "check_items": 1, "hidden_items": 2,
        "labelled_items": 1, "labelled_so_far": 1, "votes_so_far": 3,
        "expert_kappa": 0.8, "expert_kappa_low": 0.7, "expert_kappa_high": 0.9,
        "student_kappa": 0.4, "student_kappa_low": 0.3, "student_kappa_high": 0.5,
        "parity_difference": -0.4, "parity_difference_low": -0.5, "parity_difference_high": -0.3,
        "panel_kappa": 0.41, "panel_kappa_low": 0.3, "panel_kappa_high": 0.5,
        "audit_kappa": 0.42, "audit_kappa_low": 0.3, "audit_kappa_high": 0.5,
        "pool_gain": 0.2, "pool_gain_low": 0.1, "pool_gain_high": 0.3,
        "prevalence": 0.05, "prevalence_low": 0.02, "prevalence_high": 0.1,
        "student_threshold": 0.7, "promoted": True, "promotion_reason": "not worse: 2 items",
        "better": "student", "recommended": "0000",
        "verdict": "continue", "verdict_reason": "no rule fired: yet",
    }  # fmt: skip
    known = {name: value for name, value in second.items() if value is not None}
    assert known == {
        "iteration": "0001", "incumbent": "checkpoint", "incumbent_from": "0000",
        "queued_items": 1, "check_items": 0, "hidden_items": 0,
        "labelled_items": 1, "labelled_so_far": 2, "votes_so_far": 4,
    }  # fmt: skip


def place(asset: str, iteration: str | None = "0000", **more: Any) -> dict[str, Any]:
    fresh = {"materialized_at": NOON, "run_id": "run", "code_version_then": "1", "code_version_now": "1"}
    return {"asset": asset, "iteration": iteration, **fresh, "computed_version": "v", "data_version": "v", **more}


def edge(asset: str, upstream: str, then: str | None = "v", now: str | None = "v", **more: Any) -> dict[str, Any]:
    return {
        "asset": asset, "iteration": "0000", "upstream": upstream, "upstream_iteration": "0000",
        "version_then": then, "version_now": now, **more,
    }  # fmt: skip


def test_a_region_has_a_life_by_its_members_whatever_its_number(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    lie = {"0000": "0000111122", "0001": "1111000033"}
    for key, places in lie.items():
        items = [{"item_id": f"i{at}", "region": int(place)} for at, place in enumerate(places)]
        write(root, "cluster_assignments", key, *items)
        of_region = [
            {"region": region, "name": f"{region}: words", "items": places.count(str(region)), "error": error}
            for region, error in ((0, 0.4), (1, 0.1), (int(places[-1]), 0.2))
        ]
        write(root, "overlap_map", key, *of_region)
    asked = votes(
        (1, "i0", "0000", "ann", "positive", "audit"), (2, "i0", "0000", "ben", "negative", "audit"),
        (3, "i4", "0001", "ann", "positive", "audit"), (4, "i4", "0001", "ben", "positive", "audit"),
    )  # fmt: skip
    write(root, "expert_labels", "0001", *asked)
    found = {(each["iteration"], each["region"]): each for each in mart("region_history", root)}
    assert [each[0] for each in found] == ["0000"] * 3 + ["0001"] * 3
    assert found["0000", 0]["continues"] is None is found["0000", 0]["error_before"]
    assert (found["0001", 1]["continues"], found["0001", 1]["error"], found["0001", 1]["error_before"]) == (0, 0.1, 0.4)
    assert (found["0001", 0]["continues"], found["0001", 0]["shared"]) == (1, 1.0)
    assert (found["0000", 0]["labelled"], found["0000", 0]["disputed"]) == (1, 1)
    assert (found["0001", 1]["labelled"], found["0001", 1]["disputed"]) == (1, 1)
    assert (found["0001", 0]["labelled"], found["0001", 0]["disputed"]) == (1, 0)


def test_a_region_whose_members_scatter_is_a_new_one(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    for key, places in {"0000": "00001111", "0001": "01010101"}.items():
        items = [{"item_id": f"i{at}", "region": int(place)} for at, place in enumerate(places)]
        write(root, "cluster_assignments", key, *items)
        write(root, "overlap_map", key, {"region": 0, "items": 4}, {"region": 1, "items": 4})
    found = [each for each in mart("region_history", root) if each["iteration"] == "0001"]
    assert [each["continues"] for each in found] == [None, None]
    assert [round(each["shared"], 2) for each in found] == [0.33, 0.33]


def stale(
    tmp_path: Path, places: list[dict[str, Any]], edges: list[dict[str, Any]]
) -> dict[tuple[str | None, str], str | None]:
    given = {
        "materializations": MATERIALIZATIONS.check(pl.DataFrame(places, schema=MATERIALIZATIONS.schema)),
        "dependencies": DEPENDENCIES.check(pl.DataFrame(edges, schema=DEPENDENCIES.schema)),
    }
    found = mart("staleness", RunRoot(str(tmp_path)), given)
    assert all(each["out_of_date"] == (each["reason"] is not None) for each in found)
    return {(each["iteration"], each["asset"]): each["reason"] for each in found}


def test_staleness_gives_each_reason_in_plain_words(tmp_path: Path) -> None:
    never = {"materialized_at": None, "run_id": None, "code_version_then": None, "computed_version": None}
    found = stale(
        tmp_path,
        [
            place("pool"),
            place("embeddings", code_version_now="2"),
            place("clusters"),
            place("pairs"),
            place("labels", **never, data_version=None),
            place("split"),
            place("incumbent_model", data_version="w"),
            place("undeclared", code_version_then="a run id", code_version_now=None),
        ],
        [
            edge("embeddings", "pool"),
            edge("clusters", "embeddings"),
            edge("pairs", "clusters"),
            edge("pairs", "pool", then="u"),
            edge("labels", "pairs"),
            edge("split", "labels", now=None),
            edge("undeclared", "pool"),
        ],
    )
    assert found == {
        ("0000", "pool"): None,
        ("0000", "embeddings"): "settings changed (code version 1 -> 2)",
        ("0000", "clusters"): "follows embeddings, which is out of date",
        ("0000", "pairs"): "pool was materialized with other contents after",
        ("0000", "labels"): "never materialized",
        ("0000", "split"): "follows labels, which is out of date",
        ("0000", "incumbent_model"): "other contents were announced for it after",
        ("0000", "undeclared"): None,
    }


def test_staleness_joins_several_reasons_and_names_several_causes(tmp_path: Path) -> None:
    found = stale(
        tmp_path,
        [place("a", code_version_now="2"), place("b", code_version_now="3"), place("c"), place("d")],
        [edge("b", "a", now="w"), edge("c", "a"), edge("c", "b"), edge("d", "c")],
    )
    assert found["0000", "b"] == (
        "settings changed (code version 1 -> 3); a was materialized with other contents after"
    )
    assert found["0000", "c"] == found["0000", "d"] == "follows a, b, which are out of date"


def test_staleness_crosses_iterations_and_reaches_far(tmp_path: Path) -> None:
    keys = [f"{number:04d}" for number in range(30)]
    chain = ["incumbent_model", "scores", "report"]
    places = [place(asset, key) for key in keys for asset in chain]
    places[1] = place("scores", "0000", code_version_now="2")
    edges = []
    for key, before in zip(keys, [None, *keys], strict=False):
        edges += [edge("scores", "incumbent_model", iteration=key, upstream_iteration=key),
                  edge("report", "scores", iteration=key, upstream_iteration=key)]  # fmt: skip
        if before:
            edges.append(edge("incumbent_model", "report", None, None, iteration=key, upstream_iteration=before))
    found = stale(tmp_path, places, edges)
    assert found["0000", "incumbent_model"] is None
    assert found["0000", "report"] == "follows scores, which is out of date"
    assert found["0029", "report"] == "follows scores of 0000, which is out of date"
    assert sum(reason is None for reason in found.values()) == 1


def test_staleness_of_an_asset_without_iterations_reaches_them_all(tmp_path: Path) -> None:
    found = stale(
        tmp_path,
        [place("lexicon", None, code_version_now="2"), place("scores", "0000"), place("scores", "0001")],
        [edge("scores", "lexicon", iteration=key, upstream_iteration=None) for key in ("0000", "0001")],
    )
    assert found == {
        (None, "lexicon"): "settings changed (code version 1 -> 2)",
        ("0000", "scores"): "follows lexicon, which is out of date",
        ("0001", "scores"): "follows lexicon, which is out of date",
    }


def test_every_mart_is_an_asset_with_what_its_file_declares() -> None:
    specs = {spec.key.to_user_string(): spec for definition in build_marts() for spec in definition.specs}
    assert set(specs) == set(MODELS)
    assert {"loop_history", "rater_agreement", "curation_yield", "selection_drift", "staleness"} <= set(specs)
    for name, spec in specs.items():
        model = MODELS[name]
        assert spec.description == model.description
        assert spec.code_version == model.fingerprint
        assert {dep.asset_key.to_user_string() for dep in spec.deps} == set(model.sources)
        assert (spec.group_name, spec.kinds, spec.partitions_def) == ("marts", {"duckdb", "sql"}, None)
        assert spec.owners


@loop_asset("experts", {"test"})
def review_queue(context: dg.AssetExecutionContext) -> dg.Output[pl.DataFrame]:
    return table_output(rows("review_queue", *asked("a", context.partition_key), *asked("b", "y")))


@loop_asset("curation", {"test"})
def boundary_pairs(context: dg.AssetExecutionContext, review_queue: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    return table_output(rows("boundary_pairs", pair("a", context.partition_key, 0), pair("c", "z", 1)))


def test_marts_run_in_one_job_with_the_iteration_that_feeds_them(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    loop = LoopResource(policy_path=str(tmp_path / "policy.yaml"))
    loop_assets = [review_queue, boundary_pairs]
    definitions = dg.Definitions(
        assets=[*loop_assets, build_provenance(loop_assets), *build_marts()],
        jobs=[dg.define_asset_job("curate", dg.AssetSelection.all())],
        resources={"loop": loop, "io_manager": TableIOManager(base_dir=loop.policy.root)},
    )
    job = definitions.resolve_job_def("curate")
    with dg.DagsterInstance.ephemeral() as instance:
        for key in ("0000", "0001"):
            instance.add_dynamic_partitions(ITERATIONS.name or "", [key])
            result = job.execute_in_process(instance=instance, partition_key=key)
            assert result.success
        drifted = pl.read_parquet(tmp_path / "runs" / "demo" / "selection_drift.parquet")
        assert drifted.filter(pl.col("unit") == "pair")["iteration"].to_list() == ["0000", "0001"]
        assert drifted["jaccard"].to_list() == [pytest.approx(1 / 3)] * 4
        stale_rows = pl.read_parquet(tmp_path / "runs" / "demo" / "staleness.parquet")
        assert stale_rows.height == 4
        assert not stale_rows["out_of_date"].any()

        event = instance.fetch_materializations(dg.AssetKey("selection_drift"), limit=1).records[0]
        assert event.partition_key is None
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        assert metadata["dagster/row_count"].value == 4
        schema = metadata["dagster/column_schema"].value
        assert isinstance(schema, dg.TableSchema)
        assert {column.name: column.description for column in schema.columns} == MODELS["selection_drift"].columns
        assert "0001" in str(metadata["latest_rows"].value)


def test_a_mart_alone_needs_no_partition(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    loop = LoopResource(policy_path=str(tmp_path / "policy.yaml"))
    marts = [each for each in build_marts() if each.key.path[-1] in ("stg_votes", "stg_item_labels", "curation_yield")]
    resources = {"loop": loop, "io_manager": TableIOManager(base_dir=loop.policy.root)}
    assert dg.materialize(marts, resources=resources, instance=dg.DagsterInstance.ephemeral()).success
    assert loop.root.table_path("curation_yield").exists()
