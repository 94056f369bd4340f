import json
import socket
import time
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from al_assets.cli import app
from al_assets.commands.preflight import hub_answers
from al_assets.commands.start import kappa_strip
from al_assets.config import load_policy
from al_assets_tests.support.small_loop import SmallLoop

run = CliRunner().invoke


def test_init_writes_a_policy_that_loads_and_says_what_is_next(tmp_path: Path) -> None:
    target = tmp_path / "new" / "policy.yaml"
    result = run(app, ["init", str(target)])
    assert result.exit_code == 0
    assert "al check" in result.output
    policy = load_policy(target)
    assert policy.policy.name == "my_policy"
    # What only the file's author should read is no part of what raters read.
    assert "fill in" in target.read_text()
    assert "fill in" not in str(policy.policy.read_by_raters())


def test_init_does_not_overwrite(tmp_path: Path) -> None:
    target = tmp_path / "policy.yaml"
    target.write_text("mine")
    result = run(app, ["init", str(target)])
    assert result.exit_code != 0
    assert target.read_text() == "mine"


def test_check_passes_on_a_loop_that_can_run(curated: SmallLoop) -> None:
    result = run(app, ["check", "--policy", str(curated.policy_file), "--json"])
    found = {each["check"]: each for each in json.loads(result.output)}
    assert result.exit_code == 0, result.output
    assert set(found) == {"policy", "pool", "labeler", "embedding", "student", "disk", "ledger"}
    assert "400 usable items" in found["pool"]["detail"]


def test_check_names_everything_that_would_fail_at_once(curated: SmallLoop) -> None:
    text = curated.policy_file.read_text()
    broken = text.replace("pool.jsonl", "nowhere.jsonl").replace("al_assets.demo.lexicon", "al_assets.demo.lexicom")
    assert broken != text
    curated.policy_file.write_text(broken)
    result = run(app, ["check", "--policy", str(curated.policy_file), "--json"])
    failing = {each["check"]: each["detail"] for each in json.loads(result.output) if not each["ok"]}
    assert result.exit_code == 1
    assert set(failing) == {"pool", "labeler"}
    assert "nowhere.jsonl" in failing["pool"]
    assert "lexicom" in failing["labeler"]


def test_check_reads_the_gold_and_notices_an_edit_without_another_version(curated: SmallLoop) -> None:
    content = yaml.safe_load(curated.policy_file.read_text())
    content["policy"]["guideline"] += " Irony counts."
    content["selection"] |= {"gold": "gold.csv", "gold_share": 0.05}
    curated.policy_file.write_text(yaml.safe_dump(content))
    gold = curated.policy_file.parent / "gold.csv"
    gold.write_text("item_id,text,label\n" + "".join(f"g{number},text {number},yes\n" for number in range(5)))
    found = {
        each["check"]: each for each in json.loads(run(app, ["check", "-p", str(curated.policy_file), "--json"]).output)
    }
    assert found["gold"]["detail"] == "5 items, 5 of them positive, enough for 2 rounds of 2"
    assert "policy.version: '1' stood over 2 texts (guideline edited); raise it" in found["ledger"]["detail"]
    gold.write_text("item_id,text,label\ng0,,yes\n")
    found = {
        each["check"]: each for each in json.loads(run(app, ["check", "-p", str(curated.policy_file), "--json"]).output)
    }
    assert not found["gold"]["ok"]
    assert "row 1: text is empty" in found["gold"]["detail"]


def test_check_of_a_wrong_policy_names_field_value_and_nearest_key(curated: SmallLoop) -> None:
    curated.policy_file.write_text(curated.policy_file.read_text().replace("budget:", "bugdet:"))
    result = run(app, ["check", "--policy", str(curated.policy_file), "--json"])
    assert result.exit_code == 1
    assert "'bugdet'; did you mean 'budget'?" in json.loads(result.output)[0]["detail"]


def test_status_says_what_the_loop_waits_for(curated: SmallLoop) -> None:
    result = run(app, ["status", "--policy", str(curated.policy_file), "--json"])
    found = json.loads(result.output)
    assert found["iteration"] == "0000"
    assert found["action"] == "wait"
    assert found["complete"] == 0
    assert found["queued"] == curated.policy.selection.budget
    assert set(found["open_items"].values()) == {found["queued"]}
    assert f"0 of {found['queued']} items" in run(app, ["status", "--policy", str(curated.policy_file)]).output


def test_a_strip_shows_the_students_interval_over_the_experts_band() -> None:
    strip = kappa_strip([0.5, 0.25, 0.75], [0.8, 0.7, 0.9])
    assert len(strip) == 41
    assert strip[20] == "●"
    assert strip[10:20] == "─" * 10
    assert strip[21:31] == "─" * 10
    assert strip[31:37] == "░" * 6
    assert set(strip[:10] + strip[37:]) == {" "}
    # Undefined figures leave their place empty, and nothing lies outside.
    assert set(kappa_strip(None, [None, None, None])) == {" "}
    assert kappa_strip([-0.2, -0.5, 1.2], None) == "●" + "─" * 40


def test_a_server_that_never_answers_is_given_up_in_seconds(curated: SmallLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        content = yaml.safe_load(curated.policy_file.read_text())
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        content["labeler"] = {"kind": "openai", "base_url": url, "model": "m", "timeout_seconds": 60}
        curated.policy_file.write_text(yaml.safe_dump(content))
        before = time.monotonic()
        result = run(app, ["check", "--policy", str(curated.policy_file), "--json"])
        seconds = time.monotonic() - before
    failing = {each["check"]: each["detail"] for each in json.loads(result.output) if not each["ok"]}
    assert set(failing) == {"labeler"}
    assert "did not answer within 8 s in 1 attempt" in failing["labeler"]
    assert seconds < 20


def test_a_hub_that_cannot_be_reached_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for proxy in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{hub.getsockname()[1]}")
        assert hub_answers()
    assert not hub_answers()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:99999")
    assert not hub_answers()
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    assert hub_answers()
