"""Every check is made to fail with data that must fail it, and what follows in the job must not run then."""

from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from al_assets.automation.checks import (
    CHECKS,
    ids_are_unique,
    kappa_is_defined,
    vectors_are_unit_length,
)
from al_assets.automation.observe import observe
from al_assets.demo.vader import Votes
from al_assets.tables import KAPPA_REPORT, POOL, REVIEW_QUEUE
from al_assets_tests.support.small_loop import SmallLoop

POOL_ROWS = pl.DataFrame(
    [{"item_id": name, "text": name, "text_hash": name, "source": None, "arrived_at": None, "duplicate_of": None,
      "weight": None} for name in "ab"], schema=POOL.schema,
)  # fmt: skip


def outcome(check: Any, *arguments: Any, **more: Any) -> dg.AssetCheckResult:
    result = check(*arguments, **more)
    assert isinstance(result, dg.AssetCheckResult)
    return result


def made(done: dg.ExecuteInProcessResult) -> set[str]:
    events = done.get_asset_materialization_events()
    return {event.step_materialization_data.materialization.asset_key.path[-1] for event in events}


def failed_checks(done: dg.ExecuteInProcessResult) -> set[str]:
    return {each.check_name for each in done.get_asset_check_evaluations() if not each.passed}


def test_all_checks_block() -> None:
    assert len(CHECKS) == 5
    for check in CHECKS:
        for spec in check.check_specs:
            assert spec.blocking
            assert spec.description


@pytest.mark.parametrize(
    ("pool", "passed"),
    [(POOL_ROWS, True), (pl.concat([POOL_ROWS, POOL_ROWS[:1]]), False), (POOL_ROWS.clear(), False)],
)
def test_ids_are_unique(pool: pl.DataFrame, passed: bool) -> None:
    assert outcome(ids_are_unique, pool=pool).passed is passed


@pytest.mark.parametrize("repeated", [False, True])
def test_a_pool_that_fails_its_check_stops_what_follows(repeated: bool) -> None:
    @dg.asset(name="pool")
    def stand_in() -> pl.DataFrame:
        return pl.concat([POOL_ROWS, POOL_ROWS]) if repeated else POOL_ROWS

    @dg.asset
    def after(pool: pl.DataFrame) -> None: ...

    # The real table of the pool refuses repeated ids before any check sees them; one kept in memory does not.
    done = dg.materialize(
        [stand_in, after, ids_are_unique], raise_on_error=False, resources={"io_manager": dg.mem_io_manager}
    )
    assert done.success is not repeated
    assert made(done) == ({"pool"} if repeated else {"pool", "after"})


def vectors(*rows: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {"item_id": [str(at) for at in range(len(rows))], "vector": pl.Series(rows, dtype=pl.Array(pl.Float16, 2))}
    )


@pytest.mark.parametrize(
    ("frame", "wrong"),
    [
        (vectors([0.6, 0.8], [-1, 0]), 0),
        (vectors([0.6, 0.8], [0, 0]), 1),
        (vectors([0.6, 0.81], [0.6, 0.8]), 1),
        (vectors([np.nan, 0], [np.inf, 0]), 2),
    ],
)
def test_vectors_are_unit_length(frame: pl.DataFrame, wrong: int) -> None:
    result = outcome(vectors_are_unit_length, embeddings=frame)
    assert result.passed is (wrong == 0)
    assert result.metadata["not_unit_length"].value == wrong


def test_vectors_that_went_bad_in_the_store_stop_the_curation(curated: SmallLoop) -> None:
    (folder,) = (curated.root.base / "vectors").iterdir()
    for file in folder.iterdir():
        held = pl.read_parquet(file.path)
        zeros = pl.Series("value", np.zeros((held.height, 64), np.float16))
        held.with_columns(zeros).write_parquet(file.path)
    curated.root.table_path("review_queue", "0000").unlink()
    with np.errstate(invalid="ignore"):
        done = curated.run("curate", "0000")
    assert not done.success
    assert failed_checks(done) == {"vectors_are_unit_length"}
    assert made(done).isdisjoint({"cluster_assignments", "boundary_pairs", "review_queue"})


@pytest.mark.parametrize(
    ("experts", "passed"), [([], False), (["expert_1"], False), (["expert_1", "expert_2"], True)]
)  # fmt: skip
def test_votes_are_complete(curated: SmallLoop, experts: list[str], passed: bool) -> None:
    curated.drop("0000", experts=experts)
    curated.sense()
    done = curated.run("learn", "0000", selection=["expert_labels", "label_split"])
    assert done.success is passed
    assert failed_checks(done) == (set() if passed else {"votes_are_complete"})
    assert made(done) == ({"expert_labels", "label_split"} if passed else {"expert_labels"})


def test_after_the_deadline_the_policys_share_is_enough(curated: SmallLoop) -> None:
    text = curated.policy_file.read_text()
    text = text.replace("votes_per_item: 2", "votes_per_item: 2\n  deadline_hours: 0.0000001\n  deadline_coverage: 0.5")
    curated.policy_file.write_text(text)
    loop = SmallLoop(curated.policy_file, curated.instance, curated.texts)
    queue = loop.queue("0000")["item_id"].to_list()
    asked = {item: row for item, row in loop.votes().items() if item in queue[:19]}
    vote(loop, asked)
    assert failed_checks(loop.run("learn", "0000", selection=["expert_labels"])) == {"votes_are_complete"}
    vote(loop, {item: row for item, row in loop.votes().items() if item in queue[:20]})
    done = loop.run("learn", "0000", selection=["expert_labels"])
    assert done.success
    (evaluation,) = done.get_asset_check_evaluations()
    assert evaluation.description == "20 of 40 items have 2 votes"


def vote(loop: SmallLoop, votes: Votes, iteration: str = "0000") -> None:
    from datetime import UTC, datetime

    from al_assets.storage.ledger import Vote

    with loop.loop.ledger() as ledger:
        ledger.record(
            [
                Vote(
                    item_id=item,
                    rater=f"expert_{at + 1}",
                    iteration=iteration,
                    policy_version="1",
                    label="positive" if answer else "negative",
                    voted_at=datetime.now(UTC),
                )  # fmt: skip
                for item, row in votes.items()
                for at, answer in enumerate(row)
                if not np.isnan(answer)
            ]
        )


@pytest.mark.parametrize("leak", [True, False])
def test_a_copy_in_another_fold_stops_the_learning(curated: SmallLoop, leak: bool) -> None:
    texts = ["the same remark, word for word, in two items", "this one says something else altogether"]
    rows = [
        {"item_id": f"late-{group}", "text": text, "reason": "boundary", "group_id": group, "revision": 0}
        for group, text in zip(("first", "second"), texts[:1] * 2 if leak else texts, strict=True)
    ]  # fmt: skip
    curated.answer("0000")
    with curated.loop.ledger() as ledger:
        ledger.publish("0000", pl.DataFrame(rows, schema=REVIEW_QUEUE.schema), {}, append=True)
    vote(curated, {str(row["item_id"]): np.array([1.0, 0.0, 1.0]) for row in rows})
    done = curated.run("learn", "0000", selection=["expert_labels", "label_split", "head_start", "sft_checkpoint"])
    assert failed_checks(done) == ({"splits_do_not_leak"} if leak else set())
    assert ("sft_checkpoint" in made(done)) is not leak


def report_row(figure: str, scope: str, estimate: float | None) -> dict[str, Any]:
    return {"figure": figure, "scope": scope, "estimate": estimate, "detail": "because"}


EXPERTS, MODEL = ("expert_expert_kappa", "loop"), ("model_expert_kappa", "evaluation")


@pytest.mark.parametrize(
    ("experts", "model", "passed", "severity"),
    [
        (0.8, 0.5, True, None),
        (None, 0.5, False, dg.AssetCheckSeverity.ERROR),
        (None, None, False, dg.AssetCheckSeverity.ERROR),
        (0.8, None, False, dg.AssetCheckSeverity.WARN),
        ("missing", 0.5, False, dg.AssetCheckSeverity.ERROR),
        (0.8, "missing", False, dg.AssetCheckSeverity.WARN),
    ],
)
def test_kappa_is_defined(experts: Any, model: Any, passed: bool, severity: dg.AssetCheckSeverity | None) -> None:
    rows = [
        report_row(*figure, estimate)
        for figure, estimate in ((EXPERTS, experts), (MODEL, model))
        if estimate != "missing"
    ]
    result = outcome(kappa_is_defined, kappa_report=pl.DataFrame(rows, schema=KAPPA_REPORT.schema))
    assert result.passed is passed
    if severity is not None:
        assert result.severity is severity


def test_without_an_agreement_among_experts_the_loop_does_not_go_on(curated: SmallLoop) -> None:
    # One expert answers, the others cannot decide: labels there are, agreement there is none.
    votes = {
        item: np.array([row[0] if not np.isnan(row[0]) else 0.0, np.nan, np.nan])
        for item, row in curated.votes().items()
    }
    curated.answer("0000", votes)
    done = curated.run("learn", "0000")
    assert not done.success
    assert failed_checks(done) == {"kappa_is_defined"}
    assert "loop_history" not in made(done)
    state = observe(curated.instance, curated.loop, look_at_pool=False)
    assert state.current is not None
    assert state.current.learn.failures == 1
    assert state.current.verdict is None
