"""The drop folder: a file of votes put into it is imported and moved; nothing put into it is lost."""

import json
import time
from dataclasses import asdict

from upath import UPath

from al_assets.config import Policy
from al_assets.review.files.exchange import import_votes
from al_assets.review.files.vote_files import SUFFIXES, UnreadableFileError, display_name
from al_assets.review.intake import ImportReport
from al_assets.storage.atomic import write_bytes
from al_assets.storage.ledger import Ledger

# What people drop instead of CSV: refused with a reason rather than left lying about.
_NEARLY = (".xlsx", ".xls", ".ods", ".json", ".tsv")


def collect(inbox: UPath, ledger: Ledger, policy: Policy, *, min_age_seconds: float = 1.0) -> list[ImportReport]:
    """Import every file of votes that lies in the inbox, in the order of names, and return a report for each.

    An imported file moves to ``imported/``, its rejected rows beside it in ``<name>.rejected.jsonl``; a file of which
    no row can be read moves to ``rejected/`` with ``<name>.reason.txt``. Votes are recorded before the file moves, so a
    crash in between makes the next call repeat the file, which changes nothing.

    :param min_age_seconds: files modified more recently may still be growing and wait for the next call.
    :raises LedgerError: the ledger cannot be written; the file stays.
    """
    reports = (_collect_one(file, ledger, policy) for file in _waiting(inbox, min_age_seconds))
    return [report for report in reports if report is not None]


def _collect_one(file: UPath, ledger: Ledger, policy: Policy) -> ImportReport | None:
    before = _state(file)
    try:
        report = import_votes(file, ledger, policy)
    except UnreadableFileError as error:
        if _state(file) != before or before is None:
            return None
        report = ImportReport(display_name(file), unreadable=str(error))
    # A file that grew while it was read stays; its new rows come with the next call.
    if _state(file) == before:
        try:
            _file_away(file, report)
        except FileNotFoundError:
            # Another process imported the same file at the same time and moved it first.
            if file.exists():
                raise
    return report


def _waiting(inbox: UPath, min_age_seconds: float) -> list[UPath]:
    if not inbox.is_dir():
        return []
    now, waiting = time.time(), []
    for file in sorted(inbox.iterdir(), key=lambda file: file.name):
        if file.name.startswith((".", "~")) or file.suffix.lower() not in (*SUFFIXES, *_NEARLY) or not file.is_file():
            continue
        state = _state(file)
        # A time stamp from the future is another machine's clock, not a file that is still growing.
        if state is not None and abs(now - state[1]) >= min_age_seconds:
            waiting.append(file)
    return waiting


def _state(file: UPath) -> tuple[int, float] | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime


def _file_away(file: UPath, report: ImportReport) -> None:
    target = _free_name(file, file.parent / ("imported" if report.unreadable is None else "rejected"))
    listing = target.parent / f"{target.name}.rejected.jsonl"
    if report.unreadable is not None:
        _write_text(target.parent / f"{target.name}.reason.txt", f"{report.unreadable}\n")
    elif report.rejected:
        lines = (json.dumps(asdict(rejection), ensure_ascii=False) + "\n" for rejection in report.rejected)
        _write_text(listing, "".join(lines))
    target.parent.mkdir(parents=True, exist_ok=True)
    file.rename(target)
    if report.unreadable is None and not report.rejected:
        listing.unlink(missing_ok=True)


def _free_name(file: UPath, folder: UPath) -> UPath:
    """Return where the file goes in the folder: under its name, unless another file has it already."""
    target = folder / file.name
    number = 2
    while target.exists() and target.read_bytes() != file.read_bytes():
        target = folder / f"{file.stem}-{number}{file.suffix}"
        number += 1
    return target


def _write_text(path: UPath, text: str) -> None:
    write_bytes(path, text.encode("utf-8", "backslashreplace"))
