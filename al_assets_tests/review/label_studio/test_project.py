from types import SimpleNamespace
from xml.etree import ElementTree

from al_assets.review.label_studio.project import Asked, asked_under, instructions, labelling_config, project_fields
from al_assets_tests.support.policies import make_policy

POLICY = make_policy(
    "sqlite://",
    question='Is "this" worth over $text or $100 & more?',
    guideline="First line.\n<script>alert(1)</script>",
    labels={"positive": "yes, <b>", "negative": "no", "undecided": "unsure, really"},
    examples=[{"text": "<i>Buy</i>", "label": "positive", "why": "it sells"}],
)


def test_the_page_asks_the_question_and_stores_the_ledgers_labels() -> None:
    view = ElementTree.fromstring(labelling_config(POLICY.policy))
    header = view.find("Header")
    assert header is not None
    shown = header.attrib["value"]
    # Label Studio would put a task's field in place of $text.
    assert "$text" not in shown
    assert shown.replace("\u2060", "") == POLICY.policy.question
    answers, reasons = view.findall("Choices")
    assert [each.attrib["alias"] for each in answers] == ["positive", "negative", "undecided"]
    assert [each.attrib["value"] for each in answers] == ["yes, <b>", "no", "unsure, really"]
    assert [each.attrib["value"] for each in reasons] == ["ambiguous policy", "missing context", "other"]
    assert reasons.attrib["whenChoiceValue"] == "undecided"


def test_instructions_show_what_the_policy_says_and_run_nothing() -> None:
    shown = instructions(POLICY.policy)
    assert "<script>" not in shown
    assert "First line.<br>&lt;script&gt;" in shown
    assert "<li>&lt;i&gt;Buy&lt;/i&gt; <b>yes, &lt;b&gt;</b>: it sells</li>" in shown


def test_a_project_shows_no_predictions_and_says_what_it_asks() -> None:
    fields = project_fields(POLICY, "Review: spam")
    assert fields["maximum_annotations"] == 2
    assert fields["sampling"] == "Uniform sampling"
    assert not any(fields[name] for name in fields if "predictions" in name or "preannotations" in name)
    project = SimpleNamespace(description=fields["description"])
    assert asked_under(project) == Asked("spam", "1", POLICY.policy.text_fingerprint())
    assert asked_under(SimpleNamespace(description=None)) is None
