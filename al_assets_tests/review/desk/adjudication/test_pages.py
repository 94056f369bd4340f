import html
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from al_assets.review.desk.people.records import AuditFilter
from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.desk import Desk
from al_assets.storage.ledger import Ledger
from al_assets_tests.support.desk.answers import SCRIPT, answer, disagree
from al_assets_tests.support.desk.clients import DeskClient, SignIn


def adjudicator(sign_in: SignIn) -> DeskClient:
    return sign_in("addy", Role.ADJUDICATOR)


def fields_of(page: str) -> dict[str, str]:
    """Return the hidden fields of the decision's form, and where it is sent."""
    found = dict(re.findall(r'<input type="hidden" name="(mark|form_id)" value="([^"]*)">', page))
    action = re.search(r'action="(/adjudication/[^"]*)"', page)
    assert action
    return {**found, "action": html.unescape(action[1])}


def decide(client: DeskClient, label: str, comment: str = "", page: str | None = None) -> str:
    """Decide the item of a page, the next one by default, and return where one is sent then."""
    fields = fields_of(page or client.get("/adjudication").text)
    answered = client.submit(fields.pop("action"), label=label, comment=comment, **fields)
    assert answered.status_code == 303, answered.text
    return str(answered.headers["location"])


def test_others_find_no_such_page(sign_in: SignIn, desk: Desk) -> None:
    disagree(desk, "item000")
    code = fields_of(adjudicator(sign_in).get("/adjudication").text)["action"]
    for name, role in (("anna", Role.RATER), ("olga", Role.POLICY_OWNER), ("ada", Role.ADMIN)):
        client = sign_in(name, role)
        for path in ("/adjudication", "/adjudication/decided", code):
            assert client.get(path).status_code == 404
        assert client.submit(code, label="positive").status_code == 404
    assert desk.ledger.adjudications().height == 0


def test_the_answers_stand_side_by_side_without_names(sign_in: SignIn, desk: Desk) -> None:
    disagree(desk, "item000")
    answer(desk, "item000", "cleo", "undecided", undecided_reason="missing context", comment="which shop?")
    page = adjudicator(sign_in).get("/adjudication").text
    text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))
    assert "text of item000" in text
    assert all(name in text for name in ("Rater A", "Rater B", "Rater C", "missing context", "which shop?"))
    assert not re.search(r"\b(ben|cleo)\b", text)
    assert "Spam sells." in text
    assert "takes the place of the raters’ majority in what the model learns" in text
    assert "item_id" not in page
    assert "audit" not in page
    assert SCRIPT not in page
    assert html.escape(SCRIPT) in page or html.escape(SCRIPT, quote=False) in page


def test_a_decision_is_kept_logged_and_followed_by_the_next(sign_in: SignIn, desk: Desk) -> None:
    disagree(desk, "item000", "item001")
    client = adjudicator(sign_in)
    assert "<strong>2</strong> left" in client.get("/adjudication").text
    first = client.get("/adjudication").text
    following = client.get(decide(client, "guideline gap", "what of gifts?\r\nnobody knows")).text
    assert fields_of(following)["action"] != fields_of(first)["action"]
    assert "<strong>1</strong> left" in following
    last = client.get(decide(client, "positive")).text
    assert "Nothing waits for a decision" in last
    rows = desk.ledger.adjudications().select("label", "adjudicator", "comment", "policy_version").rows()
    assert rows == [("guideline gap", "addy", "what of gifts?\nnobody knows", "1"), ("positive", "addy", None, "1")]
    entries = desk.people.audit_log(AuditFilter(act="adjudicate"))
    assert [entry.detail for entry in entries] == ["positive", "guideline gap"]
    assert {entry.subject for entry in entries} == {"0000/item000", "0000/item001"}
    assert desk.ledger.votes().height == 4


def test_what_was_decided_can_be_looked_at_and_changed(sign_in: SignIn, desk: Desk) -> None:
    disagree(desk, "item000")
    client = adjudicator(sign_in)
    decide(client, "positive", f"because {SCRIPT}")
    listed = client.get("/adjudication/decided").text
    assert SCRIPT not in listed
    path = re.search(r'href="(/adjudication/[0-9a-f]{16})"', listed)
    assert path
    page = client.get(path[1]).text
    assert "A new decision takes its place" in page
    assert "because" in page
    decide(client, "negative", page=page)
    assert desk.ledger.adjudications()["label"].to_list() == ["negative"]
    assert desk.people.audit_log(AuditFilter(act="adjudicate"))[0].detail == "negative, was positive by addy"
    answer(desk, "item000", "ben", "positive", minutes_ago=0)
    assert "1 decision to look at again" in client.get("/adjudication").text


def test_a_decision_on_what_has_changed_meanwhile_is_not_kept(sign_in: SignIn, desk: Desk) -> None:
    disagree(desk, "item000")
    client = adjudicator(sign_in)
    fields = fields_of(client.get("/adjudication").text)
    answer(desk, "item000", "cleo", "negative", comment="a third answer")
    refused = client.submit(
        fields["action"], label="positive", comment="mine", mark=fields["mark"], form_id=fields["form_id"]
    )
    assert refused.status_code == 409
    assert "while you read it" in refused.text
    assert "a third answer" in refused.text
    assert "mine</textarea>" in refused.text
    assert desk.ledger.adjudications().height == 0


def test_of_two_who_decide_at_the_same_moment_the_second_is_asked_again(
    sign_in: SignIn, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disagree(desk, "item000")
    clients = [sign_in(name, Role.ADJUDICATOR) for name in ("addy", "bert")]
    forms = [fields_of(client.get("/adjudication").text) for client in clients]
    both_looked, keep = threading.Barrier(2, timeout=60), Ledger.adjudicate

    def keep_when_both_looked(ledger: Ledger, *arguments: Any, **fields: Any) -> int:
        both_looked.wait()
        return keep(ledger, *arguments, **fields)

    monkeypatch.setattr(Ledger, "adjudicate", keep_when_both_looked)

    def decides(client: DeskClient, form: dict[str, str], label: str) -> httpx2.Response:
        return client.submit(form.pop("action"), label=label, comment=label, **form)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(decides, clients, forms, ("positive", "negative")))
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    assert "your decision was not kept" in refused.text
    assert len(desk.people.audit_log(AuditFilter(act="adjudicate"))) == 1
    monkeypatch.setattr(Ledger, "adjudicate", keep)
    other = clients[answers.index(refused)]
    decide(other, "guideline gap", page=refused.text)
    assert desk.ledger.adjudications()["label"].to_list() == ["guideline gap"]


def test_a_decision_on_what_raters_agree_on_meanwhile_is_not_kept_and_the_page_says_so(
    sign_in: SignIn, desk: Desk
) -> None:
    disagree(desk, "item000")
    client = adjudicator(sign_in)
    fields = fields_of(client.get("/adjudication").text)
    action = fields.pop("action")
    answer(desk, "item000", "ben", "positive")
    refused = client.submit(action, label="negative", **fields)
    assert (refused.status_code, desk.ledger.adjudications().height) == (409, 0)
    assert "raters no longer disagree about the item that you read" in refused.text
    assert "Nothing waits for a decision" in refused.text
    assert 'hx-get="/adjudication"' in refused.text
    disagree(desk, "item001")
    assert fields_of(client.submit(action, label="negative", **fields).text)["action"] != action


def test_a_button_pressed_twice_decides_once(sign_in: SignIn, desk: Desk) -> None:
    disagree(desk, "item000")
    client = adjudicator(sign_in)
    page = client.get("/adjudication").text
    decide(client, "positive", "yes", page)
    decide(client, "positive", "yes", page)
    assert len(desk.people.audit_log(AuditFilter(act="adjudicate"))) == 1


def test_what_is_no_decision_is_refused_with_the_way_out(sign_in: SignIn, desk: Desk) -> None:
    disagree(desk, "item000")
    client = adjudicator(sign_in)
    fields = fields_of(client.get("/adjudication").text)
    action = fields.pop("action")
    for wrong, said in (({"label": "maybe"}, "label:"), ({"label": "positive", "comment": "a\0b"}, "comment:")):
        refused = client.submit(action, **{**fields, **wrong})
        assert refused.status_code == 422
        assert said in refused.text
    assert client.submit("/adjudication/0123456789abcdef", label="positive", **fields).status_code == 404
    assert client.post(action, data={"label": "positive", **fields}).status_code == 403
    assert desk.ledger.adjudications().height == 0


def test_an_iteration_can_be_chosen(sign_in: SignIn, desk: Desk) -> None:
    disagree(desk, "item000")
    client = adjudicator(sign_in)
    assert client.get("/adjudication?iteration=0000").status_code == 200
    assert decide(client, "positive", page=client.get("/adjudication?iteration=0000").text).endswith("&iteration=0000")
    assert "Nothing waits" in client.get("/adjudication?iteration=9999").text
