"""Pull: what the raters submitted in Label Studio becomes votes; pulled again it counts once."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from al_assets.config import Policy
from al_assets.review.intake import ImportReport, Rejection, read_rows, record_votes
from al_assets.review.label_studio.annotations import SOURCE, Reader, annotation_of
from al_assets.review.label_studio.client import LabelStudioError, LabelStudioSettings, Server
from al_assets.review.label_studio.project import asked_under, find_project
from al_assets.review.questions import coded_items
from al_assets.storage.ledger import Ledger, Vote
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
    tasks = server.tasks(number, annotations=True)
    answers = [(task, annotation) for task in tasks for annotation in task["annotations"] or ()]
    # A skipped one is no answer.
    submitted = [(task, annotation) for task, annotation in answers if not annotation.get("was_cancelled")]
    read, rejected = read_rows((reader.row(*answer), partial(reader.vote, *answer)) for answer in submitted)
    # Those pulled before stay, even of somebody who has left since and may give no new answer.
    fresh = [entry for entry in read if on_record.get(entry.vote.key) != (entry.vote.place, entry.vote.label)]
    result, refused = record_votes(ledger, fresh, "updated_at", "submit the annotation again to replace it")
    rejected += refused
    present = {int(annotation["id"]) for _, annotation in submitted}
    standing = {(entry.vote.place, entry.vote.label) for entry in read}
    gone = tuple(
        vote for vote, said in _counting(ledger, number, on_record)
        if vote.annotation not in present and said not in standing
    )  # fmt: skip
    if withdraw_deleted:
        gone = _withdrawn(ledger, reader, gone, asked_at, rejected)
    report = ImportReport(
        f"Label Studio project {number}",
        accepted=result.new,
        repeated=result.repeated + len(read) - len(fresh),
        superseding=result.superseding,
        blank=len(answers) - len(submitted),
        rejected=tuple(sorted(rejected, key=lambda rejection: rejection.row)),
    )
    return PullReport(report, gone, withdraw_deleted)


_Said = tuple[Place, str]
"""What a vote says: of which item by whom, and the label."""


def _on_record(ledger: Ledger) -> dict[str, _Said]:
    """Return what every vote ever recorded says, by its key."""
    votes = ledger.history().select("vote_key", "label", *Place._fields)
    return {key: (Place(*place), label) for key, label, *place in votes.iter_rows()}


def _counting(ledger: Ledger, project: int, on_record: Collection[str]) -> Iterator[tuple[Gone, _Said]]:
    """Yield the votes that count and were pulled from a project before, each as it would be if it were gone."""
    votes = ledger.answers().select("vote_key", "label", *Place._fields)
    for key, label, *place in votes.iter_rows():
        number = annotation_of(key, project)
        if number is not None and key in on_record:
            yield Gone(number, *place), (Place(*place), label)


def _withdrawn(
    ledger: Ledger, reader: Reader, gone: Sequence[Gone], asked_at: datetime, rejected: list[Rejection]
) -> tuple[Gone, ...]:
    """Take back the votes of those who may vote, return these, and add the others to the rejected ones.

    :param asked_at: the moment as of which they were gone; what is submitted after it supersedes the withdrawal.
    """
    raters = ledger.raters
    for vote in gone:
        if vote.rater not in raters:
            reason = f"rater: {vote.rater!r} has left, so the vote stays; let them join again to take it back"
            rejected.append(Rejection(vote.annotation, reason, {"rater": vote.rater}))
    taken = tuple(vote for vote in gone if vote.rater in raters)
    withdrawals = [
        Vote(
            item_id=vote.item_id,
            iteration=vote.iteration,
            rater=vote.rater,
            label=WITHDRAWN,
            policy_version=reader.policy.policy.version,
            voted_at=asked_at,
            source=f"{SOURCE}:{reader.project}",
            vote_key=f"{SOURCE}:{reader.project}:{vote.annotation}:withdrawn {asked_at.isoformat()}",
        )
        for vote in taken
    ]
    if withdrawals:
        ledger.record(withdrawals)
    return taken
