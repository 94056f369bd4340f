"""The formats in which questions go out and votes come back, by name."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from upath import UPath

from al_assets.config import Policy
from al_assets.review.files import Format, argilla, prodigy
from al_assets.review.files.exchange import checked_target, export_queue, export_votes, import_votes, new_sheet
from al_assets.review.files.tool_records import coded_answers, coded_questions, read_record_file
from al_assets.review.intake import ImportReport
from al_assets.storage.atomic import write_bytes
from al_assets.storage.ledger import Ledger

_TOOLS: Mapping[Format, Any] = {Format.ARGILLA: argilla, Format.PRODIGY: prodigy}
_READ = {Format.ARGILLA: (".json", ".jsonl"), Format.PRODIGY: (".jsonl",)}
_WRITTEN = {Format.ARGILLA: (".json",), Format.PRODIGY: (".jsonl",)}


def import_from(
    form: Format, file: UPath | Path | str, ledger: Ledger, policy: Policy, raters: Mapping[str, str] | None = None
) -> ImportReport:
    """Record the votes of a file in one of the forms; parameters and errors as of ``import_votes``.

    :param raters: rater names by what the tool calls its users; the raters' own names need none.
    """
    if form is Format.PLAIN:
        return import_votes(file, ledger, policy)
    known = {_TOOLS[form].user_id(rater): rater for rater in ledger.raters} | dict(raters or {})
    read = partial(_TOOLS[form].read_answers, raters=known)
    return import_votes(file, ledger, policy, lambda content: read_record_file(content, _READ[form], read))


def export_questions(
    form: Format, ledger: Ledger, policy: Policy, iteration: str, path: UPath | Path | str, rater: str | None = None
) -> int:
    """Write an iteration's questions in one of the forms, blind, and return their number.

    In other tools' forms every question goes by its code; parameters and errors as of ``export_queue``.
    """
    if form is Format.PLAIN:
        return export_queue(ledger, policy, iteration, path, rater)
    target = new_sheet(ledger, path, rater, _WRITTEN[form])
    asked = list(coded_questions(ledger, policy, iteration, rater))
    write_bytes(target, _TOOLS[form].write_questions(asked, policy.policy.labels).encode())
    return len(asked)


def export_answers(form: Format, ledger: Ledger, policy: Policy, path: UPath | Path | str) -> int:
    """Write each rater's latest answers in one of the forms and return their number; ``import_from`` reads them."""
    if form is Format.PLAIN:
        return export_votes(ledger, path)
    target = checked_target(path, _WRITTEN[form])
    answers = coded_answers(ledger)
    write_bytes(target, _TOOLS[form].write_votes(answers, policy.policy.labels).encode())
    return answers.height
