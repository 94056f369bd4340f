"""Adjudication: one person decides what an item is that raters disagree about, seeing their votes but no names."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from al_assets.curation.split import GUIDELINE_GAP
from al_assets.review.desk.adjudication.cases import Case, Docket, case_code, next_open
from al_assets.review.desk.shell.access import Role, needs, person_of
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.pages import page
from al_assets.review.desk.shell.recent import LedgerState
from al_assets.review.desk.shell.texts import guideline
from al_assets.storage.ledger import ADJUDICATED_LABELS, Adjudication, AdjudicationError, OvertakenError

SHORTCUTS = {"positive": "Y 1", "negative": "N 2", GUIDELINE_GAP: "G 3"}
OVERTAKEN = (
    "Somebody answered or decided this item while you read it, so your decision was not kept. This is what stands now: "
    "decide again."
)
AGREED = (
    "The raters no longer disagree about the item that you read, so nothing is left to decide about it, and your "
    "decision was not kept."
)


def routes(desk: Desk, docket: Docket) -> list[Route]:
    """Return the adjudicator's pages."""
    pages, guard = _AdjudicationPages(desk, docket), needs(Role.ADJUDICATOR)
    return [
        Route("/adjudication", guard(pages.next), methods=["GET"]),
        Route("/adjudication/decided", guard(pages.decided), methods=["GET"]),
        Route("/adjudication/{code}", guard(pages.one), methods=["GET"]),
        Route("/adjudication/{code}", guard(pages.decide), methods=["POST"]),
    ]


class _AdjudicationPages:
    def __init__(self, desk: Desk, docket: Docket) -> None:
        self._desk, self._docket = desk, docket

    async def next(self, request: Request) -> Response:
        state, cases = await self._docket.now()
        return self._next(request, state, cases)

    async def one(self, request: Request) -> Response:
        state, cases = await self._docket.now()
        return self._case(request, state, cases, _named(cases, request))

    async def decided(self, request: Request) -> Response:
        """List what was decided, the latest decision first."""
        state, cases = await self._docket.now()
        chosen = [case for case in _of_iteration(cases, state.chosen(request)) if case.decision]
        # A list comprehension tells no type checker that there is a decision.
        chosen.sort(key=lambda case: case.decision.decided_at if case.decision else datetime.min, reverse=True)
        return self._page(request, "decided.html", state, cases, decided=chosen)

    async def decide(self, request: Request) -> Response:
        """Keep a decision and go on to the next item."""
        state, cases = await self._docket.now()
        response = await run_in_threadpool(self._decide, request, state, cases)
        # The ledger moved on between the look at it and the decision; looked at again, the item says so.
        return response or await self.decide(request)

    def _decide(self, request: Request, state: LedgerState, cases: list[Case]) -> Response | None:
        """Return the answer to a decision; None if somebody else wrote to the ledger meanwhile."""
        form, by = request.state.form, person_of(request).name
        label, comment, mark, form_id = (str(form.get(name) or "") for name in ("label", "comment", "mark", "form_id"))
        if self._has_settled(request, cases):
            return self._next(request, state, cases, status=409, problem=AGREED)
        case, comment = _named(cases, request), comment.replace("\r\n", "\n").strip()
        after = {"after": case.code} | ({"iteration": chosen} if (chosen := state.chosen(request)) else {})
        onward = RedirectResponse(f"/adjudication?{urlencode(after)}", 303)
        if _says_so_already(case, label, comment, by):
            return onward
        entered = {"label": label, "comment": comment}
        if mark != case.mark:
            return self._case(request, state, cases, case, status=409, problem=OVERTAKEN, entered=entered)
        try:
            decision = Adjudication(
                iteration=case.iteration,
                item_id=case.item_id,
                label=label,
                adjudicator=by,
                comment=comment or None,
                policy_version=self._desk.policy.policy.version,
                decided_at=datetime.now(UTC),
                key=f"desk:{form_id}" if form_id else "",
            )
            self._desk.ledger.adjudicate(decision, seen=state.watermark)
        except OvertakenError:
            return None
        except AdjudicationError as error:
            return self._case(request, state, cases, case, status=422, problem=str(error), entered=entered)
        before = f", was {case.decision.label} by {case.decision.adjudicator}" if case.decision else ""
        self._desk.people.audit(by, "adjudicate", f"{case.iteration}/{case.item_id}", f"{label}{before}")
        return onward

    def _has_settled(self, request: Request, cases: Sequence[Case]) -> bool:
        """Whether a queued item is neither disputed nor decided any more."""
        code, policy = request.path_params["code"], self._desk.policy.policy.name
        if any(case.code == code for case in cases):
            return False
        queue = self._desk.ledger.queue().select("iteration", "item_id")
        return any(case_code(self._desk.secret, policy, *place) == code for place in queue.iter_rows())

    def _next(self, request: Request, state: LedgerState, cases: list[Case], **said: Any) -> Response:
        case = next_open(_of_iteration(cases, state.chosen(request)), request.query_params.get("after"))
        if case is None:
            return self._page(request, "nothing_left.html", state, cases, **{"problem": "", **said})
        return self._case(request, state, cases, case, **said)

    def _case(self, request: Request, state: LedgerState, cases: list[Case], case: Case, **said: Any) -> Response:
        standing = case.decision and {"label": case.decision.label, "comment": case.decision.comment}
        return self._page(
            request,
            "case.html",
            state,
            cases,
            case=case,
            guideline=guideline(self._desk.policy.policy),
            decisions=[(label, self._name(label), SHORTCUTS[label]) for label in ADJUDICATED_LABELS],
            form_id=secrets.token_urlsafe(16),
            **{"problem": "", "entered": standing or {"label": "", "comment": ""}, **said},
        )

    def _page(self, request: Request, template: str, state: LedgerState, cases: list[Case], **context: Any) -> Response:
        iteration = state.chosen(request)
        chosen = _of_iteration(cases, iteration)
        return page(
            request,
            f"adjudication/{template}",
            mark=state.mark(self._desk.secret),
            iteration=iteration,
            iterations=state.iterations,
            left=sum(case.is_open for case in chosen),
            done=sum(case.decision is not None for case in chosen),
            outdated=sum(case.decision is not None and case.decision.outdated for case in chosen),
            name_of=self._name,
            **context,
        )

    def _name(self, label: str) -> str:
        # A guideline gap is called so everywhere.
        return label if label == GUIDELINE_GAP else str(getattr(self._desk.policy.policy.labels, label))


def _named(cases: Sequence[Case], request: Request) -> Case:
    code = request.path_params["code"]
    case = next((case for case in cases if case.code == code), None)
    if case is None:
        raise HTTPException(404)
    return case


def _of_iteration(cases: Sequence[Case], iteration: str | None) -> list[Case]:
    return [case for case in cases if iteration in (None, case.iteration)]


def _says_so_already(case: Case, label: str, comment: str, name: str) -> bool:
    """Whether a decision is what stands: the button was pressed twice."""
    decision = case.decision
    standing = decision and not decision.outdated and (decision.label, decision.comment, decision.adjudicator)
    return standing == (label, comment, name)
