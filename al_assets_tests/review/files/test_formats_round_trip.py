import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from al_assets.review.files import Format
from al_assets.review.files.formats import export_answers, export_questions, import_from
from al_assets.storage.ledger import Ledger
from al_assets_tests.support.ledger import RATERS, SELECTED_BY, items, open_ledger, queue_frame, vote
from al_assets_tests.support.policies import make_policy

OTHER_TOOLS = [(Format.ARGILLA, "json"), (Format.PRODIGY, "jsonl")]
KEPT = ["item_id", "iteration", "rater", "label", "undecided_reason", "comment", "voted_at", "policy_version"]


@pytest.mark.parametrize(("form", "suffix"), [*OTHER_TOOLS, (Format.PLAIN, "csv")])
def test_votes_come_back_as_they_went(tmp_path: Path, form: Format, suffix: str) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    policy = make_policy(url)
    ledger = open_ledger(url)
    ledger.record(
        [
            vote("item000", comment='a "quoted" remark\nof two lines 🤷'),
            vote("item000", "ben", "undecided", 1, undecided_reason="missing context", comment="Which one?"),
            vote("item000", "cleo", "undecided", 2),
            vote("item001", "ben", "negative", 3, policy_version="0"),
            vote("item002", "anna", "negative", 4),
        ]
    )
    ledger.record([vote("item002", "anna", "positive", 5)])
    file = tmp_path / f"votes.{suffix}"
    assert export_answers(form, ledger, policy, file) == 5
    assert import_from(form, file, ledger, policy).repeated == 5
    with open_ledger(f"sqlite:///{tmp_path}/other.sqlite") as other:
        report = import_from(form, file, other, policy)
        assert (report.accepted, report.rejected) == (5, ())
        again = import_from(form, file, other, policy)
        assert (again.repeated, again.accepted) == (5, 0)
        assert other.votes().select(KEPT).sort(KEPT).equals(ledger.votes().select(KEPT).sort(KEPT))
    ledger.close()


@pytest.mark.parametrize(("form", "suffix"), OTHER_TOOLS)
def test_questions_go_out_blind_and_come_back_answered(tmp_path: Path, form: Format, suffix: str) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    policy = make_policy(url)
    ledger = Ledger(url, "spam", RATERS)
    queue = queue_frame(items(6), reason="boundary", pair_id="pair 1", stratum="high")
    ledger.publish("0000", queue, SELECTED_BY)
    ledger.record([vote("item003")])
    file = tmp_path / f"questions.{suffix}"
    assert export_questions(form, ledger, policy, "0000", file, "anna") == 5
    text = file.read_text()
    for secret in ("boundary", "pair", "high", '"item0', "0.25", '"score"', '"agent"'):
        assert secret not in text
    tasks = json.loads(text) if suffix == "json" else [json.loads(line) for line in text.splitlines()]
    in_tool: dict[Format, Callable[[dict[str, Any]], dict[str, Any]]]
    in_tool = {Format.ARGILLA: in_argilla, Format.PRODIGY: in_prodigy}
    back = tmp_path / f"answered.{suffix}"
    done = [in_tool[form](task) for task in tasks]
    back.write_text(json.dumps(done) if suffix == "json" else "\n".join(map(json.dumps, done)))
    report = import_from(form, back, ledger, policy, {"3f2c8f5e-0d5c-4c8b-9a52-6f2b7c1e9a10": "anna"})
    assert (report.accepted, report.rejected) == (5, ())
    votes = ledger.votes()
    assert votes.height == 6
    assert set(votes.tail(5).select("rater", "label", "undecided_reason").rows()) == {
        ("anna", "undecided", "ambiguous policy")
    }
    with pytest.raises(ValueError, match="exists and may hold answers"):
        export_questions(form, ledger, policy, "0000", file)
    with pytest.raises(ValueError, match=r"'a.csv' is of an unknown kind; end it in"):
        export_questions(form, ledger, policy, "0000", tmp_path / "a.csv")
    ledger.close()


def in_argilla(record: dict[str, Any]) -> dict[str, Any]:
    user = "3f2c8f5e-0d5c-4c8b-9a52-6f2b7c1e9a10"
    assert record["suggestions"] == record["responses"] == {}
    return {
        **record,
        "responses": {
            "answer": [{"value": "cannot decide", "user_id": user}],
            "undecided_reason": [{"value": "ambiguous policy", "user_id": user}],
        },
    }


def in_prodigy(task: dict[str, Any]) -> dict[str, Any]:
    assert set(task) == {"text", "options", "meta"}
    chosen = next(each["id"] for each in task["options"] if each["text"] == "cannot decide: ambiguous policy")
    return {
        **task, "_input_hash": -91551573, "_task_hash": -1162253049, "_view_id": "choice", "accept": [chosen],
        "answer": "accept", "_timestamp": 1777636800, "_annotator_id": "round-anna", "_session_id": "round-anna",
    }  # fmt: skip
