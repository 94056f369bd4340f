"""What raters could not decide, by the reason they gave, and what an adjudicator found the policy silent on."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from al_assets.curation.split import GUIDELINE_GAP
from al_assets.review.desk.adjudication.cases import neutral_order
from al_assets.review.policy_gaps import policy_gaps
from al_assets.storage.ledger import UNDECIDED_REASONS, Ledger

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


def gaps_now(ledger: Ledger, key: bytes) -> dict[str, list[Gap]]:
    """Return the items by the first reason that a rater gave; those adjudicated a guideline gap come first.

    Within a reason they come in the order of ``policy_gaps``: those with the most "cannot decide" first.

    :param key: what the order of an item's comments is derived from, so that it names nobody.
    """
    watermark = ledger.watermark()
    answers = ledger.answers(watermark=watermark)
    decided = {
        (row["iteration"], row["item_id"]): row
        for row in ledger.adjudications(watermark=watermark).iter_rows(named=True)
        if row["label"] == GUIDELINE_GAP
    }
    rows: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in answers.iter_rows(named=True):
        rows[row["iteration"], row["item_id"]].append(row)
    listed = policy_gaps(ledger, watermark=watermark).select("iteration", "item_id").rows()
    places = [*(place for place in decided if place in rows), *(place for place in listed if place not in decided)]
    found: dict[str, list[Gap]] = {name: [] for name in (GUIDELINE_GAP, *UNDECIDED_REASONS, NO_REASON)}
    for place in places:
        gap = _gap(place, rows[place], decided.get(place), key)
        found[GUIDELINE_GAP if place in decided else gap.reasons[0][0]].append(gap)
    return {name: gaps for name, gaps in found.items() if gaps}


def _gap(place: tuple[str, str], given: list[Mapping[str, Any]], decision: Mapping[str, Any] | None, key: bytes) -> Gap:
    by_rater = {row["rater"]: row for row in given}
    ordered = [by_rater[rater] for rater in neutral_order(key, "\x1f".join(("gap", *place)), sorted(by_rater))]
    undecided = [row for row in ordered if row["label"] == "undecided"]
    rest = [row for row in ordered if row["label"] != "undecided"]
    said = [*([decision] if decision else []), *undecided, *rest]
    reasons = [row["undecided_reason"] or NO_REASON for row in undecided]
    return Gap(
        iteration=place[0],
        text=given[0]["text"],
        undecided=len(undecided),
        positive=sum(row["label"] == "positive" for row in rest),
        negative=sum(row["label"] == "negative" for row in rest),
        reasons=tuple((name, reasons.count(name)) for name in (*UNDECIDED_REASONS, NO_REASON) if name in reasons),
        comments=tuple(row["comment"].strip() for row in said if (row["comment"] or "").strip()),
        policy_versions=tuple(sorted({row["policy_version"] for row in given})),
    )
