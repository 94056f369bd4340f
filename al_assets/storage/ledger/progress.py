"""How far the labelling of an iteration has come: a pure count over its queue and its current votes."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Progress:
    """The labelling of one iteration at one watermark.

    :param queued: items in the queue; 0 when the iteration has not been published.
    :param check_queued: of them check items, which are asked after training; ``check_complete`` of them are complete.
    :param complete: items with at least ``votes_per_item`` current votes by distinct raters; "undecided" is an answer.
        A repeat is asked of those only who answered the item before, so it may need fewer.
    :param decisive: items with at least ``votes_per_item`` votes that are positive or negative, repeats likewise.
    :param missing: votes that the incomplete items still need.
    :param votes: current votes, one per item and rater, those on hidden gold and repeats included.
    :param undecided_votes: of them undecided.
    :param first_published_at: None when the iteration has not been published.
    :param last_published_at: later than the first after a reselect.
    :param open_items: for each rater who may vote the incomplete items that wait for this rater's vote, in queue order.
    """

    iteration: str
    votes_per_item: int
    queued: int
    complete: int
    check_queued: int
    check_complete: int
    decisive: int
    missing: int
    votes: int
    undecided_votes: int
    first_published_at: datetime | None
    last_published_at: datetime | None
    last_recorded_at: datetime | None
    watermark: int
    open_items: Mapping[str, tuple[str, ...]]

    @property
    def is_complete(self) -> bool:
        """Whether the iteration is published and every item of its queue is complete."""
        return 0 < self.queued == self.complete

    @property
    def coverage(self) -> float:
        """Share of the queue that is complete, 0 to 1; 0 when there is no queue."""
        return self.complete / self.queued if self.queued else 0.0

    @property
    def decisive_coverage(self) -> float:
        """Share of the queue with enough decisive votes, 0 to 1; 0 when there is no queue."""
        return self.decisive / self.queued if self.queued else 0.0


def count_progress(
    iteration: str,
    votes_per_item: int,
    queue: Sequence[tuple[str, datetime]],
    votes: Sequence[tuple[str, str, str, datetime]],
    raters: Collection[str],
    watermark: int,
    repeats: Mapping[str, Collection[str]] | None = None,
    check_items: Collection[str] = (),
) -> Progress:
    """Count an iteration's progress.

    An item is complete with ``votes_per_item`` votes only, whoever left. Where too few raters are left to give them, it
    stays open and may wait for nobody, until somebody joins or the deadline lets the loop go on.

    :param queue: (item_id, published_at), in queue order.
    :param votes: (item_id, rater, label, recorded_at), one per item and rater, of this iteration only; none withdrawn.
    :param raters: who may vote: their open items are listed; votes of raters who have left still count.
    :param repeats: for each repeat the raters who answered it before: nobody else is asked, and no other vote counts.
    :param check_items: which of the queue are check items.
    :raises ValueError: ``votes_per_item`` is below 1.
    """
    if votes_per_item < 1:
        raise ValueError(f"votes_per_item: {votes_per_item} is below 1; every item needs at least one vote")
    asked_again = repeats or {}
    answers: dict[str, dict[str, str]] = defaultdict(dict)
    for item_id, rater, label, _ in votes:
        if rater in asked_again.get(item_id, (rater,)):
            answers[item_id][rater] = label
    items = [item_id for item_id, _ in queue]
    needed = dict.fromkeys(items, votes_per_item)
    for item_id, before in asked_again.items():
        # Whoever has left since will not answer again, unless they did so before they left.
        needed[item_id] = min(votes_per_item, len({*answers[item_id], *(set(before) & set(raters))}))
    lacking = {item_id: needed[item_id] - len(answers[item_id]) for item_id in items}
    waiting = [item_id for item_id in items if lacking[item_id] > 0]
    check = [item_id for item_id in items if item_id in check_items]
    published = [moment for _, moment in queue]
    return Progress(
        iteration=iteration,
        votes_per_item=votes_per_item,
        queued=len(items),
        complete=len(items) - len(waiting),
        check_queued=len(check),
        check_complete=sum(lacking[item_id] <= 0 for item_id in check),
        decisive=sum(_decisive(answers[item_id].values()) >= needed[item_id] for item_id in items),
        missing=sum(lacking[item_id] for item_id in waiting),
        votes=len(votes),
        undecided_votes=sum(label == "undecided" for _, _, label, _ in votes),
        first_published_at=min(published, default=None),
        last_published_at=max(published, default=None),
        last_recorded_at=max((recorded_at for *_, recorded_at in votes), default=None),
        watermark=watermark,
        open_items={
            rater: tuple(
                item_id
                for item_id in waiting
                if rater not in answers[item_id] and rater in asked_again.get(item_id, (rater,))
            )
            for rater in raters
        },
    )


def _decisive(labels: Collection[str]) -> int:
    return sum(label != "undecided" for label in labels)
