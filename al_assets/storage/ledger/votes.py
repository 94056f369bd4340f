"""Votes, and what becomes of a batch of them: a pure plan that the ledger then writes in one transaction."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, get_args

from al_assets.partitions import iteration_number
from al_assets.tables import UNDECIDED_REASONS

Label = Literal["positive", "negative", "undecided"]
LABELS: tuple[str, ...] = get_args(Label)
WITHDRAWN = "withdrawn"
"""Stands in place of a label where a rater takes the answer back: no answer counts there until the next one."""
MAX_COMMENT = 10_000
_FIRST_YEAR, _LAST_YEAR = 1970, 9998


class VoteError(ValueError):
    """Votes were refused; nothing of their batch was recorded.

    ``reasons`` holds (position in the batch, reason) for each refused vote.
    """

    def __init__(self, reasons: Sequence[tuple[int, str]]) -> None:
        self.reasons = tuple(reasons)
        shown = "; ".join(f"vote {position}: {reason}" for position, reason in self.reasons[:5])
        more = f"; and {len(self.reasons) - 5} more" if len(self.reasons) > 5 else ""
        super().__init__(shown + more)


class Place(NamedTuple):
    """What one answer is about: a later vote in the same place supersedes the earlier one."""

    iteration: str
    item_id: str
    rater: str


@dataclass(frozen=True)
class Vote:
    """One rater's answer about one queued item, or the withdrawal of it.

    :param label: one of LABELS, or WITHDRAWN to take back the answer that counts.
    :param voted_at: when the rater answered; must have a time zone.
    :param vote_key: the sender's own name for this answer; sent again under the same key it counts once. Without one
        it is derived from all the fields that tell one answer from another.
    :param policy_fingerprint: of the policy text the rater saw; None if unknown.
    :param blind: the rater saw neither model output nor other raters' votes.
    :param source: how it came in, such as ``desk`` or ``file:votes.csv``.
    :param undecided_reason: one of UNDECIDED_REASONS; only with the label "undecided", and there it may be missing.
    :raises VoteError: a field is empty or not of its form.
    """

    item_id: str
    iteration: str
    rater: str
    label: str
    policy_version: str
    voted_at: datetime
    policy_fingerprint: str | None = None
    comment: str | None = None
    blind: bool = True
    source: str = "desk"
    vote_key: str | None = None
    undecided_reason: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no ledger could hold."""
        others = ("comment", "vote_key", "policy_fingerprint")
        needed = ("item_id", "rater", "policy_version", "source")
        if reason := malformed("vote", self, _wrong_label(self), "voted_at", needed, others):
            raise VoteError([(0, reason)])

    @property
    def place(self) -> Place:
        """What the answer is about."""
        return Place(self.iteration, self.item_id, self.rater)

    @property
    def key(self) -> str:
        """The idempotency key."""
        if self.vote_key:
            return self.vote_key
        moment = self.voted_at.astimezone(UTC).isoformat()
        parts = [self.iteration, self.item_id, self.rater, self.label, self.policy_version, self.comment, moment]
        if self.undecided_reason:
            # Only then: the keys of earlier releases stay as they are.
            parts.append(self.undecided_reason)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def malformed(
    what: str, given: Any, wrong_label: str | None, moment: str, needed: Sequence[str], others: Sequence[str]
) -> str | None:
    """Return why no ledger could hold a vote or adjudication; None if it could.

    :param wrong_label: what is wrong with the label.
    :param moment: name of the field that says when.
    :param needed: names of the texts that may not be empty; ``others`` are checked for their characters alone.
    """
    try:
        iteration_number(given.iteration)
    except ValueError as error:
        return str(error)
    if reason := wrong_label or _wrong_moment(moment, getattr(given, moment)):
        return reason
    if len(given.comment or "") > MAX_COMMENT:
        return f"comment: {len(given.comment)} characters; at most {MAX_COMMENT} are kept, shorten it"
    for name in needed:
        if not getattr(given, name).strip():
            return f"{name}: empty; every {what} needs one"
    for name in (*needed, *others):
        if not is_storable(getattr(given, name) or ""):
            return f"{name}: {getattr(given, name)!r} holds a character no database stores; remove it"
    return None


def _wrong_label(vote: Vote) -> str | None:
    if vote.label not in (*LABELS, WITHDRAWN):
        return f"label: {vote.label!r} is unknown; expected one of {', '.join(LABELS)}, or {WITHDRAWN} to take one back"
    if vote.undecided_reason is None:
        return None
    if vote.undecided_reason not in UNDECIDED_REASONS:
        known = ", ".join(UNDECIDED_REASONS)
        return f"undecided_reason: {vote.undecided_reason!r} is unknown; expected one of {known}, or nothing"
    if vote.label != "undecided":
        return (
            f"undecided_reason: {vote.undecided_reason!r} with label {vote.label!r}; only undecided has one: empty it"
        )
    return None


def _wrong_moment(name: str, moment: datetime) -> str | None:
    if moment.tzinfo is None:
        return f"{name}: {moment.isoformat()} has no time zone; add one, such as +00:00"
    # At the ends of the calendar some time zones have no name for a moment: stored, it could not be read again.
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        return f"{name}: {moment.isoformat()} is not of the years {_FIRST_YEAR} to {_LAST_YEAR}; correct it"
    return None


def is_storable(text: str) -> bool:
    """Whether every database stores the text."""
    # PostgreSQL has no NUL in text, and half of a surrogate pair has no UTF-8 form.
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


@dataclass(frozen=True)
class Receipt:
    """The file a batch of votes came from, recorded with them.

    :param content_hash: SHA-256 of the file.
    :param rows: the file's row number of each vote of the batch.
    :param rejected_rows: row numbers that became no vote.
    """

    content_hash: str
    name: str
    rows: tuple[int, ...]
    rejected_rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class RecordResult:
    """What became of a batch; each vote is counted once.

    :param new: answers of a rater about an item where none counted: none was given yet, or it was withdrawn.
    :param repeated: answers that were already there.
    :param superseding: answers that replaced another one of the same rater about the same item, and withdrawals.
    :param outdated: positions of votes left out because a later answer is on record (only with ``skip_outdated``).
    :param watermark: the policy's largest ``seq`` afterwards, adjudications included.
    """

    new: int
    repeated: int
    superseding: int
    outdated: tuple[int, ...]
    watermark: int


class Known(NamedTuple):
    """A vote on record, as far as planning needs it."""

    seq: int
    label: str
    policy_version: str
    comment: str | None
    voted_at: datetime
    undecided_reason: str | None = None


@dataclass
class Plan:
    """Rows to insert, in order, and the counts that go with them."""

    next_seq: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    new: int = 0
    repeated: int = 0
    superseding: int = 0
    outdated: list[int] = field(default_factory=list)


def plan_votes(
    votes: Sequence[Vote],
    current: Mapping[Place, Known],
    keys: Mapping[str, tuple[Place, str]],
    next_seq: int,
    *,
    skip_outdated: bool = False,
) -> Plan:
    """Decide for each vote whether it is new, a repetition, a replacement or outdated.

    :param current: the latest vote on record, withdrawals included, for every place the batch touches.
    :param keys: place and label of the votes on record under the batch's keys.
    :param skip_outdated: leave out a vote cast before the one that counts now, instead of letting it supersede.
    :raises VoteError: a key is on record for another answer, or there is no answer to withdraw.
    """
    plan, latest, seen = Plan(next_seq), dict(current), dict(keys)
    refused = []
    for position, vote in enumerate(votes):
        before = latest.get(vote.place)
        if vote.key in seen:
            if seen[vote.key] != (vote.place, vote.label):
                clash = (
                    f"vote_key: {vote.key!r} is on record for another answer; send each answer under a key of its own"
                )
                refused.append((position, clash))
            plan.repeated += 1
        elif before and vote.label != WITHDRAWN and _says_the_same(vote, before):
            plan.repeated += 1
        elif before and skip_outdated and vote.voted_at < before.voted_at:
            plan.outdated.append(position)
        elif vote.label == WITHDRAWN and not _counts(before):
            refused.append((position, _nothing_to_withdraw(vote)))
        else:
            latest[vote.place] = _append(plan, vote, before)
            seen[vote.key] = (vote.place, vote.label)
    if refused:
        raise VoteError(refused)
    return plan


def _append(plan: Plan, vote: Vote, before: Known | None) -> Known:
    row = {**vars(vote), "seq": plan.next_seq, "vote_key": vote.key, "supersedes": before.seq if before else None}
    plan.rows.append(row)
    plan.next_seq += 1
    plan.superseding += _counts(before)
    plan.new += not _counts(before)
    return Known(*(row[name] for name in Known._fields))


def _counts(before: Known | None) -> bool:
    return before is not None and before.label != WITHDRAWN


def _says_the_same(vote: Vote, before: Known) -> bool:
    # A vote without a remark or reason adds nothing to one with it; a new one or a new policy version is a new answer.
    same_comment = not vote.comment or vote.comment == before.comment
    same_reason = not vote.undecided_reason or vote.undecided_reason == before.undecided_reason
    same_answer = (vote.label, vote.policy_version) == (before.label, before.policy_version)
    return same_comment and same_reason and same_answer


def _nothing_to_withdraw(vote: Vote) -> str:
    return (
        f"label: {WITHDRAWN}, but no answer of {vote.rater!r} about item {vote.item_id!r} of iteration "
        f"{vote.iteration} counts, so there is none to take back"
    )
