"""Push: an iteration's questions become tasks of the policy's Label Studio project."""

from dataclasses import dataclass

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from al_assets.config import Policy
from al_assets.review.label_studio.client import (
    LabelStudioError,
    LabelStudioSettings,
    LabelStudioUnavailableError,
    Server,
)
from al_assets.review.label_studio.project import CODE, TEXT, Asked, asked_under, find_project, project_fields
from al_assets.review.label_studio.pull import PullReport, pull_project
from al_assets.review.questions import question_code, questions
from al_assets.storage.ledger import Ledger

SECRET_HEADER = "X-Al-Secret"
"""The request header in which Label Studio's calls to the desk carry the secret."""
WEBHOOK_ACTIONS = ["ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED"]
_BATCH = 250


@dataclass(frozen=True)
class PushReport:
    """What became of a push.

    :param added: questions that became tasks now.
    :param present: questions that were tasks already.
    :param pulled: the votes that were pulled first, because the policy has changed since the last push; otherwise None.
    """

    project: int
    url: str
    created: bool
    added: int
    present: int
    webhook_url: str | None = None
    pulled: PullReport | None = None

    def __str__(self) -> str:
        """Return the report as one line."""
        made = "made" if self.created else "up to date"
        hook = f", calls {self.webhook_url}" if self.webhook_url else ""
        return f"{self.url}: {made}, {self.added} questions added, {self.present} there already{hook}"


def push(
    ledger: Ledger, policy: Policy, settings: LabelStudioSettings, iteration: str, webhook_url: str | None = None
) -> PushReport:
    """Bring the project up to date with the policy and add the iteration's questions that it lacks.

    A task is blind: the text and the question's code, nothing else. Questions are sent in a random order, and Label
    Studio hands them out in another. If the policy's text or version has changed since the last push, what was answered
    under the old one is pulled first, so that it is recorded as such.

    :param webhook_url: where the desk takes Label Studio's calls; registered with the project.
    :raises ValueError: the iteration has no published queue.
    :raises LabelStudioError: the server cannot be reached or refuses.
    """
    asked = questions(ledger, policy, iteration)
    codes = [question_code(ledger.policy_name, iteration, item_id) for item_id in asked["item_id"]]
    wanted = dict(zip(codes, asked["text"], strict=True))
    secret = settings.webhook_secret
    if webhook_url and not secret:
        raise LabelStudioError(
            "label_studio.webhook_secret: missing, and without one anybody could call the desk; make one with: "
            "openssl rand -hex 16"
        )
    with Server(settings) as server:
        project = find_project(server, policy)
        text, before = policy.policy, asked_under(project) if project else None
        changed = before not in (None, Asked(text.name, text.version, text.text_fingerprint()))
        pulled = pull_project(server, project, ledger, policy) if changed else None
        fields = project_fields(policy, project.title if project else settings.title_for(policy))
        if project:
            server.update_project(project.id, fields)
        number = project.id if project else server.create_project(fields)
        present = len(wanted.keys() & _codes(server, number))
        _add_missing(server, number, wanted)
        if webhook_url and secret:
            headers = {SECRET_HEADER: secret.get_secret_value()}
            server.register_webhook(number, webhook_url, WEBHOOK_ACTIONS, headers)
    url = f"{settings.url}/projects/{number}"
    return PushReport(number, url, project is None, len(wanted) - present, present, webhook_url, pulled)


def _add_missing(server: Server, project: int, wanted: dict[str, str]) -> None:
    """Add what the project lacks; after an interruption look again what arrived, so that nothing is added twice."""

    def add() -> None:
        present = _codes(server, project)
        missing = [{TEXT: text, CODE: code} for code, text in wanted.items() if code not in present]
        for start in range(0, len(missing), _BATCH):
            server.add_tasks(project, missing[start : start + _BATCH])

    tries = Retrying(
        stop=stop_after_attempt(server.settings.attempts),
        wait=wait_random_exponential(multiplier=1, max=10),
        retry=retry_if_exception_type(LabelStudioUnavailableError),
        reraise=True,
    )
    tries(add)


def _codes(server: Server, project: int) -> set[str]:
    return {str((task["data"] or {}).get(CODE)) for task in server.tasks(project, annotations=False)}
