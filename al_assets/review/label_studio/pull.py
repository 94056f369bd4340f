"""Pull: what the raters submitted in Label Studio becomes votes; pulled again it counts once."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from al_assets.config import Policy
from al_assets.review.files.exchange import ImportReport
from al_assets.review.files.vote_files import Rejection
from al_assets.review.label_studio.annotations import SOURCE, Reader, annotation_of, is_answer, rejection
from al_assets.review.label_studio.client import Server
from al_assets.review.label_studio.connection import LabelStudioError, LabelStudioSettings
from al_assets.review.label_studio.project import asked_under, find_project
from al_assets.review.questions import coded_items
from al_assets.storage.ledger import Ledger, Vote, VoteError
from al_assets.storage.ledger.votes import WITHDRAWN, Place


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
    # Before the annotations: what another pull records meanwhile is not among them, and yet not gone.
    asked_at, on_record = datetime.now(UTC), _on_record(ledger)
    reader = Reader(number, policy, settings.raters, server.emails(), coded_items(ledger), asked_under(project))
    tasks = list(server.tasks(number, annotations=True))
    answers = [(task, each) for task in tasks for each in task["annotations"] or ()]
    submitted = [(task, each) for task, each in answers if is_answer(each)]
    read, rejected = _read(reader, submitted)
    # Those pulled before stay, even of somebody who has left since and may give no new answer.
    fresh = [each for each in read if on_record.get(each.vote.key) != _said(each.vote)]
    outcome = _record(ledger, fresh, reader, rejected)
    present, standing = {int(each["id"]) for _, each in submitted}, {_said(each.vote) for each in read}
    gone = tuple(
        each for each, said in _counting(ledger, number, on_record)
        if each.annotation not in present and said not in standing
    )  # fmt: skip
    if withdraw_deleted:
        gone = _withdrawn(ledger, reader, gone, asked_at, rejected)
    report = ImportReport(
        f"Label Studio project {number}",
        accepted=outcome.accepted,
        repeated=outcome.repeated + len(read) - len(fresh),
        superseding=outcome.superseding,
        blank=len(answers) - len(submitted),
        rejected=tuple(sorted(rejected, key=lambda each: each.row)),
    )
    return PullReport(report, gone, withdraw_deleted)


class _Outcome(NamedTuple):
    accepted: int
    repeated: int
    superseding: int


class _Said(NamedTuple):
    place: Place
    label: str


class _Read(NamedTuple):
    task: Mapping[str, Any]
    annotation: Mapping[str, Any]
    vote: Vote


def _said(vote: Vote) -> _Said:
    return _Said(vote.place, vote.label)


def _on_record(ledger: Ledger) -> dict[str, _Said]:
    """Return what every vote ever recorded says, by its key."""
    votes = ledger.history().select("vote_key", "label", *Place._fields)
    return {key: _Said(Place(*place), label) for key, label, *place in votes.iter_rows()}


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


def _counting(ledger: Ledger, project: int, on_record: Collection[str]) -> Iterator[tuple[Gone, _Said]]:
    """Yield the votes that count and were pulled from a project before, each as it would be if it were gone."""
    votes = ledger.answers().select("vote_key", "label", *Place._fields)
    for key, label, *place in votes.iter_rows():
        number = annotation_of(key, project)
        if number is not None and key in on_record:
            yield Gone(number, *place), _Said(Place(*place), label)


def _withdrawn(
    ledger: Ledger, reader: Reader, gone: Sequence[Gone], asked_at: datetime, rejected: list[Rejection]
) -> tuple[Gone, ...]:
    """Take back the votes of those who may vote, return these, and add the others to the rejected ones.

    :param asked_at: the moment as of which they were gone; what is submitted after it supersedes the withdrawal.
    """
    raters = ledger.raters
    for each in gone:
        if each.rater not in raters:
            reason = f"rater: {each.rater!r} has left, so the vote stays; let them join again to take it back"
            rejected.append(Rejection(each.annotation, reason, {"rater": each.rater}))
    taken = tuple(each for each in gone if each.rater in raters)
    version = reader.policy.policy.version
    votes = [
        Vote(
            item_id=each.item_id,
            iteration=each.iteration,
            rater=each.rater,
            label=WITHDRAWN,
            policy_version=version,
            voted_at=asked_at,
            source=f"{SOURCE}:{reader.project}",
            vote_key=f"{SOURCE}:{reader.project}:{each.annotation}:withdrawn {asked_at.isoformat()}",
        )
        for each in taken
    ]
    if votes:
        ledger.record(votes)
    return taken


def _reason(error: ValueError) -> str:
    return error.reasons[0][1] if isinstance(error, VoteError) else str(error)


def _outdated(vote: Vote) -> str:
    return (
        f"updated_at: {vote.voted_at.isoformat()} is before the vote of {vote.rater!r} on record for item "
        f"{vote.item_id!r}, which stays; submit the annotation again to replace it"
    )
