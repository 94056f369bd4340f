"""The pages on which experts answer: one question at a time, its answer durable before the page says so."""

import asyncio
import logging
from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from al_assets.review.desk.rating.forms import AnswerForm, act_form, answer_form
from al_assets.review.desk.rating.room import Room, View
from al_assets.review.desk.rating.rounds import QuestionId
from al_assets.review.desk.rating.screens import Draft, Said, Screens
from al_assets.review.desk.rating.writer import VoteWriter
from al_assets.review.desk.shell.access import Role, needs, person_of
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.pages import wants_fragment
from al_assets.storage.ledger import LedgerError, Vote, VoteError
from al_assets.storage.ledger.tail import VoteRow
from al_assets.storage.ledger.votes import WITHDRAWN

PATIENCE_SECONDS = 10.0
_LOG = logging.getLogger(__name__)


def routes(desk: Desk) -> list[Route]:
    """Return the raters' pages."""
    room = Room(desk)
    desk.on_sign_out.append(room.leave)
    pages = _Pages(desk, room, VoteWriter(desk.ledger, then=room.catch_up))
    rater = needs(Role.RATER)
    code = "/questions/{code:str}"
    return [
        Route("/questions", rater(pages.show), name="questions"),
        Route("/questions/wait", rater(pages.wait)),
        Route(f"{code}/answer", rater(pages.answer), methods=["POST"]),
        Route(f"{code}/withdraw", rater(pages.withdraw), methods=["POST"]),
        Route(f"{code}/skip", rater(pages.skip), methods=["POST"]),
    ]


class _Pages:
    def __init__(self, desk: Desk, room: Room, writer: VoteWriter) -> None:
        self._desk = desk
        self._room = room
        self._writer = writer
        self._screens = Screens(desk.policy.policy)

    async def show(self, request: Request) -> Response:
        """Show the question that lies before the rater."""
        await run_in_threadpool(self._room.catch_up)
        said = Said.of(request.query_params.get("after"))
        return await self._now(request, said, request.query_params.get("seen"))

    async def wait(self, request: Request) -> Response:
        """Answer 204 as long as nothing waits for the rater; looking claims nothing."""
        await run_in_threadpool(self._room.catch_up)
        view = await self._view(person_of(request).name, claim=False)
        return Response(status_code=204) if view.offer is None else self._screens.news(request)

    async def answer(self, request: Request) -> Response:
        """Record an answer and go on to the next question."""
        rater, question = await self._asked(request)
        form = await answer_form(request)
        if form.seen != self._screens.seen:
            return await self._again(request, question, form, Said.CHANGED)
        if form.problem:
            return await self._again(request, question, form, Said.CORRECT, form.problem)
        key = self._room.key(rater, question, form.turn)
        vote = self._vote(rater, question, key, form.label, form.comment, form.reason)
        failed = await self._write(vote)
        if isinstance(failed, LedgerError):
            return await self._again(request, question, form, Said.NOT_SAVED)
        found = self._room.on_record(rater, question, key)
        if found is None and failed is not None:
            return await self._again(request, question, form, Said.REFUSED)
        said = self._said(rater, question, form, found)
        return self._screens.with_cookie(await self._next(request, said, form.seen))

    async def withdraw(self, request: Request) -> Response:
        """Take the rater's last answer back and show its question again."""
        rater, question = await self._asked(request)
        turn, seen = await act_form(request)
        key = self._room.key(rater, question, turn)
        failed: ValueError | None = await self._caught_up()
        if failed is None:
            # Sent twice it was done before, and says so again.
            if not self._room.on_record(rater, question, key) and not self._room.go_back(rater, question, turn):
                return await self._next(request, Said.NOTHING, seen)
            failed = await self._write(self._vote(rater, question, key, WITHDRAWN, "", None))
        if isinstance(failed, LedgerError):
            return await self._now(request, Said.NOT_UNDONE, seen, status=503)
        undone = failed is None and self._room.stands(rater, question, key)
        if undone:
            self._room.offer(rater, question)
        return await self._next(request, Said.UNDONE if undone else Said.NOTHING, seen)

    async def skip(self, request: Request) -> Response:
        """Put the question behind all others."""
        rater, question = await self._asked(request)
        _, seen = await act_form(request)
        await run_in_threadpool(self._room.catch_up)
        self._room.skip(rater, question)
        return await self._next(request, Said.SKIPPED, seen)

    def _said(self, rater: str, question: QuestionId, form: AnswerForm, found: VoteRow | None) -> Said:
        """Return what is true of an answer of which ``found`` is on record; None if it repeats the one that counts."""
        if found is None:
            return Said.SAVED
        if not self._room.stands(rater, question, found.vote_key):
            return Said.OLD_PAGE
        given = (form.label, form.reason, form.comment or None)
        is_first = (found.label, found.undecided_reason, found.comment or None) == given
        return Said.SAVED if is_first else Said.FIRST_KEPT

    async def _asked(self, request: Request) -> tuple[str, QuestionId]:
        rater = person_of(request).name
        code = request.path_params["code"]
        question = self._room.question(rater, code) or await run_in_threadpool(self._room.look_up, rater, code)
        if question is None:
            raise HTTPException(404)
        return rater, question

    def _vote(self, rater: str, question: QuestionId, key: str, label: str, comment: str, reason: str | None) -> Vote:
        text = self._desk.policy.policy
        return Vote(
            item_id=question.item_id,
            iteration=question.iteration,
            rater=rater,
            label=label,
            policy_version=text.version,
            policy_fingerprint=text.fingerprint(),
            voted_at=datetime.now(UTC),
            comment=comment or None,
            undecided_reason=reason,
            vote_key=key,
        )

    async def _write(self, vote: Vote) -> ValueError | None:
        """Return once the vote is durable and the room knows of it, or why it is not."""
        outcome = self._writer.submit(vote)
        try:
            await asyncio.wait_for(asyncio.wrap_future(outcome), PATIENCE_SECONDS)
        except VoteError as error:
            _LOG.warning("not recorded: %s", error)
            # It may have been refused because of what came in meanwhile.
            return await self._caught_up() or error
        except LedgerError as error:
            _LOG.warning("not recorded, or not seen afterwards: %s", error)
            return error
        except TimeoutError:
            _LOG.warning("not recorded within %.0f s", PATIENCE_SECONDS)
            return LedgerError("ledger: still being written")
        return None

    async def _caught_up(self) -> LedgerError | None:
        """Let the room know what is on record, or say why it cannot be known."""
        try:
            await run_in_threadpool(self._room.catch_up)
        except LedgerError as error:
            _LOG.warning("not recorded, and what is on record cannot be seen: %s", error)
            return error
        return None

    async def _view(self, rater: str, *, claim: bool = True) -> View:
        if not self._room.is_ready_for(rater):
            await run_in_threadpool(self._room.get_ready_for, rater)
        return self._room.view(rater, claim=claim)

    async def _now(self, request: Request, said: Said | None, seen: str | None, status: int = 200) -> Response:
        view = await self._view(person_of(request).name)
        return self._screens.of(request, view, said, seen=seen, status=status)

    async def _next(self, request: Request, said: Said, seen: str) -> Response:
        if wants_fragment(request):
            return await self._now(request, said, seen)
        return RedirectResponse(f"/questions?after={said.code}", status_code=303)

    async def _again(
        self, request: Request, question: QuestionId, form: AnswerForm, said: Said, problem: str = ""
    ) -> Response:
        """Show the question again with what the rater had typed; this needs no ledger."""
        view = self._room.offer(person_of(request).name, question)
        draft = Draft(form.label, form.reason, form.comment, form.turn, problem)
        return self._screens.of(request, view, said, seen=form.seen, draft=draft, status=said.status)
