import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl
import pytest

from al_assets.assets.resource import LoopResource
from al_assets.demo.demo_report import UNSEEN_ITEMS, demo_report
from al_assets.demo.prepare import QUICK, DemoFolder, DemoSize, held_out_texts, prepare, write_dagster_home
from al_assets.demo.run import (
    DemoError,
    PeakMemory,
    answer_queue,
    collect_votes,
    run_demo,
    run_iterations,
    tree_memory_mb,
)
from al_assets.demo.vader import load_texts
from al_assets.formatting import estimate
from al_assets_tests.support.small_loop import MakeLoop, SmallLoop


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the process its own Dagster home back afterwards."""
    monkeypatch.setenv("DAGSTER_HOME", "")


@pytest.mark.slow
@pytest.mark.usefixtures("no_home")
def test_the_demo_runs_to_its_report_and_goes_on_where_it_was_interrupted(
    curated_folder: Path, small_texts: pl.DataFrame, tmp_path: Path
) -> None:
    # The folder is that of a demo which was killed after it had published its first queue.
    demo = DemoFolder(shutil.copytree(curated_folder, tmp_path / "demo"))
    write_dagster_home(demo.dagster_home)
    loop = LoopResource(policy_path=str(demo.policy))
    said: list[str] = []
    followed: list[tuple[str, str, str]] = []
    run_iterations(demo, loop, small_texts, 1, said.append, lambda *line: followed.append(line))
    assert [re.sub(r"-?[0-9.]+", "n", line) for line in said] == [
        "labels n: n simulated experts answer n items and call n % of them positive",
        "student n: kappa n (n to n) on n random items of the pool, the experts' own n (n to n)",
    ]
    # What a run does is told as it goes, and is in the log.
    assert {iteration for iteration, _, _ in followed} == {"0000"}
    assert {"head_start", "sft_checkpoint", "evaluation_scores"} <= {asset for _, asset, _ in followed}
    assert any(re.fullmatch(r"fold 1 of \d, .*: \d+ of \d+", message) for _, _, message in followed)
    assert "RUN_SUCCESS" in demo.log.read_text()
    run_iterations(demo, loop, small_texts, 1, said.append)
    assert len(said) == 2
    held_out = load_texts().join(small_texts, on="item_id", how="anti").head(300)
    report = demo_report(loop, small_texts, held_out, 1)
    (first,) = report.iterations
    assert first.iteration == "0000"
    assert first.labels == 40
    assert 0 < first.positive_share["pool"] < 0.5
    with loop.ledger() as ledger:
        queued = set(ledger.queue()["item_id"])
    pool = loop.root.read_table("pool", "0000")
    assert report.unseen.items == min(UNSEEN_ITEMS, pool["duplicate_of"].null_count() - len(queued))
    assert report.held_out.items == held_out.height
    for hidden in (report.unseen, report.held_out):
        assert hidden.expert_expert is not None
        assert hidden.crowd_expert is not None
        assert hidden.expert_expert[0] > hidden.crowd_expert[0]
    for kappa in (first.kappa, report.llm0["kappa"]):
        for name in ("model_expert_unseen", "model_expert_held_out"):
            figure = kappa[name]
            assert figure is not None
            assert -1 <= figure[1] <= figure[0] <= figure[2] <= 1


def test_experts_who_have_answered_are_not_waited_for_again(curated: SmallLoop) -> None:
    votes = dict(curated.votes())
    answer_queue(curated.loop, "0000", votes, lambda line: None)
    collect_votes(curated.loop)
    with pytest.raises(DemoError, match="iteration 0000: waits for labels that the simulated experts have given"):
        answer_queue(curated.loop, "0000", votes, lambda line: None)


def test_a_rejected_vote_stops_the_demo(curated: SmallLoop) -> None:
    inbox = Path(curated.root.inbox.path)
    inbox.mkdir(parents=True, exist_ok=True)
    (inbox / "x.jsonl").write_text('{"item_id": "nobody asked", "rater": "expert_1", "label": "yes"}\n')
    with pytest.raises(DemoError, match="nobody asked"):
        collect_votes(curated.loop)


@pytest.mark.usefixtures("no_home")
def test_a_failed_run_stops_the_demo_with_its_reason(make_loop: MakeLoop, small_texts: pl.DataFrame) -> None:
    loop = make_loop(rows=[])
    demo = DemoFolder(loop.policy_file.parent)
    write_dagster_home(demo.dagster_home)
    with pytest.raises(DemoError, match=r"(?s)iteration 0000: curate failed: .*has no usable row"):
        run_iterations(demo, loop.loop, small_texts, 1, lambda line: None)


def test_peak_memory_is_that_of_the_largest_moment() -> None:
    before = tree_memory_mb()
    assert before > 20
    with PeakMemory(interval_seconds=0.01) as memory:
        block = bytearray(150_000_000)
        block[::4096] = b"x" * len(block[::4096])
        import time

        time.sleep(0.2)
    assert memory.peak_mb > before + 100


@pytest.mark.slow
@pytest.mark.usefixtures("no_home")
def test_two_runs_of_the_quick_demo_report_the_same_figures(tmp_path: Path) -> None:
    reports = [run_demo(tmp_path / name, 2, QUICK, lambda line: None) for name in "ab"]
    figures = [{**asdict(report), "wall_s": 0, "peak_rss_mb": 0} for report in reports]
    assert figures[0] == figures[1]
    last = reports[0].iterations[-1]
    assert last.labels == 160
    assert last.positive_share["labels"] > 2 * last.positive_share["pool"]
    assert 0 < reports[0].wall_s == round(reports[0].wall_s, 1)
    assert 100 < reports[0].peak_rss_mb == round(reports[0].peak_rss_mb)
    assert json.loads((tmp_path / "a" / "report.json").read_text()) == json.loads(json.dumps(asdict(reports[0])))
    page = (tmp_path / "a" / "report.html").read_text()
    assert "iteration 0001" in page
    # The whole table is on the page.
    held_out = last.kappa["model_expert_held_out"]
    assert held_out is not None
    assert "The demo: kappa with the experts" in page
    assert estimate(*held_out) in page
    assert reports[0].student == "linear"


@pytest.mark.slow
@pytest.mark.usefixtures("no_home")
def test_a_folder_of_another_student_or_llm_0_is_refused_and_kept(tmp_path: Path) -> None:
    small = DemoSize(items=50, budget=20, stop_set_size=20, student="linear", embedder="static")
    kept = prepare(tmp_path, small).policy.read_text()
    for other, said in (
        (replace(small, student="sft"), "student 'linear' and LLM-0 'the lexicon', asked for are 'sft'"),
        (
            replace(small, labeler="http://127.0.0.1:9/v1", model="m"),
            "'http://127.0.0.1:9/v1'; ask for what it has, or give another --folder",
        ),
    ):
        with pytest.raises(DemoError, match=re.escape(said)):
            run_demo(tmp_path, 1, other, lambda line: None)
    assert (tmp_path / "policy.yaml").read_text() == kept


@pytest.mark.slow
@pytest.mark.usefixtures("no_home")
def test_the_demo_runs_with_a_language_model_as_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("al_assets.demo.run.held_out_texts", lambda size: held_out_texts(size).head(100))
    size = DemoSize(items=60, budget=20, stop_set_size=20, student="sft")
    report = run_demo(tmp_path, 1, size, lambda line: None)
    assert report.student == "sft"
    assert report.iterations[0].labels == 20
    for kappa in (report.head_start["kappa"], report.iterations[0].kappa):
        assert kappa["model_expert_held_out"] is not None
