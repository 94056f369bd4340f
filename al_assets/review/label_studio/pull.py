"""Pull: what the raters submitted in Label Studio becomes votes; pulled again it counts once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from al_assets.config import Policy
from al_assets.review.exchange import ImportReport
from al_assets.review.label_studio.annotations import SOURCE, Reader, annotation_of, is_answer, rejection
from al_assets.review.label_studio.project import asked_under, find_project
from al_assets.review.label_studio.server import Server
from al_assets.review.label_studio.settings import LabelStudioError, LabelStudioSettings
from al_assets.review.questions import coded_items
from al_assets.review.vote_files import Rejection
from al_assets.storage.ledger import Ledger, Vote, VoteError
from al_assets.storage.ledger.votes import WITHDRAWN


class Gone(NamedTuple):
    """A vote on record whose annotation is no longer in Label Studio, or is marked as skipped there now."""

    annotation: int
    iteration: str
    item_id: str
    rater: str


@dataclass(frozen=True)
class PullReport:
    """What became of a project's annotations.

    :param votes: each submitted annotation is counted once; skipped ones are ``blank``. A rejection's row is the
        annotation's number.
    :param gone: votes whose annotations were deleted or skipped since.
    :param withdrawn: the votes of ``gone`` were taken back.
    """

    votes: ImportReport
    gone: tuple[Gone, ...] = ()
    withdrawn: bool = False

    def __str__(self) -> str:
        """Return the report as one line."""
        if not self.gone:
            return str(self.votes)
        became = "taken back" if self.withdrawn else "still counted; --withdraw-deleted takes them back"
        return f"{self.votes}; {len(self.gone)} deleted or skipped there since, {became}"


def pull(
    ledger: Ledger, policy: Policy, settings: LabelStudioSettings, *, withdraw_deleted: bool = False
) -> PullReport:
    """Record what was submitted in the policy's project, in one transaction.

    An annotation counts once however often it is pulled; changed by its author it supersedes what it said before.
    A vote whose annotation was deleted stays on record and is named in the report, unless it is to be withdrawn.

    :raises LabelStudioError: the server cannot be reached or refuses, or there is no project yet.
    :raises LedgerError: nothing was recorded.
    """
    with Server(settings) as server:
        project = find_project(server, policy)
        if project is None:
            raise LabelStudioError(
                f"label_studio.title: {settings.url} has no project titled {settings.title_for(policy)!r}; "
                "'al label-studio push' makes it"
            )
        return pull_project(server, project, ledger, policy, withdraw_deleted=withdraw_deleted)


def pull_project(
    server: Server, project: Any, ledger: Ledger, policy: Policy, *, withdraw_deleted: bool = False
) -> PullReport:
    """Record what was submitted in a project, see ``pull``."""
    number = int(project.id)
    settings = server.settings
    reader = Reader(number, policy, settings.raters, server.emails(), coded_items(ledger), asked_under(project))
    tasks = list(server.tasks(number, annotations=True))
    answers = [(task, each) for task in tasks for each in task["annotations"] or ()]
    submitted = [(task, each) for task, each in answers if is_answer(each)]
    read, rejected = _read(reader, submitted)
    outcome = _record(ledger, read, reader, rejected)
    gone = _gone(ledger, number, {int(each["id"]) for _, each in submitted})
    if withdraw_deleted and gone:
        _withdraw(ledger, reader, gone)
    report = ImportReport(
        f"Label Studio project {number}",
        accepted=outcome.accepted,
        repeated=outcome.repeated,
        superseding=outcome.superseding,
        blank=len(answers) - len(submitted),
        rejected=tuple(sorted(rejected, key=lambda each: each.row)),
    )
    return PullReport(report, gone, withdraw_deleted)


class _Outcome(NamedTuple):
    accepted: int
    repeated: int
    superseding: int


class _Read(NamedTuple):
    task: Mapping[str, Any]
    annotation: Mapping[str, Any]
    vote: Vote


def _read(
    reader: Reader, submitted: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> tuple[list[_Read], list[Rejection]]:
    """Return the votes in the order they were cast, and the annotations that are none."""
    read, rejected = [], []
    for task, annotation in submitted:
        try:
            read.append(_Read(task, annotation, reader.vote(task, annotation)))
        except ValueError as error:
            rejected.append(rejection(annotation, _reason(error), reader.values(task, annotation)))
    return sorted(read, key=lambda each: each.vote.voted_at), rejected


def _record(ledger: Ledger, read: Sequence[_Read], reader: Reader, rejected: list[Rejection]) -> _Outcome:
    """Record the votes the ledger takes and add the others to the rejected ones."""

    def leave_out(left_out: Mapping[int, str]) -> list[_Read]:
        for position, reason in left_out.items():
            task, annotation, _ = read[position]
            rejected.append(rejection(annotation, reason, reader.values(task, annotation)))
        return [each for position, each in enumerate(read) if position not in left_out]

    refused = enumerate(ledger.refusals([each.vote for each in read]))
    read = leave_out({position: reason for position, reason in refused if reason})
    try:
        result = ledger.record([each.vote for each in read], skip_outdated=True)
    except VoteError as error:
        # An annotation that was recorded for another rater, before label_studio.raters was changed.
        read = leave_out(dict(error.reasons))
        result = ledger.record([each.vote for each in read], skip_outdated=True)
    leave_out({position: _outdated(read[position].vote) for position in result.outdated})
    return _Outcome(result.new, result.repeated, result.superseding)


def _gone(ledger: Ledger, project: int, present: set[int]) -> tuple[Gone, ...]:
    votes = ledger.answers().select("vote_key", "iteration", "item_id", "rater")
    found = ((annotation_of(key, project), *place) for key, *place in votes.iter_rows())
    return tuple(Gone(number, *place) for number, *place in found if number is not None and number not in present)


def _withdraw(ledger: Ledger, reader: Reader, gone: Iterable[Gone]) -> None:
    now = datetime.now(UTC)
    version = reader.policy.policy.version
    votes = [
        Vote(
            item_id=each.item_id,
            iteration=each.iteration,
            rater=each.rater,
            label=WITHDRAWN,
            policy_version=version,
            voted_at=now,
            source=f"{SOURCE}:{reader.project}",
            vote_key=f"{SOURCE}:{reader.project}:{each.annotation}:withdrawn {now.isoformat()}",
        )
        for each in gone
    ]
    ledger.record(votes)


def _reason(error: ValueError) -> str:
    return error.reasons[0][1] if isinstance(error, VoteError) else str(error)


def _outdated(vote: Vote) -> str:
    return (
        f"updated_at: {vote.voted_at.isoformat()} is before the vote of {vote.rater!r} on record for item "
        f"{vote.item_id!r}, which stays; submit the annotation again to replace it"
    )
