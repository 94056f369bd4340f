import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import FormData

from al_assets.config import PolicyText
from al_assets.review.desk.policy.drafts import (
    DraftError,
    DraftExample,
    KnownVersions,
    PolicyDraft,
    draft_from,
    draft_of,
    proposed_text,
    yaml_section,
)

NOW = PolicyText.model_validate(
    {
        "name": "spam",
        "question": "Spam?",
        "guideline": "Spam sells.\n",
        "examples": [{"text": "buy\n", "label": "positive"}],
    }
)


def known(*states: tuple[str, str]) -> KnownVersions:
    schema = {"version": pl.String, "text_fingerprint": pl.String}
    return KnownVersions.of(NOW, pl.DataFrame(list(states), schema=schema, orient="row"))


def edited(**fields: object) -> PolicyDraft:
    values = {**vars(draft_of(known())), "guideline": "Spam sells something.", **fields}
    return PolicyDraft(**values)


def problems(draft: PolicyDraft, *states: tuple[str, str]) -> dict[str, str]:
    with pytest.raises(DraftError) as caught:
        proposed_text(draft, known(*states))
    return caught.value.problems


@pytest.mark.parametrize(
    ("version", "expected"), [("1", "2"), ("2026-05", "2026-06"), ("draft", "draft.1"), ("v9", "v10")]
)
def test_the_next_version_counts_on(version: str, expected: str) -> None:
    assert KnownVersions.of(NOW.model_copy(update={"version": version}), known_texts()).next_version() == expected


def known_texts() -> pl.DataFrame:
    return pl.DataFrame(schema={"version": pl.String, "text_fingerprint": pl.String})


def test_a_version_that_stood_over_a_text_is_not_offered_again() -> None:
    assert known(("2", "aaa"), ("3", "bbb")).next_version() == "4"


def test_an_unchanged_text_is_refused_also_when_a_browser_trims_it() -> None:
    assert "edit one of them" in problems(draft_of(known()))["text"]
    trimmed = edited(guideline="Spam sells.", examples=(DraftExample("buy", "positive"), DraftExample()))
    assert "edit one of them" in problems(trimmed)["text"]


def test_an_edited_text_needs_a_version_of_its_own() -> None:
    assert problems(edited(version="1")) == {
        "version": "'1' already stands over another text; an edited text needs a version of its own, such as '2'"
    }
    assert "2 other texts" in problems(edited(version="0"), ("0", "aaa"), ("0", "bbb"))["version"]
    assert proposed_text(edited(), known()).version == "2"


@pytest.mark.parametrize(
    ("fields", "name", "said"),
    [
        ({"question": " "}, "question", "empty"),
        ({"guideline": ""}, "guideline", "empty"),
        ({"version": ""}, "version", "empty"),
        ({"guideline": "x" * 30_001}, "guideline", "at most 30,000"),
        ({"guideline": "a\0b"}, "guideline", "no database stores"),
        ({"guideline": "see ${HOME}"}, "guideline", "environment variable"),
        ({"note": "n" * 5_001}, "note", "at most 5,000"),
        ({"examples": (DraftExample("", "positive", "because"),)}, "examples", "has no text"),
        ({"examples": (DraftExample("a", "maybe"),)}, "examples", "'maybe'"),
    ],
)
def test_what_no_policy_can_hold_is_named(fields: dict[str, object], name: str, said: str) -> None:
    found = problems(edited(**fields))
    assert list(found) == [name]
    assert said in found[name]


def test_a_form_is_read_whatever_it_holds() -> None:
    form = FormData(
        [
            ("question", "Spam?"), ("guideline", "one\r\ntwo"), ("version", " 2 "), ("example_text", "a"),
            ("example_text", "b"), ("example_label", "negative"), ("example_why", "w"),
        ]
    )  # fmt: skip
    assert draft_from(form) == PolicyDraft("2", "Spam?", "one\ntwo", (DraftExample("a", "negative", "w"),))
    assert draft_from(FormData([])) == PolicyDraft("", "", "")


def test_empty_examples_are_counted_anew() -> None:
    draft = edited(examples=(DraftExample(), DraftExample("a"), DraftExample()))
    assert draft.with_empty_examples(2).examples == (DraftExample("a"), DraftExample(), DraftExample())
    assert len(draft.with_empty_examples(1_000).examples) == 60


LINES = st.text(alphabet="aé :#'\"-|>{}[]%@yesno\n\t\u2028😀", min_size=1).filter(str.strip)


@given(LINES, LINES, st.sampled_from(["1", "2.0", "yes", "2026-05-01"]))
def test_the_yaml_is_read_back_as_it_was(guideline: str, example: str, version: str) -> None:
    text = PolicyText.model_validate(
        {
            **NOW.model_dump(),
            "guideline": guideline,
            "version": version,
            "examples": [{"text": example, "label": "negative", "why": "no"}],
        }
    )
    assert PolicyText.model_validate(yaml.safe_load(yaml_section(text))["policy"]) == text


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029"])
def test_line_ends_that_yaml_knows_and_browsers_do_not_stay(end: str) -> None:
    text = NOW.model_copy(update={"question": f"Spam{end} or not?", "guideline": f"{end}One.\n  Two{end}.\n"})
    assert PolicyText.model_validate(yaml.safe_load(yaml_section(text))["policy"]) == text


def test_the_yaml_reads_well() -> None:
    assert yaml_section(proposed_text(edited(guideline="One.\n\n- Two.\n"), known())) == (
        "policy:\n  name: spam\n  version: '2'\n  question: Spam?\n  guideline: |-\n    One.\n\n    - Two.\n"
        "  examples:\n  - text: |\n      buy\n    label: positive\n"
    )
