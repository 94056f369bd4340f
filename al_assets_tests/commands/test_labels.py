import json
from pathlib import Path

from typer.testing import CliRunner

from al_assets.cli import app
from al_assets.review.files.argilla import user_id
from al_assets_tests.support.command_line import al
from al_assets_tests.support.ledger import labels, open_ledger, vote
from al_assets_tests.support.policies import make_policy


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
