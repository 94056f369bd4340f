"""What a rater sees, as responses (the whole page, or what htmx puts in), and what their forms hold, checked."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from al_assets.config import PolicyText
from al_assets.review.desk.rating.board import View
from al_assets.review.desk.rating.round import QuestionId
from al_assets.review.desk.shell.access import person_of
from al_assets.review.desk.shell.pages import page, wants_fragment
from al_assets.review.desk.shell.texts import guideline, shown
from al_assets.storage.ledger.votes import LABELS, MAX_COMMENT, is_storable
from al_assets.tables import UNDECIDED_REASONS

_READ = "desk_read_"
_YEAR_SECONDS = 365 * 86_400
_UNDECIDED = "undecided:"
_MOST_TURNS = 1_000_000


class Said(Enum):
    """What the page says about what was done last."""

    SAVED = ("saved", "Saved.")
    FIRST_KEPT = ("kept", "You had answered that question before: the first answer stays. Undo takes it back.")
    OLD_PAGE = (
        "old-page",
        "Nothing was changed: that page was older than what you did last with its question, and that stands.",
    )
    UNDONE = ("undone", "Your answer is taken back. Answer again.")
    NOTHING = (
        "nothing",
        "Nothing was changed: that answer was taken back or replaced before, or can be taken back no more.",
    )
    SKIPPED = ("skipped", "Skipped. It comes back at the end.")
    NEWS = ("news", "New questions are here.")
    CHANGED = ("changed", "Not saved: the guideline has changed. Read it, then answer again.", 409)
    CORRECT = ("correct", "Not saved.", 422)
    REFUSED = ("refused", "Not saved: you are not among the raters now. Ask the person who invited you.", 409)
    NOT_SAVED = (
        "not-saved", "Not saved: the desk cannot write now. Your answer is still here; send it again in a moment.", 503
    )  # fmt: skip
    NOT_UNDONE = ("not-undone", "Not taken back: the desk cannot write now. Try again in a moment.", 503)

    def __init__(self, code: str, words: str, status: int = 200) -> None:
        self.code = code
        self.words = words
        self.status = status

    @classmethod
    def of(cls, code: str | None) -> Self | None:
        """Return what a code in an address stands for; None for any other text. Problems go by no address."""
        return next((each for each in cls if each.code == code and each.status == 200), None)


@dataclass(frozen=True)
class AnswerForm:
    """A rater's answer.

    :param turn: how many rows were on record for the question when the page was made.
    :param seen: the state of the guideline beside it.
    """

    label: str
    reason: str | None
    comment: str
    turn: int
    seen: str

    @property
    def value(self) -> str:
        """What the button holds that was pressed."""
        return f"{_UNDECIDED}{self.reason}" if self.reason else self.label

    @property
    def problem(self) -> str | None:
        """What the rater has to correct, in words; None when the answer can be recorded."""
        if len(self.comment) > MAX_COMMENT:
            return f"The comment has {len(self.comment):,} characters; at most {MAX_COMMENT:,} are kept. Shorten it."
        if not is_storable(self.comment):
            return "The comment holds a character that cannot be stored. Type it again without it."
        return None


class Screens:
    """The raters' pages of one policy.

    :param code_of: the code by which a question goes on a rater's page.
    """

    def __init__(self, policy: PolicyText, code_of: Callable[[str, QuestionId], str]) -> None:
        self._code_of = code_of
        self._guideline = guideline(policy)
        self._names = policy.labels
        self.seen = self._guideline.seen
        # Another for each policy: browsers send a cookie to every port of a host.
        self._read = _READ + hashlib.sha256(policy.name.encode()).hexdigest()[:8]

    def of(
        self,
        request: Request,
        view: View,
        said: Said | None,
        *,
        seen: str | None = None,
        draft: AnswerForm | None = None,
        status: int = 200,
    ) -> Response:
        """Return the page of a view, or its stage alone where only that has to change.

        :param seen: the state of the guideline on the rater's screen, where that is known.
        :param draft: an answer that was not recorded, to be sent again.
        """
        changed, rater = self._has_changed(request, seen), person_of(request).name
        context = {
            "view": view,
            "code": None if view.question is None else self._code_of(rater, view.question),
            "last_code": None if view.last is None else self._code_of(rater, view.last[0]),
            "said": said,
            "draft": draft,
            "changed": changed,
            "names": self._names,
            "text": shown(view.text),
        }
        whole = "rating/desk.html" if changed else "rating/stage.html"
        return self._response(request, whole if wants_fragment(request) else "rating/page.html", status, context)

    def news(self, request: Request) -> Response:
        """Return what tells an idle rater that there is something to do."""
        return self._response(request, "rating/news.html", 200, {"said": Said.NEWS})

    def with_cookie(self, response: Response) -> Response:
        """Note in the browser which guideline the rater answered by, so that a later change is pointed out."""
        response.set_cookie(
            self._read, self.seen, max_age=_YEAR_SECONDS, path="/questions", httponly=True, samesite="lax"
        )
        return response

    def _has_changed(self, request: Request, seen: str | None) -> bool:
        if wants_fragment(request):
            return seen != self.seen
        return request.cookies.get(self._read, self.seen) != self.seen or seen not in (None, self.seen)

    def _response(self, request: Request, template: str, status: int, context: dict[str, Any]) -> Response:
        response = page(request, template, status=status, guideline=self._guideline, **context)
        if wants_fragment(request):
            # The script swaps in what carries this, whatever its status.
            response.headers["X-Desk"] = "stage"
            if template == "rating/desk.html":
                response.headers["HX-Retarget"] = "#desk"
                response.headers["HX-Reswap"] = "outerHTML"
        return response


def answer_form(request: Request) -> AnswerForm:
    """Read an answer.

    :raises HTTPException: 400, the form is none of ours.
    """
    form = request.state.form
    label, reason = _answer(_field(form, "answer"))
    # Browsers send line ends as CR LF.
    comment = _field(form, "comment").replace("\r\n", "\n").strip()
    return AnswerForm(label, reason, comment, _turn(form), _field(form, "seen"))


def act_form(request: Request) -> tuple[int, str]:
    """Read the form of undo or skip: turn and the state of the guideline.

    :raises HTTPException: 400, the form is none of ours.
    """
    return _turn(request.state.form), _field(request.state.form, "seen")


def _answer(value: str) -> tuple[str, str | None]:
    reason = value.removeprefix(_UNDECIDED)
    if reason != value and reason in UNDECIDED_REASONS:
        return "undecided", reason
    if value in LABELS and value != "undecided":
        return value, None
    raise HTTPException(400, "answer: choose one of the buttons; can't decide needs a reason")


def _turn(form: Mapping[str, Any]) -> int:
    value = _field(form, "turn")
    if value.isascii() and value.isdigit() and len(value) < 8 and int(value) < _MOST_TURNS:
        return int(value)
    raise HTTPException(400, "turn: missing or not a number; open the questions again")


def _field(form: Mapping[str, Any], name: str) -> str:
    value = form.get(name, "")
    if isinstance(value, str):
        return value
    raise HTTPException(400, f"{name}: a file; send text")
