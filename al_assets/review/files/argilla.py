"""Argilla 2: records as its SDK's ``to_json`` writes and ``from_json`` reads them."""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from typing import Any

import polars as pl

from al_assets.config import LabelNames
from al_assets.review.files.tool_records import ANSWER, COMMENT, REASON, Answer, text_of

_QUESTIONS = (ANSWER, REASON, COMMENT)
# What metadata names of an answer, followed by the user's number; a response holds neither.
_MOMENT, _VERSION = "voted_at", "policy_version"


def user_id(rater: str) -> str:
    """Return the number that stands for a rater in files written here: the same each time, as a UUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"al_assets:rater:{rater}"))


def write_questions(questions: Iterable[tuple[str, str]], _: LabelNames) -> str:
    """Return records without suggestions or responses: text, and the question's code as id."""
    return _json([_record(code, text) for code, text in questions])


def write_votes(answers: pl.DataFrame, _: LabelNames) -> str:
    """Return a record for each question with the responses of all raters; columns of ``coded_answers``."""
    records: dict[str, dict[str, Any]] = {}
    for row in answers.iter_rows(named=True):
        record = records.setdefault(row["code"], _record(row["code"], row["text"]))
        user = user_id(row["rater"])
        values = {ANSWER: row["label"], REASON: row["undecided_reason"], COMMENT: row["comment"]}
        for question, value in values.items():
            if value:
                response = {"value": value, "user_id": user, "status": "submitted"}
                record["responses"].setdefault(question, []).append(response)
        record["metadata"][f"{_MOMENT}-{user}"] = row["voted_at"].astimezone(UTC).isoformat()
        record["metadata"][f"{_VERSION}-{user}"] = row["policy_version"]
        record["status"] = "completed"
    return _json(list(records.values()))


def read_answers(record: Mapping[str, Any], raters: Mapping[str, str]) -> Iterator[Answer]:
    """Yield what each user answered; drafts and discarded responses are without a label.

    :param raters: rater names by the users' numbers.
    :raises ValueError: a field is missing or unknown; the message names it.
    """
    code = text_of(record, "id", "export records with their ids, as 'al labels export --format argilla' wrote them")
    metadata = record.get("metadata") or {}
    for user, given in _by_user(record).items():
        if user not in raters:
            yield ValueError(f"user_id: {user} is no known rater; say who it is, such as --rater {user}=NAME")
            continue
        yield {
            "item_id": code,
            "rater": raters[user],
            "label": given.get(ANSWER, ""),
            "undecided_reason": given.get(REASON, ""),
            "comment": given.get(COMMENT, ""),
            "voted_at": str(metadata.get(f"{_MOMENT}-{user}") or ""),
            "policy_version": str(metadata.get(f"{_VERSION}-{user}") or ""),
        }


def _by_user(record: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return each user's values by question."""
    responses = record.get("responses")
    if not isinstance(responses, dict):
        raise ValueError("responses: missing; export records with responses, by dataset.records(...).to_json(...)")
    if responses and ANSWER not in responses:
        raise ValueError(
            f"responses: no question is named {ANSWER!r} (found {', '.join(responses)}); give the dataset's question "
            "that name, see docs/exchange.md"
        )
    by_user: dict[str, dict[str, str]] = {}
    for question in _QUESTIONS:
        given = responses.get(question) or []
        if not isinstance(given, list):
            raise ValueError(f"responses.{question}: {given!r} is no list of responses; export the records again")
        for response in given:
            user, value = _response(question, response)
            by_user.setdefault(user, {})[question] = value
    return by_user


def _record(code: str, text: str) -> dict[str, Any]:
    return {
        "id": code, "fields": {"text": text}, "metadata": {}, "suggestions": {}, "responses": {}, "vectors": {},
        "status": "pending", "_server_id": None,
    }  # fmt: skip


def _response(question: str, response: Any) -> tuple[str, str]:
    if not isinstance(response, dict) or not response.get("user_id"):
        raise ValueError(f"responses.{question}: user_id is missing; export the records with their users' responses")
    value = response.get("value")
    if value is not None and not isinstance(value, str):
        raise ValueError(f"responses.{question}: {value!r} is not text; ask it as a label or text question")
    submitted = response.get("status") in (None, "submitted")
    return str(response["user_id"]), (value or "") if submitted else ""


def _json(records: list[dict[str, Any]]) -> str:
    return json.dumps(records, ensure_ascii=False, indent=1) + "\n"
