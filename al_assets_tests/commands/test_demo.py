import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from al_assets.cli import app
from al_assets.commands.demo import _share_done, conclusion, demo_table
from al_assets.config import load_policy
from al_assets.demo.demo_report import DemoReport, HiddenSet, IterationFigures
from al_assets_tests.support.programs.terminal_frames import frames

KAPPA = {"model_expert_held_out": (0.58, 0.51, 0.64)}
# It sleeps so that each state stands for several refreshes of the bar, on a busy machine too.
SCRIPT = """
import os, sys, time
from al_assets.commands.demo import DemoProgress
with DemoProgress(2) as progress:
    progress.say("a line before")
    # As Dagster does while an asset is made.
    kept = os.dup(1)
    os.dup2(os.open("captured.txt", os.O_WRONLY | os.O_CREAT), 1)
    print("what a library prints", flush=True)
    progress.follow("0000", "embeddings", "embedded: 0 of 100")
    time.sleep(1.2)
    progress.follow("0000", "embeddings", "embedded: 50 of 100")
    progress.say("a line of what is known")
    time.sleep(1.2)
    os.dup2(kept, 1)
print("the end")
"""


@pytest.fixture
def openai_models() -> Iterator[str]:
    """The address of a server that names its models, and does nothing else."""

    class Models(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"data": [{"id": "first-model"}, {"id": "second-model"}]}'
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Models) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def report() -> DemoReport:
    round_ = IterationFigures(
        "0000", 120, {"pool": 0.15, "queue": 0.4, "labels": 0.48}, dict(KAPPA), "continue", True, "LLM-0"
    )
    return DemoReport(
        iterations=[round_, replace(round_, iteration="0001", labels=240)],
        llm0={"kappa": {"model_expert_held_out": (0.45, 0.38, 0.51)}},
        head_start={"kappa": {"model_expert_held_out": (0.5, 0.43, 0.56)}},
        unseen=HiddenSet(600, None, None),
        held_out=HiddenSet(991, (0.74, 0.69, 0.79), None),
        wall_s=300.4,
        peak_rss_mb=2_500,
    )


def shown(found: DemoReport) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(demo_table(found))
    return capture.get()


def test_the_table_has_a_line_a_round_in_80_columns_and_ends_with_what_it_means() -> None:
    lines = [re.sub(r" +", " ", line.strip()) for line in shown(report()).splitlines()]
    assert "LLM-0 0 .45 (.38 to .51) .74" in lines
    assert "student it taught 0 .50 (.43 to .56) .74" in lines
    assert "after round 2 240 .58 (.51 to .64) .74 48" in lines
    assert "…" not in shown(report())
    assert "300 s, at most 2,500 MB of memory." in lines


@pytest.mark.parametrize(
    ("llm0", "said"),
    [((0.45, 0.4, 0.5), "surely above"), ((0.7, 0.6, 0.8), "surely below"), ((0.55, 0.5, 0.6), "not surely different")],
)
def test_the_sentence_compares_the_last_interval_with_llm_0(llm0: tuple[float, float, float], said: str) -> None:
    found = conclusion(replace(report(), llm0={"kappa": {"model_expert_held_out": llm0}}))
    assert said in found
    assert "After 240 expert labels" in found


def test_an_undefined_kappa_is_said() -> None:
    (first, _) = report().iterations
    undefined = replace(report(), iterations=[replace(first, kappa={"model_expert_held_out": None})])
    assert "undefined" in shown(undefined)
    assert "is undefined" in conclusion(undefined)


def test_a_share_of_an_asset_is_read_from_its_log() -> None:
    assert _share_done("embedded: 50 of 200", 0.0) == 0.25
    assert _share_done("fold 2 of 4, training step: 5 of 10", 0.0) == pytest.approx(0.375)
    assert _share_done('Finished execution of step "embeddings" in 3s.', 0.1) == 1.0
    assert _share_done("Started execution", 0.3) == 0.3
    # A fold's scoring starts anew; the bar does not go back.
    assert _share_done("fold 1 of 2, scored: 0 of 10", 0.5) == 0.5


def test_a_terminal_shows_a_bar_and_lines_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    screens = [screen for _, screen in frames([sys.executable, "-c", SCRIPT], 0.25)]
    bars = [screen for screen in screens if "round 1 of 2: embedding the pool" in screen]
    assert any(re.search(r"\d+% about \d+:\d\d left", screen) for screen in bars)
    assert any(screen.startswith("a line before\na line of what is known\n") for screen in bars)
    # The bar is gone at the end, and what a library printed never came.
    assert screens[-1] == "a line before\na line of what is known\nthe end"
    assert (tmp_path / "captured.txt").read_text() == "what a library prints\n"


def test_without_a_terminal_there_are_lines_alone(tmp_path: Path) -> None:
    made = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert made.stdout == "a line before\na line of what is known\nthe end\n"
    assert made.stderr == ""


def test_the_first_model_of_a_server_is_llm_0(tmp_path: Path, openai_models: str) -> None:
    result = CliRunner().invoke(app, ["demo", "--labeler", openai_models, "--folder", str(tmp_path), "--prepare-only"])
    assert result.exit_code == 0, result.output
    labeler = load_policy(tmp_path / "policy.yaml").labeler
    assert labeler.kind == "openai"
    assert (labeler.base_url, labeler.model) == (openai_models, "first-model")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "not a url", "http://127.0.0.1:99999/v1"])
def test_a_server_that_names_no_model_is_an_error_of_one_line(tmp_path: Path, url: str) -> None:
    result = CliRunner().invoke(app, ["demo", "--labeler", url, "--folder", str(tmp_path), "--prepare-only"])
    assert result.exit_code == 1
    assert f"--labeler {url}: it names no model" in result.output
    assert "--model" in result.output
    assert not (tmp_path / "policy.yaml").exists()
