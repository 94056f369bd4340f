"""What raters could not decide, by the reason they gave, and what an adjudicator found the policy silent on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from al_assets.agreement.policy_gaps import policy_gaps
from al_assets.curation.split import GUIDELINE_GAP
from al_assets.review.desk.adjudication.cases import neutral_order
from al_assets.storage.ledger import Ledger
from al_assets.tables import REASON_COLUMNS, UNDECIDED_REASONS

NO_REASON = "no reason given"


@dataclass(frozen=True)
class Gap:
    """An item that could not be decided.

    :param reasons: why not, each with how many raters gave it.
    :param comments: raters' and the adjudicator's, without names; those of "cannot decide" first.
    """

    iteration: str
    text: str
    undecided: int
    positive: int
    negative: int
    reasons: tuple[tuple[str, int], ...]
    comments: tuple[str, ...]
    policy_versions: tuple[str, ...]


def gaps_now(ledger: Ledger, secret: bytes) -> dict[str, list[Gap]]:
    """Return the items by the first reason that a rater gave; those adjudicated a guideline gap come first.

    Within a reason they come in the order of ``policy_gaps``: those with the most "cannot decide" first.

    :param secret: what the order of an item's comments is derived from, so that it names nobody.
    """
    watermark = ledger.watermark()
    adjudicated = ledger.adjudications(watermark=watermark).filter(label=GUIDELINE_GAP)
    decided = {(row["iteration"], row["item_id"]): row["comment"] for row in adjudicated.iter_rows(named=True)}
    listed = policy_gaps(ledger.answers(watermark=watermark), also=adjudicated)
    rows = {(row["iteration"], row["item_id"]): row for row in listed.iter_rows(named=True)}
    grouped: dict[str, list[Gap]] = {name: [] for name in (GUIDELINE_GAP, *UNDECIDED_REASONS, NO_REASON)}
    for place in [*(place for place in decided if place in rows), *(place for place in rows if place not in decided)]:
        gap = _gap(rows[place], decided.get(place), secret)
        grouped[GUIDELINE_GAP if place in decided else gap.reasons[0][0]].append(gap)
    return {name: gaps for name, gaps in grouped.items() if gaps}


def _gap(row: Mapping[str, Any], adjudicators_comment: str | None, secret: bytes) -> Gap:
    by_rater = {comment["rater"]: comment for comment in row["comments"]}
    order = neutral_order(secret, "\x1f".join(("gap", row["iteration"], row["item_id"])), sorted(by_rater))
    said = sorted((by_rater[rater] for rater in order), key=lambda comment: comment["label"] != "undecided")
    given = {reason: row[column] for reason, column in REASON_COLUMNS.items()}
    given[NO_REASON] = row["undecided_votes"] - sum(given.values())
    first = (adjudicators_comment or "").strip()
    return Gap(
        iteration=row["iteration"],
        text=row["text"],
        undecided=row["undecided_votes"],
        positive=row["positive_votes"],
        negative=row["negative_votes"],
        reasons=tuple((reason, votes) for reason, votes in given.items() if votes),
        comments=(*([first] if first else []), *(comment["text"] for comment in said)),
        policy_versions=tuple(row["policy_versions"]),
    )
