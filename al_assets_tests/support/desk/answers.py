"""A ledger on which raters disagreed, for the tests of the overview."""

from datetime import UTC, datetime, timedelta

from al_assets.review.desk.shell.desk import Desk
from al_assets.storage.ledger import Vote

SCRIPT = "<script>alert(1)</script>"


def answer(desk: Desk, item: str, rater: str, label: str, *, minutes_ago: float = 5, **fields: str | None) -> None:
    """Record an answer given so many minutes ago."""
    voted_at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    vote = Vote(item, "0000", rater, label, desk.policy.policy.version, voted_at, **fields)  # type: ignore[arg-type]
    desk.ledger.record([vote])


def disagree(desk: Desk, *items: str) -> None:
    """Let anna say positive and ben negative."""
    for item in items:
        answer(desk, item, "anna", "positive", comment=f"anna of {item} {SCRIPT}")
        answer(desk, item, "ben", "negative", minutes_ago=3)
