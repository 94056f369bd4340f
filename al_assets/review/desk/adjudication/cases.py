"""Items on which raters disagree: what the adjudicator sees, under names that say nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from starlette.concurrency import run_in_threadpool

from al_assets.curation.queue.hidden import HIDDEN
from al_assets.review.desk.security.secret import keyed_digest
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.recent import LedgerState, Recent, RecentValue, ledger_state


@dataclass(frozen=True)
class Opinion:
    """A rater's answer, under a neutral name."""

    name: str
    label: str
    comment: str
    undecided_reason: str


@dataclass(frozen=True)
class CaseDecision:
    """What an adjudicator decided last.

    :param outdated: an answer to the item came in, changed or was taken back after it.
    """

    label: str
    comment: str
    adjudicator: str
    decided_at: datetime
    outdated: bool


@dataclass(frozen=True)
class Case:
    """An item that was or is to be adjudicated.

    :param code: the name by which the desk's pages know it.
    :param mark: changes with every answer to the item and every decision on it.
    :param disputed: enough answers are there, and they are both positive and negative.
    """

    code: str
    iteration: str
    item_id: str
    text: str
    opinions: list[Opinion]
    decision: CaseDecision | None
    disputed: bool
    mark: str

    @property
    def is_open(self) -> bool:
        """Whether it waits for a decision."""
        return self.disputed and self.decision is None


def cases(
    answers: pl.DataFrame,
    adjudications: pl.DataFrame,
    withdrawals: pl.DataFrame,
    *,
    votes_per_item: int,
    secret: bytes,
    policy: str,
) -> list[Case]:
    """Return the items that raters disagree on or that were decided, in an order that tells nothing and stays.

    :param answers: of ``Ledger.answers``: the latest of each iteration, item and rater; hidden items are left out.
    :param adjudications: of ``Ledger.adjudications``.
    :param withdrawals: of ``Ledger.withdrawals``.
    :param votes_per_item: answers, "cannot decide" among them, from which an item is complete.
    :param secret: what codes, order and neutral names are derived from.
    """
    decided = {(row["iteration"], row["item_id"]): row for row in adjudications.iter_rows(named=True)}
    taken_back = {(iteration, item_id): seq for iteration, item_id, seq in withdrawals.iter_rows()}
    rows: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in answers.filter(~pl.col("reason").is_in(HIDDEN)).iter_rows(named=True):
        rows[row["iteration"], row["item_id"]].append(row)
    listed = []
    for place, given in rows.items():
        decision, disputed = decided.get(place), len(given) >= votes_per_item
        disputed = disputed and {"positive", "negative"} <= {row["label"] for row in given}
        if disputed or decision is not None:
            code = case_code(secret, policy, *place)
            seqs = [row["seq"] for row in given]
            mark = keyed_digest(secret, "mark", str(sorted(seqs)), str(decision["seq"] if decision else 0))[:16]
            last = max(taken_back.get(place, 0), *seqs)
            standing = None if decision is None else _decision(decision, last)
            opinions = _opinions(given, secret, "\x1f".join((policy, *place)))
            listed.append(Case(code, *place, given[0]["text"], opinions, standing, disputed, mark))
    return sorted(listed, key=lambda case: (case.iteration, case.code))


def case_code(secret: bytes, policy: str, iteration: str, item_id: str) -> str:
    """Return the name by which the desk's pages know an item."""
    return keyed_digest(secret, "adjudication", policy, iteration, item_id)[:16]


def next_open(docket: Sequence[Case], after: str | None = None) -> Case | None:
    """Return the first case that waits for a decision, or the first after a code; from the end it goes on in front."""
    codes = [case.code for case in docket]
    start = codes.index(after) + 1 if after in codes else 0
    return next((case for case in [*docket[start:], *docket] if case.is_open), None)


def neutral_order(secret: bytes, item: str, raters: Sequence[str]) -> list[str]:
    """Return raters in an order that is random for each item, and the same each time."""
    return sorted(raters, key=lambda rater: keyed_digest(secret, "order", item, rater))


def neutral_name(place: int) -> str:
    """Return Rater A, Rater B, ... Rater Z, Rater AA, ..."""
    letters = ""
    while place >= 0:
        place, letter = divmod(place, 26)
        letters = chr(ord("A") + letter) + letters
        place -= 1
    return f"Rater {letters}"


def _opinions(given: Sequence[Mapping[str, Any]], secret: bytes, item: str) -> list[Opinion]:
    by_rater = {row["rater"]: row for row in given}
    rows = [by_rater[rater] for rater in neutral_order(secret, item, sorted(by_rater))]
    return [
        Opinion(neutral_name(place), row["label"], (row["comment"] or "").strip(), row["undecided_reason"] or "")
        for place, row in enumerate(rows)
    ]


def _decision(row: Mapping[str, Any], last: int) -> CaseDecision:
    """Return a decision; ``last`` is the ``seq`` of what was said last about the item."""
    comment = (row["comment"] or "").strip()
    return CaseDecision(row["label"], comment, row["adjudicator"], row["decided_at"], outdated=last > row["seq"])


class Docket:
    """The cases of a desk, read from the ledger once for each of its states and for all pages."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._recent: Recent[LedgerState, list[Case]] = Recent(self._read)

    async def now(self) -> tuple[LedgerState, list[Case]]:
        """Return the cases as they are now, with the state they rest on: whoever has just decided wants the next."""
        state = await run_in_threadpool(ledger_state, self._desk.ledger)
        return state, (await self._recent.of(state, fresh=True)).value

    async def lately(self, state: LedgerState) -> RecentValue[list[Case]]:
        """Return the cases at a state of the ledger, or those of a little before."""
        return await self._recent.of(state)

    def _read(self, state: LedgerState) -> list[Case]:
        ledger, policy = self._desk.ledger, self._desk.policy
        return cases(
            ledger.answers(watermark=state.watermark),
            ledger.adjudications(watermark=state.watermark),
            ledger.withdrawals(watermark=state.watermark),
            votes_per_item=policy.review.votes_per_item,
            secret=self._desk.secret,
            policy=policy.policy.name,
        )
