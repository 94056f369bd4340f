"""What a rater's forms hold, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from al_assets.storage.ledger.votes import LABELS, MAX_COMMENT, is_storable
from al_assets.tables import UNDECIDED_REASONS

_UNDECIDED = "undecided:"
_MOST_TURNS = 1_000_000


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
