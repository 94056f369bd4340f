"""The disagreements of a desk, read from the ledger once for all of its pages."""

from starlette.concurrency import run_in_threadpool

from al_assets.review.desk.adjudication.cases import Case, cases
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.recent import Found, Recent
from al_assets.review.desk.shell.state import LedgerState, ledger_state


class Docket:
    """The cases of a desk, read once for each state of the ledger."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._recent: Recent[LedgerState, list[Case]] = Recent(self._read)

    async def now(self) -> tuple[LedgerState, list[Case]]:
        """Return the cases as they are now, with the state they rest on: whoever has just decided wants the next."""
        state = await run_in_threadpool(ledger_state, self._desk.ledger)
        return state, (await self._recent.of(state, fresh=True)).value

    async def lately(self, state: LedgerState) -> Found[list[Case]]:
        """Return the cases at a state of the ledger, or those of a little before."""
        return await self._recent.of(state)

    def _read(self, state: LedgerState) -> list[Case]:
        ledger, policy = self._desk.ledger, self._desk.policy
        return cases(
            ledger.answers(watermark=state.watermark),
            ledger.adjudications(watermark=state.watermark),
            ledger.withdrawals(watermark=state.watermark),
            votes_per_item=policy.review.votes_per_item,
            key=self._desk.key,
            policy=policy.policy.name,
        )
