"""What becomes of a batch of votes: a pure plan that the ledger then writes in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from al_assets.storage.ledger.votes import WITHDRAWN, Place, Vote, VoteError


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
                refused.append((position, _clash(vote)))
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
    row: dict[str, Any] = {
        "seq": plan.next_seq,
        "vote_key": vote.key,
        "item_id": vote.item_id,
        "iteration": vote.iteration,
        "rater": vote.rater,
        "label": vote.label,
        "policy_version": vote.policy_version,
        "policy_fingerprint": vote.policy_fingerprint,
        "blind": vote.blind,
        "comment": vote.comment,
        "source": vote.source,
        "voted_at": vote.voted_at,
        "supersedes": before.seq if before else None,
        "undecided_reason": vote.undecided_reason,
    }
    plan.rows.append(row)
    plan.next_seq += 1
    if _counts(before):
        plan.superseding += 1
    else:
        plan.new += 1
    return Known(row["seq"], vote.label, vote.policy_version, vote.comment, vote.voted_at, vote.undecided_reason)


def _counts(before: Known | None) -> bool:
    return before is not None and before.label != WITHDRAWN


def _says_the_same(vote: Vote, before: Known) -> bool:
    # A vote without a remark or reason adds nothing to one with it; a new one or a new policy version is a new answer.
    same_comment = not vote.comment or vote.comment == before.comment
    same_reason = not vote.undecided_reason or vote.undecided_reason == before.undecided_reason
    same_answer = (vote.label, vote.policy_version) == (before.label, before.policy_version)
    return same_comment and same_reason and same_answer


def _clash(vote: Vote) -> str:
    return f"vote_key: {vote.key!r} is on record for another answer; send each answer under a key of its own"


def _nothing_to_withdraw(vote: Vote) -> str:
    return (
        f"label: {WITHDRAWN}, but no answer of {vote.rater!r} about item {vote.item_id!r} of iteration "
        f"{vote.iteration} counts, so there is none to take back"
    )
