"""The dashboard: how far the labelling is, how well raters agree, and what the loop waits for."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import polars as pl
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from al_assets.review.desk.adjudication.cases import Docket
from al_assets.review.desk.dashboard.charts import hour_chart, interval_bar
from al_assets.review.desk.dashboard.figures import JudgedRaters, Measured, agreement_of, raters_of
from al_assets.review.desk.dashboard.loop_so_far import LoopSoFar, loop_so_far
from al_assets.review.desk.dashboard.rounds import RoundStatus, rounds_of, shown_rounds
from al_assets.review.desk.shell.access import Role, needs, person_of
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.pages import page, wants_fragment
from al_assets.review.desk.shell.recent import LedgerState, Recent, ledger_state

LOOP_SECONDS = 10
_Agreement = tuple[dict[str, Measured], dict[str, dict[str, Measured]]]


def routes(desk: Desk, docket: Docket, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> list[Route]:
    """Return the dashboard, and the parts of it that an open page fetches again.

    :param now: tells the time.
    """
    pages, guard = _DashboardPages(desk, docket, now), needs(Role.ADJUDICATOR, Role.POLICY_OWNER, Role.ADMIN)
    return [
        Route("/dashboard", guard(pages.whole), methods=["GET"]),
        Route("/dashboard/labels", guard(pages.labels), methods=["GET"]),
        Route("/dashboard/agreement", guard(pages.agreement), methods=["GET"]),
        Route("/dashboard/raters", needs(Role.ADMIN)(pages.raters), methods=["GET"]),
        Route("/dashboard/loop", guard(pages.loop), methods=["GET"]),
    ]


class _DashboardPages:
    def __init__(self, desk: Desk, docket: Docket, now: Callable[[], datetime]) -> None:
        self._desk, self._docket, self._now = desk, docket, now
        self._rounds: Recent[LedgerState, tuple[RoundStatus, ...]] = Recent(self._read_rounds)
        self._agreement: Recent[LedgerState, _Agreement] = Recent(self._measure)
        self._known: dict[str, tuple[tuple[int, ...], dict[str, Measured]]] = {}
        self._raters: Recent[LedgerState, JudgedRaters] = Recent(self._judge)
        self._loop: Recent[int, LoopSoFar] = Recent(self._read_loop)

    async def whole(self, request: Request) -> Response:
        """Show the dashboard."""
        state = await self._state()
        context = {
            **await self._labels_context(request, state),
            **await self._agreement_context(request, state),
            **await self._loop_context(),
        }
        if person_of(request).may(Role.ADMIN):
            context |= await self._raters_context(state)
        return self._page(request, "dashboard.html", state, context)

    async def labels(self, request: Request) -> Response:
        """Show how far the labelling is."""
        state = await self._state()
        return self._part(request, "_labels.html", state, await self._labels_context(request, state))

    async def agreement(self, request: Request) -> Response:
        """Show how well raters agree."""
        state = await self._state()
        return self._part(request, "_agreement.html", state, await self._agreement_context(request, state))

    async def raters(self, request: Request) -> Response:
        """Show each rater's figures; for admins."""
        state = await self._state()
        context = {**await self._labels_context(request, state), **await self._raters_context(state)}
        return self._part(request, "_raters.html", state, context)

    async def loop(self, request: Request) -> Response:
        """Show what the loop waits for and what came out so far."""
        return self._part(request, "_loop.html", await self._state(), await self._loop_context())

    async def _state(self) -> LedgerState:
        return await run_in_threadpool(ledger_state, self._desk.ledger)

    async def _labels_context(self, request: Request, state: LedgerState) -> dict[str, Any]:
        rounds = await self._rounds.of(state)
        return {
            "rounds": shown_rounds(rounds.value, state.chosen(request)),
            "now": self._now(),
            "deadline_hours": self._desk.policy.review.deadline_hours,
            "labels_again": rounds.ask_again,
        }

    async def _agreement_context(self, request: Request, state: LedgerState) -> dict[str, Any]:
        agreement = await self._agreement.of(state)
        in_all, by_iteration = agreement.value
        newest = state.chosen(request) or (state.iterations[-1] if state.iterations else "")
        cases = await self._docket.lately(state)
        again = [each for each in (agreement.ask_again, cases.ask_again) if each is not None]
        return {
            "agreement": in_all,
            "agreement_newest": by_iteration.get(newest, {}),
            "newest": newest,
            "disputed_left": sum(case.is_open for case in cases.value),
            "decided": sum(case.decision is not None for case in cases.value),
            "agreement_again": max(again, default=None),
            "least_kappa": self._desk.policy.stopping.min_expert_kappa,
        }

    async def _raters_context(self, state: LedgerState) -> dict[str, Any]:
        quality = await self._raters.of(state)
        return {"quality": quality.value, "raters_again": quality.ask_again}

    async def _loop_context(self) -> dict[str, Any]:
        # The loop's own state is not in the ledger, so its age counts.
        loop = await self._loop.of(int(time.monotonic() // LOOP_SECONDS))
        return {"loop_so_far": loop.value}

    def _page(self, request: Request, template: str, state: LedgerState, context: dict[str, Any]) -> Response:
        return page(
            request,
            f"dashboard/{template}",
            mark=state.mark(self._desk.secret),
            policy=self._desk.policy.policy,
            iterations=state.iterations,
            chosen=state.chosen(request),
            hour_chart=hour_chart,
            interval_bar=interval_bar,
            **context,
        )

    def _part(self, request: Request, template: str, state: LedgerState, context: dict[str, Any]) -> Response:
        if not wants_fragment(request):
            return RedirectResponse("/dashboard", 303)
        return self._page(request, template, state, context)

    def _read_rounds(self, state: LedgerState) -> tuple[RoundStatus, ...]:
        return rounds_of(self._desk.ledger, state, self._desk.policy.review.votes_per_item)

    def _measure(self, state: LedgerState) -> _Agreement:
        votes = self._desk.ledger.expert_labels(watermark=state.watermark)
        by_iteration = {each: self._measured(votes.filter(iteration=each), each) for each in state.iterations}
        if len(by_iteration) == 1:
            return by_iteration[state.iterations[0]], by_iteration
        return self._measured(votes, ""), by_iteration

    def _measured(self, votes: pl.DataFrame, name: str) -> dict[str, Measured]:
        """Return the figures of some votes, those of before if the votes are the same: most iterations are finished."""
        now = tuple(votes["seq"])
        if name not in self._known or self._known[name][0] != now:
            self._known[name] = (now, agreement_of(votes, self._desk.policy))
        return self._known[name][1]

    def _judge(self, state: LedgerState) -> JudgedRaters:
        return raters_of(self._desk.ledger, self._desk.policy, state.watermark)

    def _read_loop(self, _moment: int) -> LoopSoFar:
        return loop_so_far(self._desk.policy.root, self._desk.loop_waits_for)
