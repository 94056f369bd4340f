"""The dashboard: how far the labelling is, how well raters agree, and what the loop waits for."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import polars as pl
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from al_assets.agreement.core.figures import Figure
from al_assets.review.desk.adjudication.cases import Docket
from al_assets.review.desk.dashboard.figures import LoopSoFar, RaterFigures, agreement_of, loop_so_far, raters_of
from al_assets.review.desk.dashboard.rounds import (
    RoundStatus,
    hour_chart,
    hourly,
    interval_bar,
    pace_of,
    rounds_of,
    shown_rounds,
)
from al_assets.review.desk.shell.access import Endpoint, Role, needs, person_of
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.pages import page, wants_fragment
from al_assets.review.desk.shell.recent import LedgerState, Recent, ledger_state

LOOP_SECONDS = 10
_Agreement = tuple[dict[str, Figure], dict[str, dict[str, Figure]]]
_Part = Callable[[Request, LedgerState], Awaitable[dict[str, Any]]]


def routes(desk: Desk, docket: Docket) -> list[Route]:
    """Return the dashboard, and the parts of it that an open page fetches again."""
    pages, guard = _DashboardPages(desk, docket), needs(Role.ADJUDICATOR, Role.POLICY_OWNER, Role.ADMIN)
    raters = needs(Role.ADMIN)(pages.part("_raters.html", pages.labels, pages.raters))
    return [
        Route("/dashboard", guard(pages.whole), methods=["GET"]),
        Route("/dashboard/labels", guard(pages.part("_labels.html", pages.labels)), methods=["GET"]),
        Route("/dashboard/agreement", guard(pages.part("_agreement.html", pages.agreement)), methods=["GET"]),
        Route("/dashboard/raters", raters, methods=["GET"]),
        Route("/dashboard/loop", guard(pages.part("_loop.html", pages.loop)), methods=["GET"]),
    ]


class _DashboardPages:
    def __init__(self, desk: Desk, docket: Docket) -> None:
        self._desk, self._docket = desk, docket
        self._rounds: Recent[LedgerState, list[RoundStatus]] = Recent(
            lambda state: rounds_of(desk.ledger, state, desk.policy.review.votes_per_item)
        )
        self._agreement: Recent[LedgerState, _Agreement] = Recent(self._measure)
        self._known: dict[str, tuple[tuple[int, ...], dict[str, Figure]]] = {}
        self._raters: Recent[LedgerState, tuple[list[RaterFigures], str]] = Recent(
            lambda state: raters_of(desk.ledger, desk.policy, state.watermark)
        )
        self._loop: Recent[int, LoopSoFar] = Recent(lambda _moment: loop_so_far(desk.policy.root, desk.loop_waits_for))

    async def whole(self, request: Request) -> Response:
        """Show the dashboard; each rater's figures to admins only."""
        raters = [self.raters] if person_of(request).may(Role.ADMIN) else []
        return await self._page(request, "dashboard.html", self.labels, self.agreement, self.loop, *raters)

    def part(self, template: str, *parts: _Part) -> Endpoint:
        """Return the endpoint of a part of the page, made from what each of ``parts`` gives."""

        async def show(request: Request) -> Response:
            if not wants_fragment(request):
                return RedirectResponse("/dashboard", 303)
            return await self._page(request, template, *parts)

        return show

    async def labels(self, request: Request, state: LedgerState) -> dict[str, Any]:
        """Return how far the labelling is."""
        rounds = await self._rounds.of(state)
        return {
            "rounds": shown_rounds(rounds.value, state.chosen(request)),
            "now": datetime.now(UTC),
            "deadline_hours": self._desk.policy.review.deadline_hours,
            "labels_again": rounds.ask_again,
        }

    async def agreement(self, request: Request, state: LedgerState) -> dict[str, Any]:
        """Return how well raters agree, and how much is left to adjudicate."""
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

    async def raters(self, _: Request, state: LedgerState) -> dict[str, Any]:
        """Return each rater's figures."""
        quality = await self._raters.of(state)
        raters, problem = quality.value
        return {"raters": raters, "problem": problem, "raters_again": quality.ask_again}

    async def loop(self, _request: Request, _state: LedgerState) -> dict[str, Any]:
        """Return what the loop waits for and what came out so far."""
        # The loop's own state is not in the ledger, so its age counts.
        loop = await self._loop.of(int(time.monotonic() // LOOP_SECONDS))
        return {"loop_so_far": loop.value}

    async def _page(self, request: Request, template: str, *parts: _Part) -> Response:
        state = await run_in_threadpool(ledger_state, self._desk.ledger)
        context: dict[str, Any] = {}
        for part in parts:
            context |= await part(request, state)
        return page(
            request,
            f"dashboard/{template}",
            mark=state.mark(self._desk.secret),
            policy=self._desk.policy.policy,
            iterations=state.iterations,
            chosen=state.chosen(request),
            hourly=hourly,
            pace_of=pace_of,
            hour_chart=hour_chart,
            interval_bar=interval_bar,
            **context,
        )

    def _measure(self, state: LedgerState) -> _Agreement:
        votes = self._desk.ledger.expert_labels(watermark=state.watermark)
        by_iteration = {each: self._measured(votes.filter(iteration=each), each) for each in state.iterations}
        if len(by_iteration) == 1:
            return by_iteration[state.iterations[0]], by_iteration
        return self._measured(votes, ""), by_iteration

    def _measured(self, votes: pl.DataFrame, name: str) -> dict[str, Figure]:
        """Return the figures of some votes, those of before if the votes are the same: most iterations are finished."""
        now = tuple(votes["seq"])
        if name not in self._known or self._known[name][0] != now:
            self._known[name] = (now, agreement_of(votes, self._desk.policy))
        return self._known[name][1]
