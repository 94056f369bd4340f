"""The pages on which experts answer: one question at a time, its answer durable before the page says so."""

import logging
from datetime import UTC, datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from al_assets.review.desk.rating.room import Room
from al_assets.review.desk.rating.round import QuestionId
from al_assets.review.desk.rating.screens import AnswerForm, Said, Screens, act_form, answer_form
from al_assets.review.desk.rating.writer import VoteWriter
from al_assets.review.desk.shell.access import Role, needs, person_of
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.pages import wants_fragment
from al_assets.storage.ledger import LedgerError, Vote, VoteError
from al_assets.storage.ledger.votes import WITHDRAWN

PATIENCE_SECONDS = 10.0
_LOG = logging.getLogger(__name__)


def routes(desk: Desk) -> list[Route]:
    """Return the raters' pages."""
    pages = _RatingPages(desk)
    desk.on_sign_out.append(pages.leave)
    rater = needs(Role.RATER)
    code = "/questions/{code:str}"
    return [
        Route("/questions", rater(pages.show), name="questions"),
        Route("/questions/wait", rater(pages.wait)),
        Route(f"{code}/answer", rater(pages.answer), methods=["POST"]),
        Route(f"{code}/withdraw", rater(pages.withdraw), methods=["POST"]),
        Route(f"{code}/skip", rater(pages.skip), methods=["POST"]),
    ]


class _RatingPages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._room = Room(desk)
        self._writer = VoteWriter(desk.ledger, then=self._room.catch_up)
        self._screens = Screens(desk.policy.policy, self._room.code)

    def show(self, request: Request) -> Response:
        """Show the question that lies before the rater."""
        self._room.catch_up()
        said = Said.of(request.query_params.get("after"))
        return self._now(request, said, request.query_params.get("seen"))

    def wait(self, request: Request) -> Response:
        """Answer 204 as long as nothing waits for the rater; looking claims nothing."""
        self._room.catch_up()
        view = self._room.view(person_of(request).name, claim=False)
        return Response(status_code=204) if view.question is None else self._screens.news(request)

    def answer(self, request: Request) -> Response:
        """Record an answer and go on to the next question."""
        rater, question = self._asked(request)
        form = answer_form(request)
        if form.seen != self._screens.seen:
            return self._again(request, question, form, Said.CHANGED)
        if form.problem:
            return self._again(request, question, form, Said.CORRECT)
        vote_key = self._room.vote_key(rater, question, form.turn)
        failed = self._write(self._vote(rater, question, vote_key, form.label, form.comment, form.reason))
        if isinstance(failed, LedgerError):
            return self._again(request, question, form, Said.NOT_SAVED)
        said = self._outcome(rater, question, vote_key, form, refused=failed is not None)
        if said is Said.REFUSED:
            return self._again(request, question, form, said)
        return self._screens.with_cookie(self._next(request, said, form.seen))

    def withdraw(self, request: Request) -> Response:
        """Take the rater's last answer back and show its question again."""
        rater, question = self._asked(request)
        turn, seen = act_form(request)
        vote_key = self._room.vote_key(rater, question, turn)
        failed: ValueError | None = self._caught_up()
        if failed is None:
            with self._room.board() as board:
                # Sent twice it was done before, and says so again.
                done = board.standing.on_record(rater, question, vote_key)
                may = done or board.take_back(rater, question, turn, self._room.now())
            if not may:
                return self._next(request, Said.NOTHING, seen)
            failed = self._write(self._vote(rater, question, vote_key, WITHDRAWN, "", None))
        if isinstance(failed, LedgerError):
            return self._now(request, Said.NOT_UNDONE, seen, status=503)
        with self._room.board() as board:
            undone = failed is None and board.standing.stands(rater, question, vote_key)
            if undone:
                board.take_up(rater, question, self._room.now())
        return self._next(request, Said.UNDONE if undone else Said.NOTHING, seen)

    def skip(self, request: Request) -> Response:
        """Put the question behind all others."""
        rater, question = self._asked(request)
        _, seen = act_form(request)
        self._room.catch_up()
        with self._room.board() as board:
            board.skip(rater, question)
        return self._next(request, Said.SKIPPED, seen)

    def leave(self, rater: str) -> None:
        """Free what lies before a rater who signs out."""
        with self._room.board() as board:
            board.give_up(rater)

    def _asked(self, request: Request) -> tuple[str, QuestionId]:
        rater = person_of(request).name
        question = self._room.question(rater, request.path_params["code"])
        if question is None:
            raise HTTPException(404)
        return rater, question

    def _outcome(self, rater: str, question: QuestionId, vote_key: str, form: AnswerForm, *, refused: bool) -> Said:
        """Return what became of an answer that was sent to the ledger, by what is on record now."""
        with self._room.board() as board:
            row = board.standing.on_record(rater, question, vote_key)
            stands = board.standing.stands(rater, question, vote_key)
        if row is None:
            # The ledger keeps no answer that repeats the one that counts.
            return Said.REFUSED if refused else Said.SAVED
        if not stands:
            return Said.OLD_PAGE
        given = (form.label, form.reason, form.comment or None)
        is_first = (row.label, row.undecided_reason, row.comment or None) == given
        return Said.SAVED if is_first else Said.FIRST_KEPT

    def _vote(
        self, rater: str, question: QuestionId, vote_key: str, label: str, comment: str, reason: str | None
    ) -> Vote:
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
            vote_key=vote_key,
        )

    def _write(self, vote: Vote) -> ValueError | None:
        """Return once the vote is durable and the room knows of it, or why it is not."""
        outcome = self._writer.submit(vote)
        try:
            outcome.result(PATIENCE_SECONDS)
        except VoteError as error:
            _LOG.warning("not recorded: %s", error)
            # It may have been refused because of what came in meanwhile.
            return self._caught_up() or error
        except LedgerError as error:
            _LOG.warning("not recorded, or not seen afterwards: %s", error)
            return error
        except TimeoutError:
            # What is not being written yet is not written any more.
            outcome.cancel()
            _LOG.warning("not recorded within %.0f s", PATIENCE_SECONDS)
            return LedgerError("ledger: still being written")
        return None

    def _caught_up(self) -> LedgerError | None:
        """Let the room know what is on record, or say why it cannot be known."""
        try:
            self._room.catch_up()
        except LedgerError as error:
            _LOG.warning("not recorded, and what is on record cannot be seen: %s", error)
            return error
        return None

    def _now(self, request: Request, said: Said | None, seen: str | None, status: int = 200) -> Response:
        view = self._room.view(person_of(request).name)
        return self._screens.of(request, view, said, seen=seen, status=status)

    def _next(self, request: Request, said: Said, seen: str) -> Response:
        if wants_fragment(request):
            return self._now(request, said, seen)
        return RedirectResponse(f"/questions?after={said.code}", status_code=303)

    def _again(self, request: Request, question: QuestionId, form: AnswerForm, said: Said) -> Response:
        """Show the question again with what the rater had typed; this needs no ledger."""
        with self._room.board() as board:
            view = board.view(person_of(request).name, self._room.now(), question=question)
        return self._screens.of(request, view, said, seen=form.seen, draft=form, status=said.status)
