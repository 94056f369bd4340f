import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from al_assets.cli import app
from al_assets.config import load_policy
from al_assets.storage.root import RunRoot
from al_assets_tests.support.command_line import al
from al_assets_tests.support.loop_journal import Journal


@pytest.fixture(scope="session")
def policy_file(journal: Journal) -> str:
    return str(journal.loop.policy_file)


def al_json(*arguments: str) -> Any:
    return json.loads(al(*arguments, "--json"))


def test_a_report_is_written_where_it_is_wanted(policy_file: str, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    assert al("report", "-p", policy_file, "-o", str(target), "--iteration", "0000").strip() == str(target)
    assert "iteration 0000" in target.read_text()


def test_a_report_of_no_iteration_is_refused(policy_file: str) -> None:
    result = CliRunner().invoke(app, ["report", "-p", policy_file, "--iteration", "0009"])
    assert result.exit_code == 1
    assert "0009 has no kappa_report; there are reports of 0000, 0001" in str(result.exception)


def test_a_figure_is_traced_to_items_that_give_it_again(policy_file: str) -> None:
    found = al_json("explain", "expert_expert_kappa", "-p", policy_file, "--scope", "loop")
    assert found["matches"] is True
    assert found["recomputed"] == pytest.approx(found["stored"]["estimate"], abs=1e-9)
    assert len(found["items"]) == found["stored"]["items"] == 80
    shown = al("explain", "expert_expert_kappa", "-p", policy_file, "--scope", "loop", "--items", "2")
    assert "the same as stored" in shown
    assert "2 of 80 rows" in " ".join(shown.split())


def test_a_plan_takes_the_policys_settings_and_the_reports_figures(policy_file: str) -> None:
    found = al_json("plan", "-p", policy_file, "--price-per-hour", "120", "--seconds-per-vote", "60")
    work = found["next_round"]
    assert work["items"] == 40
    assert work["cost"] == pytest.approx(work["votes"] * 60 / 3_600 * 120)
    sources = {each["name"]: each["source"] for each in found["assumptions"]}
    assert "measured in 0001" in sources["expert_kappa"]
    lines = al("plan", "-p", policy_file, "--half-width", "0.02")
    assert re.search(r"Evaluation: \d+ items .* ±0\.02", lines)
    assert found["evaluation"]["items"] < int(re.findall(r"Evaluation: (\d+)", lines)[0])


def test_raters_are_shown_with_the_others_majority_and_what_was_not_asked(policy_file: str) -> None:
    found = al_json("raters", "-p", policy_file)
    assert {each["rater"]: each["answers"] for each in found["majority"]} == {
        "expert_1": 80, "expert_2": 80, "expert_3": 40,
    }  # fmt: skip
    assert found["gold"] == []
    slices = {
        (each["scope"], each["slice"]): each["items"]
        for each in found["figures"]
        if each["figure"] == "expert_expert_kappa" and each["scope"] != "rater"
    }
    assert slices["all", "all"] == slices["iteration", "0000"] + slices["iteration", "0001"] == 80
    shown = al("raters", "-p", policy_file)
    assert "On hidden gold: nothing asked" in shown
    assert "selection.repeat_share" in shown


def test_votes_to_ask_again_are_those_the_others_and_the_student_contradict(policy_file: str) -> None:
    found = al_json("labels", "ask-again", "-p", policy_file)
    votes = found["votes"]
    assert all(each["quality"] < 0.5 and each["why"] for each in votes)
    assert [each["quality"] for each in votes] == sorted(each["quality"] for each in votes)
    split = RunRoot(load_policy(policy_file).root).read_table("label_split", "0001")
    assert {each["item_id"] for each in votes} <= set(split.filter("teaches")["item_id"])
    # Every label teaches here.
    assert found["held_out"] == 0
    shown = al("labels", "ask-again", "-p", policy_file, "--most", "1")
    assert f"{min(1, len(votes))} of {len(votes)} votes" in shown
    assert "are left out" not in shown


def test_no_vote_needs_a_second_look_under_an_unchanged_policy(policy_file: str) -> None:
    assert "present text" in al("labels", "second-look", "-p", policy_file)
    assert al_json("labels", "second-look", "-p", policy_file)["votes"] == []


def test_an_edited_guideline_lists_every_vote(policy_file: str, tmp_path: Path) -> None:
    edited = Path(policy_file).with_name("edited.yaml")
    text = Path(policy_file).read_text()
    edited.write_text(re.sub(r"question: .*", "question: Is it really so?", text, count=1))
    try:
        found = al_json("labels", "second-look", "-p", str(edited))
        assert len(found["votes"]) == 200
        assert found["notes"]
    finally:
        edited.unlink()


def test_gaps_are_written_for_the_policys_owner(policy_file: str, tmp_path: Path) -> None:
    target = tmp_path / "gaps.csv"
    found = al_json("labels", "gaps", str(target), "-p", policy_file)
    assert found["path"] == str(target)
    assert len(target.read_text().splitlines()) == 1 + found["rows"]
