import html
import re
from dataclasses import replace

import yaml

from al_assets.config import PolicyText
from al_assets.review.desk.people.records import AuditFilter
from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.desk import Desk
from al_assets_tests.review.desk.adjudication.test_pages import decide
from al_assets_tests.support.desk.answers import SCRIPT, answer, disagree
from al_assets_tests.support.desk.clients import DeskClient, SignIn

EDITED = {"question": "Spam?", "guideline": f"Spam sells things. {SCRIPT}", "version": "2", "note": "gifts were open"}


def owner(sign_in: SignIn) -> DeskClient:
    return sign_in("olga", Role.POLICY_OWNER)


def words_of(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def test_others_find_no_such_page(sign_in: SignIn) -> None:
    for name, role in (("anna", Role.RATER), ("addy", Role.ADJUDICATOR), ("ada", Role.ADMIN)):
        client = sign_in(name, role)
        for path in ("/policy", "/policy/propose", "/policy/proposals/1", "/policy/proposals/1/policy.yaml"):
            assert client.get(path).status_code == 404
        assert client.submit("/policy/propose", step="propose", **EDITED).status_code == 404
        assert client.submit("/policy/proposals/1/withdraw").status_code == 404


def test_what_could_not_be_decided_is_grouped_by_reason_without_names(sign_in: SignIn, desk: Desk) -> None:
    answer(desk, "item000", "anna", "undecided", undecided_reason="missing context", comment=f"which shop? {SCRIPT}")
    answer(desk, "item001", "ben", "undecided", undecided_reason="ambiguous policy", comment="satire: or not")
    answer(desk, "item002", "cleo", "undecided")
    disagree(desk, "item003")
    decide(sign_in("addy", Role.ADJUDICATOR), "guideline gap", "nothing on gifts")
    page = owner(sign_in).get("/policy").text
    text = words_of(page)
    order = [
        text.index(each)
        for each in (
            "guideline gap 1 item", "nothing on gifts", "Ambiguous policy 1 item", "satire: or not",
            "Missing context 1 item", "which shop?", "No reason given 1 item",
        )
    ]  # fmt: skip
    assert order == sorted(order)
    assert SCRIPT not in page
    assert not re.search(r"\b(ben|cleo|addy)\b", text)


def test_a_rater_whose_name_looks_like_a_comment_is_not_named(sign_in: SignIn, desk: Desk) -> None:
    for rater in ("anna: x", "x: anna"):
        desk.ledger.change_rater(rater, "joined", "ada")
        answer(desk, "item000", rater, "undecided", comment=f"said by {len(rater)}: letters")
        answer(desk, "item001", rater, "undecided")
    text = words_of(owner(sign_in).get("/policy").text)
    assert text.count("said by 7: letters") == 2
    assert "anna" not in text


def test_a_long_policy_in_any_script_can_be_proposed(sign_in: SignIn) -> None:
    client, long = owner(sign_in), "\u6f22" * 29_000
    form = {
        **EDITED,
        "guideline": long,
        "example_text": ["\u5b57" * 9_000],
        "example_label": ["positive"],
        "example_why": [""],
    }
    assert client.submit("/policy/propose", step="propose", **form).status_code == 303
    assert client.submit("/policy/propose", note="x" * 1024 * 1024).status_code == 413


def test_a_proposal_is_shown_as_a_diff_and_can_be_downloaded(sign_in: SignIn, desk: Desk) -> None:
    client = owner(sign_in)
    form = client.get("/policy/propose").text
    assert "Spam sells.</textarea>" in form
    assert 'value="2"' in form
    preview = client.submit("/policy/propose", step="preview", **EDITED).text
    assert "<ins>" in preview
    assert desk.people.audit_log(AuditFilter(act="propose policy")) == []
    sent = client.submit("/policy/propose", step="propose", form_id="k", **EDITED)
    assert sent.status_code == 303
    assert (
        client.submit("/policy/propose", step="propose", form_id="k", **EDITED).headers["location"]
        == sent.headers["location"]
    )
    page = client.get(sent.headers["location"]).text
    assert "[deleted: </span>sells." in page
    assert "[inserted: </span>sells things." in page
    assert SCRIPT not in page
    assert "gifts were open" in page
    download = client.get(f"{sent.headers['location']}/policy.yaml")
    assert download.headers["content-disposition"] == 'attachment; filename="spam-proposal-1.yaml"'
    section = PolicyText.model_validate(yaml.safe_load(download.text)["policy"])
    assert (section.guideline, section.version, section.labels) == (EDITED["guideline"], "2", desk.policy.policy.labels)
    assert desk.people.audit_log(AuditFilter(act="propose policy"))[0].subject == "proposal 1"


def test_a_form_that_proposes_nothing_keeps_what_was_typed(sign_in: SignIn) -> None:
    client = owner(sign_in)
    same = client.submit("/policy/propose", step="propose", question="Spam?", guideline="Spam sells.", version="2")
    assert same.status_code == 422
    assert "edit one of them" in same.text
    taken = client.submit("/policy/propose", step="propose", **{**EDITED, "version": "1"})
    assert taken.status_code == 422
    assert "such as &#39;2&#39;" in taken.text
    assert "gifts were open</textarea>" in taken.text
    assert client.get("/policy").text.count("/policy/proposals/") == 0


def test_examples_are_added_without_a_script(sign_in: SignIn) -> None:
    examples = {"example_text": ["a", "b"], "example_label": ["negative", "positive"], "example_why": ["x", ""]}
    client = owner(sign_in)
    more = client.submit("/policy/propose", step="add", **EDITED, **examples).text
    assert more.count('name="example_text"') == 3
    assert re.search(r'value="negative" selected', more)
    sent = client.submit("/policy/propose", step="propose", **EDITED, **examples)
    section = yaml.safe_load(client.get(f"{sent.headers['location']}/policy.yaml").text)["policy"]
    assert section["examples"] == [{"text": "a", "label": "negative", "why": "x"}, {"text": "b", "label": "positive"}]


def test_a_proposal_is_withdrawn_once(sign_in: SignIn, desk: Desk) -> None:
    client = owner(sign_in)
    where = client.submit("/policy/propose", step="propose", **EDITED).headers["location"]
    for _ in range(2):
        assert client.submit(f"{where}/withdraw").status_code == 303
    assert "Withdrawn" in client.get(where).text
    assert "label-withdrawn" in client.get("/policy").text
    assert len(desk.people.audit_log(AuditFilter(act="withdraw proposal"))) == 1
    assert client.submit("/policy/proposals/7/withdraw").status_code == 404


def test_votes_under_an_older_text_are_counted(sign_in: SignIn, desk: Desk) -> None:
    desk.ledger.record([])
    old = replace_text(desk, "Spam sold.", "0")
    answer(old, "item000", "anna", "positive")
    assert "1 vote on 1 item were cast under an older text" in words_of(owner(sign_in).get("/policy").text)


def replace_text(desk: Desk, guideline: str, version: str) -> Desk:
    text = desk.policy.policy.model_copy(update={"guideline": guideline, "version": version})
    return replace(desk, policy=desk.policy.model_copy(update={"policy": text}))
