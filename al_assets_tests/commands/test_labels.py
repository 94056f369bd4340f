import json
from pathlib import Path

from typer.testing import CliRunner

from al_assets.cli import app
from al_assets.review.files.argilla import user_id
from al_assets.storage.ledger import Ledger
from al_assets_tests.support.command_line import al
from al_assets_tests.support.ledger import labels, open_ledger, vote
from al_assets_tests.support.policies import make_policy
from al_assets_tests.support.small_loop import SmallLoop


def test_a_sheet_goes_out_blind_and_comes_back_as_votes(curated: SmallLoop, tmp_path: Path) -> None:
    policy, sheet, rater = str(curated.policy_file), tmp_path / "sheet.jsonl", curated.policy.review.raters[0]
    out = CliRunner().invoke(
        app, ["labels", "export", str(sheet), "-p", policy, "--iteration", "0000", "--rater", rater, "--json"]
    )
    assert out.exit_code == 0, out.output
    rows = [json.loads(line) for line in sheet.read_text().splitlines()]
    assert json.loads(out.output)["rows"] == len(rows) == curated.policy.selection.budget
    assert not {"p_positive", "pair_id", "reason", "similarity"} & set(rows[0])
    answered = [{**row, "rater": rater, "label": curated.policy.policy.labels.negative} for row in rows]
    answered[0]["label"] = "maybe"
    sheet.write_text("".join(json.dumps(row) + "\n" for row in answered))
    back = CliRunner().invoke(app, ["labels", "import", str(sheet), "-p", policy])
    assert back.exit_code == 1
    assert "'maybe'" in back.output
    with Ledger.of(curated.policy) as ledger:
        assert ledger.progress("0000", 1).complete == len(rows) - 1
    votes = tmp_path / "votes.csv"
    assert CliRunner().invoke(app, ["labels", "export", str(votes), "-p", policy]).exit_code == 0
    assert len(votes.read_text().splitlines()) == len(rows)


def test_questions_and_votes_go_out_and_in_by_name(tmp_path: Path) -> None:
    policy = make_policy(f"sqlite:///{tmp_path}/ledger.sqlite")
    file = tmp_path / "policy.yaml"
    file.write_text(json.dumps(policy.model_dump(mode="json", exclude={"base_dir"}, exclude_defaults=True)))
    with open_ledger(policy.ledger_url) as ledger:
        ledger.record([vote("item000")])
        asked, voted = tmp_path / "asked.jsonl", tmp_path / "voted.json"
        where = ["--policy", str(file)]
        al("labels", "export", str(asked), "--iteration", "0000", "--rater", "anna", "--format", "prodigy", *where)
        assert len(asked.read_text().splitlines()) == 4
        al("labels", "export", str(voted), "--format", "argilla", *where)
        assert "1 repeated" in al("labels", "import", str(voted), "--format", "argilla", *where)
        voted.write_text(voted.read_text().replace(user_id("anna"), "7c9e6679-7425-40de-944b-e07fc1f90ae7"))
        who = ["--rater", "7c9e6679-7425-40de-944b-e07fc1f90ae7=ben"]
        assert "1 new" in al("labels", "import", str(voted), "--format", "argilla", *who, *where)
        assert labels(ledger) == {("item000", "anna"): "positive", ("item000", "ben"): "positive"}
        wrong = CliRunner().invoke(app, ["labels", "import", str(voted), "--rater", "ben", *where])
        assert wrong.exit_code == 1
        assert "'ben' is not USER=RATER" in wrong.output
