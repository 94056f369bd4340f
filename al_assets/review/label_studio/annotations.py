"""What an annotation says: Label Studio's JSON into a vote, or why it is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from al_assets.config import Policy
from al_assets.review.files.tool_records import ANSWER, COMMENT, REASON
from al_assets.review.intake import IntakeRow, past_moment
from al_assets.review.label_studio.project import CODE, Asked
from al_assets.storage.ledger import LABELS, Vote

SOURCE = "label-studio"


@dataclass(frozen=True)
class Reader:
    """Turns the annotations of a project into votes.

    :param raters: rater names by e-mail address.
    :param emails: e-mail addresses by the numbers of Label Studio's users.
    :param questions: iteration and item by question code.
    :param asked: under which state of the policy the project asks; None takes the present one.
    """

    project: int
    policy: Policy
    raters: Mapping[str, str]
    emails: Mapping[int, str]
    questions: Mapping[str, tuple[str, str]]
    asked: Asked | None

    def vote(self, task: Mapping[str, Any], annotation: Mapping[str, Any]) -> Vote:
        """Return the vote an annotation holds.

        :raises ValueError: it holds none; the message names what is wrong and the way out.
        """
        iteration, item_id = self._question(task)
        rater = self._rater(annotation)
        given = _given(annotation)
        label = _single(given, ANSWER)
        if label not in LABELS:
            raise ValueError(f"{ANSWER}: {label!r} is unknown; expected one of {', '.join(LABELS)}: submit it again")
        moment = past_moment(
            # Versions of the SDK differ in whether they read it.
            datetime.fromisoformat(str(annotation["updated_at"])),
            f"updated_at: {annotation['updated_at']} lies in the future; set the clock of Label Studio's host",
        )
        version, fingerprint = self._policy_state()
        return Vote(
            item_id=item_id,
            iteration=iteration,
            rater=rater,
            label=label,
            policy_version=version,
            policy_fingerprint=fingerprint,
            comment="\n".join(given.get(COMMENT, ())).strip() or None,
            undecided_reason=_single(given, REASON) if label == "undecided" and given.get(REASON) else None,
            voted_at=moment,
            # Made from a prediction, or from somebody's annotation.
            blind=not (annotation.get("parent_prediction") or annotation.get("parent_annotation")),
            source=f"{SOURCE}:{self.project}",
            vote_key=f"{SOURCE}:{self.project}:{annotation['id']}:{moment.isoformat()}",
        )

    def row(self, task: Mapping[str, Any], annotation: Mapping[str, Any]) -> IntakeRow:
        """Return an annotation as a row, whose number is the annotation's, for what a report shows of it."""
        given = {name: ", ".join(values) for name, values in _given(annotation).items()}
        code = str((task["data"] or {}).get(CODE, ""))
        return IntakeRow(
            int(annotation["id"]), {"code": code, "user": self._user(annotation.get("completed_by")), **given}
        )

    def _question(self, task: Mapping[str, Any]) -> tuple[str, str]:
        code = (task["data"] or {}).get(CODE)
        question = self.questions.get(str(code))
        if question is None:
            raise ValueError(
                f"{CODE}: {code!r} of task {task['id']} is no question of policy {self.policy.policy.name!r}; only "
                "tasks that 'al label-studio push' added count"
            )
        return question

    def _rater(self, annotation: Mapping[str, Any]) -> str:
        author = annotation.get("completed_by")
        user = self._user(author)
        changed_by = annotation.get("updated_by")
        if changed_by is not None and changed_by != author:
            raise ValueError(
                f"updated_by: the annotation of {user} was last changed by {self._user(changed_by)}, so it is nobody's "
                f"own answer; have {user} submit it again"
            )
        rater = self.raters.get(user)
        if rater is None:
            raise ValueError(
                f"completed_by: {user} is no rater here; add a line to label_studio.raters, such as '{user}: "
                f"{self.policy.review.raters[0]}', or delete the annotation"
            )
        return rater

    def _user(self, number: Any) -> str:
        return self.emails.get(number) or f"user {number}"

    def _policy_state(self) -> tuple[str, str | None]:
        text = self.policy.policy
        asked = self.asked or Asked(text.name, text.version, text.text_fingerprint())
        same = (asked.version, asked.text_fingerprint) == (text.version, text.text_fingerprint())
        return asked.version, text.fingerprint() if same else None


def annotation_of(vote_key: str, project: int) -> int | None:
    """Return the number of the annotation that a vote was pulled from; None if it came from elsewhere."""
    parts = vote_key.split(":", 3)
    return int(parts[2]) if parts[:2] == [SOURCE, str(project)] and parts[2].isdigit() else None


def _given(annotation: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what was chosen or written, by the name of the control."""
    given: dict[str, list[str]] = {}
    for region in annotation.get("result") or ():
        value = region.get("value") or {}
        answers = value.get("choices") or value.get("text") or []
        texts = [answers] if isinstance(answers, str) else map(str, answers)
        given.setdefault(str(region.get("from_name")), []).extend(texts)
    return given


def _single(given: Mapping[str, list[str]], name: str) -> str:
    chosen = given.get(name, [])
    if len(chosen) != 1:
        raise ValueError(f"{name}: {', '.join(chosen) or 'nothing'} was chosen, expected one; submit it again")
    return chosen[0]
