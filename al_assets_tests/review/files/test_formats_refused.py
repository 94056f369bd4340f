import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from al_assets.config import Policy
from al_assets.review.files import Format
from al_assets.review.files.formats import import_from
from al_assets.review.files.vote_files import UnreadableFileError
from al_assets.review.questions import question_code
from al_assets.storage.ledger import Ledger
from al_assets_tests.support.ledger import labels, open_ledger
from al_assets_tests.support.policies import make_policy, write

CODE = question_code("spam", "0000", "item000")
BY_ANNA = {"meta": {"question": CODE}, "answer": "accept", "_annotator_id": "anna"}
# Users of the file that Argilla's SDK wrote.
ANNA, BEN = "3f2c8f5e-0d5c-4c8b-9a52-6f2b7c1e9a10", "b8d0a3d4-5a86-4a40-8a0b-2b8f5a4d7c21"


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return make_policy(f"sqlite:///{tmp_path}/ledger.sqlite")


@pytest.fixture
def ledger(policy: Policy) -> Iterator[Ledger]:
    with open_ledger(policy.ledger_url) as opened:
        yield opened


def test_what_argillas_own_sdk_wrote_is_read(ledger: Ledger, policy: Policy) -> None:
    file = Path(__file__).parent / "written_by_argilla_2.8.0.json"
    report = import_from(Format.ARGILLA, file, ledger, policy, {ANNA: "anna", BEN: "ben"})
    assert (report.accepted, report.rejected) == (3, ())
    assert labels(ledger) == {
        ("item003", "anna"): "positive",
        ("item003", "ben"): "undecided",
        ("item002", "anna"): "negative",
    }
    unsure = ledger.votes().filter(rater="ben").row(0, named=True)
    assert (unsure["undecided_reason"], unsure["comment"]) == ("missing context", "Which product? 🤷")


def test_an_unknown_user_of_argilla_keeps_nobody_elses_answer(ledger: Ledger, policy: Policy) -> None:
    file = Path(__file__).parent / "written_by_argilla_2.8.0.json"
    report = import_from(Format.ARGILLA, file, ledger, policy, {ANNA: "anna"})
    assert report.accepted == 2
    assert [each.reason for each in report.rejected] == [
        f"user_id: {BEN} is no known rater; say who it is, such as --rater {BEN}=NAME"
    ]
    # The way out works with the same file.
    assert import_from(Format.ARGILLA, file, ledger, policy, {ANNA: "anna", BEN: "ben"}).accepted == 1


def test_drafts_and_discarded_responses_are_no_answers(ledger: Ledger, policy: Policy, tmp_path: Path) -> None:
    def record(item_id: str, status: str) -> dict[str, Any]:
        response = {"value": "positive", "user_id": ANNA, "status": status}
        return {"id": question_code("spam", "0000", item_id), "responses": {"answer": [response]}}

    records = [record("item000", "draft"), record("item001", "discarded"), record("item002", "submitted")]
    file = write(tmp_path, "a.json", json.dumps(records))
    report = import_from(Format.ARGILLA, file, ledger, policy, {ANNA: "anna"})
    assert (report.accepted, report.blank, report.rejected) == (1, 2, ())


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"responses": {}}, "id: missing; export records with their ids"),
        ({"id": CODE}, "responses: missing; export records with responses"),
        ({"id": CODE, "responses": {"label": []}}, "responses: no question is named 'answer' .found label.; give the"),
        ({"id": CODE, "responses": {"answer": [{"value": "yes"}]}}, "responses.answer: user_id is missing"),
        ({"id": CODE, "responses": {"answer": True}}, "responses.answer: True is no list of responses; export the"),
        ({"id": CODE, "responses": {"answer": [{"value": 1, "user_id": ANNA}]}}, "responses.answer: 1 is not text"),
        ({"id": CODE, "responses": {"answer": [{"value": "hm", "user_id": ANNA}]}}, "label: 'hm' is unknown"),
        ({"id": "q0", "responses": {"answer": [{"value": "yes", "user_id": ANNA}]}}, "item_id: 'q0' is in no queue"),
        ([], "record: a JSON object was expected, not list"),
    ],
)
def test_argilla_names_what_is_wrong(
    ledger: Ledger, policy: Policy, tmp_path: Path, record: object, reason: str
) -> None:
    file = write(tmp_path, "a.json", json.dumps([record]))
    report = import_from(Format.ARGILLA, file, ledger, policy, {ANNA: "anna"})
    (rejection,) = report.rejected
    assert rejection.row == 1
    assert re.search(reason, rejection.reason), rejection.reason


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ({"meta": {}}, "meta.question: missing; only tasks written by 'al labels export --format prodigy' can be read"),
        ({"answer": None}, "answer: missing; export answered tasks with 'prodigy db-out DATASET'"),
        ({"answer": "maybe"}, "answer: 'maybe' is unknown; expected one of accept, reject, ignore"),
        ({"accept": []}, r"accept: \[\], expected one option's id"),
        ({"accept": ["positive", "negative"]}, "expected one option's id; set choice_style to single"),
        ({"accept": ["POS"]}, "label: 'POS' is unknown; expected 'yes', 'no'"),
        ({"accept": ["undecided: hm"]}, "undecided_reason: 'hm' is unknown"),
        (
            {"accept": ["positive"], "answer": "reject"},
            "answer: 'reject' of a question with options is neither yes nor",
        ),
        ({"_annotator_id": None}, "_annotator_id: missing; have each rater open the page with .session=NAME"),
        (
            {"_annotator_id": "spam-dora"},
            "_annotator_id: 'spam-dora' is no known rater; say who it is, such as --rater",
        ),
        ({"_timestamp": "noon"}, "_timestamp: 'noon' is not a number of seconds since 1970"),
        ({"comment": ["x"]}, "comment: .*is not text; give the text_input the field_id 'comment'"),
    ],
)
def test_prodigy_names_what_is_wrong(
    ledger: Ledger, policy: Policy, tmp_path: Path, task: dict[str, Any], reason: str
) -> None:
    file = write(tmp_path, "a.jsonl", json.dumps({**BY_ANNA, **task}))
    (rejection,) = import_from(Format.PRODIGY, file, ledger, policy).rejected
    assert re.search(reason, rejection.reason), rejection.reason


def test_prodigy_without_options_is_yes_or_no_and_ignored_is_no_answer(
    ledger: Ledger, policy: Policy, tmp_path: Path
) -> None:
    tasks = [
        {"meta": {"question": question_code("spam", "0000", f"item00{number}")}, "answer": answer, "_session_id": who}
        for number, (answer, who) in enumerate([("accept", "anna"), ("reject", "x%20y-ben"), ("ignore", "cleo")])
    ]
    file = write(tmp_path, "a.jsonl", "\n".join([*map(json.dumps, tasks), "{not json"]))
    report = import_from(Format.PRODIGY, file, ledger, policy)
    assert (report.accepted, report.blank) == (2, 1)
    assert labels(ledger) == {("item000", "anna"): "positive", ("item001", "ben"): "negative"}
    assert [each.reason.split("(")[0] for each in report.rejected] == ["line 4: is not JSON "]


def test_a_file_of_another_kind_is_refused_whole(ledger: Ledger, policy: Policy, tmp_path: Path) -> None:
    cases: list[tuple[str, str | bytes, str]] = [
        ("a.csv", "x", "a.csv: this form is read from .json, .jsonl files; rename it"),
        ("a.json", "", "a.json: is empty; export it again"),
        ("a.json", "[1,", "a.json: is not JSON"),
        ("a.json", b"\xff\xfe", r"a.json: is not UTF-8 \(byte 0xff at 0\); .* with: iconv -t UTF-8"),
    ]
    for name, content, reason in cases:
        with pytest.raises(UnreadableFileError, match=reason):
            import_from(Format.ARGILLA, write(tmp_path, name, content), ledger, policy)
    with pytest.raises(UnreadableFileError, match=r"gone.jsonl: cannot be read: No such file"):
        import_from(Format.PRODIGY, tmp_path / "gone.jsonl", ledger, policy)
