"""What a policy looks like as a Label Studio project: question, choices, instructions, and no hint of an answer."""

import html
import re
from typing import Any, NamedTuple
from xml.etree import ElementTree

from al_assets.config import Policy, PolicyText
from al_assets.review.files.tool_records import ANSWER, COMMENT, REASON
from al_assets.review.label_studio.client import LabelStudioError, Server
from al_assets.storage.ledger import LABELS
from al_assets.tables import UNDECIDED_REASONS

TEXT, CODE = "text", "code"
_MARK = re.compile(r"Questions of policy '(?P<policy>[^']*)', version '(?P<version>.*)', text (?P<text>[0-9a-f]{12})\.")


class Asked(NamedTuple):
    """Under which state of the policy a project asks."""

    policy: str
    version: str
    text_fingerprint: str


def labelling_config(policy: PolicyText) -> str:
    """Return the labelling page: the text, the three answers, why one cannot decide, and a remark.

    Answers are stored under the ledger's names for them, so the policy may call them something else later.
    """
    view = ElementTree.Element("View")
    _tag(view, "Header", value=_literal(policy.question))
    # As text, even where an item is nothing but a link.
    _tag(view, "Text", name=TEXT, value=f"${TEXT}", valueType="text")
    answers = _tag(view, "Choices", name=ANSWER, toName=TEXT, choice="single-radio", required="true")
    for label in LABELS:
        _tag(answers, "Choice", value=_literal(getattr(policy.labels, label)), alias=label)
    reasons = _tag(
        view, "Choices", name=REASON, toName=TEXT, choice="single-radio", visibleWhen="choice-selected",
        whenTagName=ANSWER, whenChoiceValue="undecided",
    )  # fmt: skip
    for reason in UNDECIDED_REASONS:
        _tag(reasons, "Choice", value=reason)
    _tag(view, "TextArea", name=COMMENT, toName=TEXT, rows="2", maxSubmissions="1", placeholder="Comment, if you like")
    return ElementTree.tostring(view, encoding="unicode")


def instructions(policy: PolicyText) -> str:
    """Return the guideline and the examples as HTML; what they contain is shown, never run."""
    parts = [f"<h3>{_html(policy.question)}</h3>", f"<p>{_html(policy.guideline)}</p>"]
    if policy.examples:
        examples = (
            f"<li>{_html(example.text)} <b>{_html(getattr(policy.labels, example.label))}</b>"
            f"{_html(f': {example.why}') if example.why else ''}</li>"
            for example in policy.examples
        )
        parts.append(f"<ul>{''.join(examples)}</ul>")
    return "".join(parts)


def project_fields(policy: Policy, title: str) -> dict[str, Any]:
    """Return the project's settings: random order, no predictions, as many annotations a task as votes an item."""
    text = policy.policy
    return {
        "title": title,
        "description": (
            f"Questions of policy '{text.name}', version '{text.version}', text {text.text_fingerprint()}. Kept by "
            "'al label-studio push': change the policy file, not this project."
        ),
        "label_config": labelling_config(text),
        "expert_instruction": instructions(text),
        "show_instruction": True,
        "maximum_annotations": policy.review.votes_per_item,
        "overlap_cohort_percentage": 100,
        "sampling": "Uniform sampling",
        "show_skip_button": True,
        "skip_queue": "REQUEUE_FOR_ME",
        "enable_empty_annotation": False,
        "show_annotation_history": False,
        "show_collab_predictions": False,
        "reveal_preannotations_interactively": False,
        "evaluate_predictions_automatically": False,
    }


def asked_under(project: Any) -> Asked | None:
    """Return the state of the policy that was pushed last; None where push did not make the project."""
    mark = _MARK.match(project.description or "")
    return Asked(mark["policy"], mark["version"], mark["text"]) if mark else None


def find_project(server: Server, policy: Policy) -> Any | None:
    """Return the policy's project, None if it has not been made yet.

    :raises LabelStudioError: the project named is gone, or one with the title is another's.
    """
    settings = server.settings
    if settings.project is not None:
        return server.project(settings.project)
    title = settings.title_for(policy)
    titled = server.projects_titled(title)
    ours = [project for project in titled if (mark := asked_under(project)) and mark.policy == policy.policy.name]
    if len(ours) > 1:
        numbers = ", ".join(str(project.id) for project in ours)
        raise LabelStudioError(f"label_studio.project: projects {numbers} are both titled {title!r}; say which")
    if titled and not ours:
        raise LabelStudioError(
            f"label_studio.title: project {titled[0].id} is titled {title!r} already and is not this policy's; name "
            "another title, or that project in label_studio.project"
        )
    # As a listed project may lack settings.
    return server.project(ours[0].id) if ours else None


def _tag(parent: ElementTree.Element, tag: str, /, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, attributes)


def _literal(text: str) -> str:
    """Return text in which Label Studio finds no name of a task's field: it would put its value there."""
    return text.replace("$", "$\u2060")


def _html(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")
