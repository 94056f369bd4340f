import json
from pathlib import Path

import yaml
from typer.testing import CliRunner

from al_assets.cli import app
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
