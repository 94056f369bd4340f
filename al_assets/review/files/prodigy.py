"""Prodigy: tasks of the interface ``choice`` as JSONL, as its recipes read and ``prodigy db-out`` writes them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import polars as pl

from al_assets.config import LabelNames
from al_assets.review.files.tool_records import COMMENT, Answer, text_of
from al_assets.storage.ledger import LABELS
from al_assets.tables import UNDECIDED_REASONS

_CODE, _VERSION = "question", "policy_version"
_BETWEEN = ": "
_ANSWERS = ("accept", "reject", "ignore")

user_id = str
"""Prodigy knows raters by their names."""


def write_questions(questions: Iterable[tuple[str, str]], names: LabelNames) -> str:
    """Return tasks with a choice of yes, no and each reason why one cannot decide; the code is the task's ``meta``."""
    return _lines({"text": text, "options": _options(names), "meta": {_CODE: code}} for code, text in questions)


def write_votes(answers: pl.DataFrame, names: LabelNames) -> str:
    """Return a task for each answer, as ``prodigy db-out`` would; columns of ``coded_answers``.

    Prodigy's times are whole seconds.
    """
    options = _options(names)
    return _lines(
        {
            "text": row["text"],
            "options": options,
            "meta": {_CODE: row["code"], _VERSION: row["policy_version"]},
            "accept": [_option(row["label"], row["undecided_reason"])],
            "answer": "accept",
            **({COMMENT: row["comment"]} if row["comment"] else {}),
            "_timestamp": int(row["voted_at"].timestamp()),
            "_annotator_id": row["rater"],
            "_session_id": row["rater"],
            "_view_id": "choice",
        }
        for row in answers.iter_rows(named=True)
    )


def read_answers(record: Mapping[str, Any], raters: Mapping[str, str]) -> Iterator[Answer]:
    """Yield what the annotator of a task answered; an ignored task is without a label.

    A task without options is a yes or no question: accepted is positive, rejected negative.

    :param raters: rater names by the annotators' ids.
    :raises ValueError: a field is missing or unknown; the message names it.
    """
    meta = record.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    code = text_of(
        {f"meta.{_CODE}": meta.get(_CODE)},
        f"meta.{_CODE}",
        "only tasks written by 'al labels export --format prodigy' can be read; keep their meta",
    )
    answer = text_of(record, "answer", "export answered tasks with 'prodigy db-out DATASET'")
    if answer not in _ANSWERS:
        raise ValueError(f"answer: {answer!r} is unknown; expected one of {', '.join(_ANSWERS)}")
    label, reason = ("", "") if answer == "ignore" else _chosen(record, answer)
    comment = record.get(COMMENT) or ""
    if not isinstance(comment, str):
        raise ValueError(f"{COMMENT}: {comment!r} is not text; give the text_input the field_id {COMMENT!r}")
    yield {
        "item_id": code,
        "rater": _rater(record, raters),
        "label": label,
        "undecided_reason": reason,
        "comment": comment,
        "voted_at": _moment(record.get("_timestamp")),
        "policy_version": str(meta.get(_VERSION) or ""),
    }


def _options(names: LabelNames) -> list[dict[str, str]]:
    plain = [(label, getattr(names, label)) for label in LABELS if label != "undecided"]
    unsure = [(_option("undecided", reason), f"{names.undecided}{_BETWEEN}{reason}") for reason in UNDECIDED_REASONS]
    return [{"id": name, "text": text} for name, text in (*plain, *unsure)]


def _option(label: str, reason: str | None) -> str:
    return f"{label}{_BETWEEN}{reason}" if reason else label


def _chosen(record: Mapping[str, Any], answer: str) -> tuple[str, str]:
    if "options" not in record and "accept" not in record:
        return ("positive" if answer == "accept" else "negative"), ""
    chosen = record.get("accept")
    if answer == "reject":
        raise ValueError(
            "answer: 'reject' of a question with options is neither yes nor no; choose an option and accept, or ignore"
        )
    if not isinstance(chosen, list) or len(chosen) != 1:
        raise ValueError(
            f"accept: {chosen!r}, expected one option's id; set choice_style to single, and answer it again"
        )
    label, _, reason = str(chosen[0]).partition(_BETWEEN)
    return label, reason


def _rater(record: Mapping[str, Any], raters: Mapping[str, str]) -> str:
    """Return who answered: Prodigy puts the data set's name and a hyphen before the name given by ``?session=``."""
    annotator = record.get("_annotator_id") or record.get("_session_id")
    if not isinstance(annotator, str):
        raise ValueError(
            "_annotator_id: missing; have each rater open the page with ?session=NAME, and export with 'prodigy db-out'"
        )
    name = unquote(annotator)
    fitting = [known for known in raters if name == known or name.endswith(f"-{known}")]
    if not fitting:
        raise ValueError(
            f"_annotator_id: {annotator!r} is no known rater; say who it is, such as --rater '{annotator}=NAME'"
        )
    return raters[max(fitting, key=len)]


def _moment(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"_timestamp: {value!r} is not a number of seconds since 1970; leave it as Prodigy wrote it")
    try:
        return datetime.fromtimestamp(value, UTC).isoformat()
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"_timestamp: {value!r} is no time ({error}); leave it as Prodigy wrote it") from error


def _lines(tasks: Iterator[dict[str, Any]]) -> str:
    return "".join(json.dumps(task, ensure_ascii=False) + "\n" for task in tasks)
