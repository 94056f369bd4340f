"""Which question lies before whom, so that two raters finish an item and not three."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from al_assets.review.desk.rating.rounds import QuestionId

IDLE = timedelta(minutes=10)


@dataclass
class Claims:
    """At most one claim for each rater, in memory: forgetting them all costs an extra vote at worst.

    :param idle: after this time without a sign of life a claim no longer keeps others away.
    """

    idle: timedelta = IDLE
    _held: dict[str, tuple[QuestionId, datetime]] = field(default_factory=dict)

    def hold(self, rater: str, question: QuestionId, now: datetime) -> None:
        """Claim a question, or show that its rater is still there; a claim before it is given up."""
        self._held[rater] = (question, now)

    def give_up(self, rater: str) -> None:
        """Give up a rater's claim, if any."""
        self._held.pop(rater, None)

    def held(self, rater: str) -> QuestionId | None:
        """Return the question that lies before a rater, even if he has been idle for long."""
        return self._held[rater][0] if rater in self._held else None

    def of_others(self, rater: str, now: datetime) -> Mapping[QuestionId, set[str]]:
        """Return who else has claimed each question and shown a sign of life since."""
        found: dict[QuestionId, set[str]] = defaultdict(set)
        for other, (question, since) in self._held.items():
            if other != rater and now - since < self.idle:
                found[question].add(other)
        return found

    def keep_only(self, raters: frozenset[str]) -> None:
        """Give up the claims of all but these raters."""
        for rater in self._held.keys() - raters:
            del self._held[rater]
