"""A real Label Studio, in the environment whose interpreter AL_LABEL_STUDIO_PYTHON names.

``bash .ci/label-studio-env DIRECTORY`` makes that environment.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from typer.testing import CliRunner

from al_assets.cli import app
from al_assets.config import Policy
from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.shell.app import make_app
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.server import ListenAt, bound_socket
from al_assets.review.label_studio.client import LabelStudioError, LabelStudioSettings, Server
from al_assets.review.label_studio.pull import pull, pull_project
from al_assets.review.label_studio.push import push
from al_assets.review.label_studio.webhook import PATH
from al_assets.storage.ledger import Ledger
from al_assets_tests.support.desk.serving import in_a_thread
from al_assets_tests.support.label_studio.published import SECRET, make_settings, published
from al_assets_tests.support.label_studio.server import (
    TOKEN,
    Annotator,
    LabelStudioServer,
    label_studio_server,
)
from al_assets_tests.support.ledger import SELECTED_BY, labels, queue_frame
from al_assets_tests.support.processes import wait_until

pytestmark = [
    pytest.mark.label_studio,
    # The SDK is written for an older pydantic.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioServer]:
    interpreter = os.environ.get("AL_LABEL_STUDIO_PYTHON")
    if not interpreter:
        pytest.skip("AL_LABEL_STUDIO_PYTHON is not set; 'bash .ci/label-studio-env DIRECTORY' makes an environment")
    with label_studio_server(interpreter, tmp_path_factory.mktemp("label_studio")) as running:
        yield running


def answer_all(annotator: Annotator, project: int, label: str, **fields: Any) -> list[int]:
    """Answer what the label stream hands out until nothing is left."""
    made = []
    while task := annotator.next_task(project):
        assert task["annotations"] == []
        made.append(annotator.submit(task["id"], label, **fields))
    return made


def test_from_push_to_votes(server: LabelStudioServer, tmp_path: Path) -> None:
    ledger, policy = published(tmp_path, "round_trip")
    settings = make_settings(server.url, api_key=TOKEN)
    first = push(ledger, policy, settings, "0000")
    assert (first.created, first.added, first.present) == (True, 4, 0)
    again = push(ledger, policy, settings, "0000")
    assert (again.created, again.added, again.present, again.project) == (False, 0, 4, first.project)

    tasks = server.tasks(first.project)
    assert [sorted(each["data"]) for each in tasks] == [["code", "text"]] * 4
    assert not any(each["predictions"] or each["meta"] for each in tasks)
    assert {each["overlap"] for each in tasks} == {2}
    assert not any("item0" in each["data"]["code"] for each in tasks)

    yes = answer_all(server.anna, first.project, "positive")
    unsure = answer_all(server.ben, first.project, "undecided", reason="missing context", comment="Which? 🤷")
    assert (len(yes), len(unsure)) == (4, 4)
    report = pull(ledger, policy, settings)
    assert (report.votes.accepted, report.votes.rejected, report.gone) == (8, (), ())
    votes = ledger.votes()
    assert {(row["rater"], row["label"], row["undecided_reason"], row["comment"]) for row in votes.to_dicts()} == {
        ("anna", "positive", None, None),
        ("ben", "undecided", "missing context", "Which? 🤷"),
    }
    assert set(votes["policy_fingerprint"]) == {policy.policy.fingerprint()}
    assert votes["voted_at"].is_sorted()

    server.anna.change(yes[0], "negative", comment="I misread it.")
    second = pull(ledger, policy, settings)
    assert (second.votes.accepted, second.votes.repeated, second.votes.superseding) == (0, 7, 1)
    assert sorted(labels(ledger).values()) == ["negative"] + ["positive"] * 3 + ["undecided"] * 4
    assert ledger.history().height == 9
    third = pull(ledger, policy, settings)
    assert (third.votes.repeated, third.votes.superseding) == (8, 0)

    ledger.publish("0001", queue_frame(["later0", "later1"]), SELECTED_BY)
    following = push(ledger, policy, settings, "0001")
    assert (following.project, following.added, following.present) == (first.project, 2, 0)
    assert len(server.tasks(first.project)) == 6
    ledger.close()


def test_what_is_no_ones_own_answer_is_named_and_what_is_gone_stays_until_told(
    server: LabelStudioServer, tmp_path: Path
) -> None:
    ledger, policy = published(tmp_path, "exceptions", count=3)
    settings = make_settings(server.url, api_key=TOKEN, raters={"anna@example.org": "anna"})
    project = push(ledger, policy, settings, "0000").project
    tasks = [each["id"] for each in server.tasks(project)]
    kept, changed, deleted = (server.anna.submit(task, "positive") for task in tasks)
    foreign = server.ben.submit(tasks[0], "negative")
    skipped = server.anna.submit(tasks[1], "positive", was_cancelled=True)
    assert pull(ledger, policy, settings).votes.accepted == 3

    # The community edition lets any user change and delete the annotations of others.
    server.ben.change(changed, "negative")
    server.ben.delete(deleted)
    report = pull(ledger, policy, settings)
    reasons = {each.row: each.reason for each in report.votes.rejected}
    assert set(reasons) == {changed, foreign}
    assert "anna@example.org was last changed by ben@example.org" in reasons[changed]
    assert "ben@example.org is no rater here; add a line to label_studio.raters" in reasons[foreign]
    assert (report.votes.repeated, report.votes.blank) == (1, 1)
    assert [each.annotation for each in report.gone] == [deleted]
    assert labels(ledger)[report.gone[0].item_id, "anna"] == "positive"
    assert "--withdraw-deleted takes them back" in str(report)

    assert pull(ledger, policy, settings, withdraw_deleted=True).withdrawn
    assert len(labels(ledger)) == 2
    assert pull(ledger, policy, settings).gone == ()
    assert {kept, skipped}.isdisjoint(reasons)
    ledger.close()


class Meanwhile(Server):
    """A server at which something happens right after its annotations were read."""

    def __init__(self, settings: LabelStudioSettings, happens: Callable[[], object]) -> None:
        super().__init__(settings)
        self.happens = happens

    def tasks(self, project: int, *, annotations: bool) -> Iterator[dict[str, Any]]:
        yield from super().tasks(project, annotations=annotations)
        self.happens()


def test_what_is_submitted_while_votes_are_taken_back_is_not_lost(server: LabelStudioServer, tmp_path: Path) -> None:
    ledger, policy = published(tmp_path, "meanwhile", count=2)
    settings = make_settings(server.url, api_key=TOKEN)
    number = push(ledger, policy, settings, "0000").project
    first, second = (each["id"] for each in server.tasks(number))
    deleted = server.anna.submit(first, "positive")
    assert pull(ledger, policy, settings).votes.accepted == 1
    server.anna.delete(deleted)

    def submit_and_have_one_pulled() -> None:
        server.ben.submit(second, "negative")
        assert pull(ledger, policy, settings).votes.accepted == 1
        server.anna.submit(first, "negative")

    with ledger:
        with Meanwhile(settings, submit_and_have_one_pulled) as slow:
            report = pull_project(slow, slow.project(number), ledger, policy, withdraw_deleted=True)
        assert [each.annotation for each in report.gone] == [deleted]
        last = pull(ledger, policy, settings)
        assert (last.votes.accepted, last.votes.repeated, last.votes.rejected, last.gone) == (1, 1, (), ())
        assert sorted(ledger.votes().select("rater", "label").rows()) == [("anna", "negative"), ("ben", "negative")]


def test_a_second_annotation_that_says_the_same_keeps_the_vote(server: LabelStudioServer, tmp_path: Path) -> None:
    ledger, policy = published(tmp_path, "second", count=1)
    settings = make_settings(server.url, api_key=TOKEN)
    task = server.tasks(push(ledger, policy, settings, "0000").project)[0]["id"]
    first, second = server.anna.submit(task, "positive"), server.anna.submit(task, "positive")
    with ledger:
        assert pull(ledger, policy, settings).votes.accepted == 1
        server.anna.delete(first)
        assert pull(ledger, policy, settings, withdraw_deleted=True).gone == ()
        assert len(labels(ledger)) == 1
        server.anna.delete(second)
        assert len(pull(ledger, policy, settings, withdraw_deleted=True).gone) == 1
        assert labels(ledger) == {}


def test_votes_of_a_rater_who_left_stay_and_are_no_rejections(server: LabelStudioServer, tmp_path: Path) -> None:
    ledger, policy = published(tmp_path, "left", count=2)
    settings = make_settings(server.url, api_key=TOKEN)
    project = push(ledger, policy, settings, "0000").project
    tasks = [each["id"] for each in server.tasks(project)]
    bens = [server.ben.submit(task, "negative") for task in tasks]
    annas = server.anna.submit(tasks[0], "positive")
    with ledger:
        assert pull(ledger, policy, settings).votes.accepted == 3
        ledger.change_rater("ben", "left", "the tests")
        again = pull(ledger, policy, settings)
        assert (again.votes.repeated, again.votes.rejected) == (3, ())
        server.ben.delete(bens[0])
        server.anna.delete(annas)
        report = pull(ledger, policy, settings, withdraw_deleted=True)
        assert [each.annotation for each in report.gone] == [annas]
        assert [each.row for each in report.votes.rejected] == [bens[0]]
        assert "'ben' has left, so the vote stays" in report.votes.rejected[0].reason
        assert ledger.votes()["rater"].to_list() == ["ben", "ben"]


def test_how_blind_the_community_edition_is(server: LabelStudioServer, tmp_path: Path) -> None:
    """What docs/label-studio.md says: the label stream shows no other annotation, the rest of the server does."""
    ledger, policy = published(tmp_path, "blindness", count=1)
    project = push(ledger, policy, make_settings(server.url, api_key=TOKEN), "0000").project
    server.anna.submit(server.tasks(project)[0]["id"], "positive")
    streamed = server.ben.next_task(project)
    assert streamed is not None
    assert (streamed["annotations"], streamed["predictions"]) == ([], [])
    opened = server.ben.task(streamed["id"])
    assert [each["completed_by"]["email"] for each in opened["annotations"]] == ["anna@example.org"]
    ledger.close()


def test_a_changed_policy_keeps_the_version_under_which_was_answered(server: LabelStudioServer, tmp_path: Path) -> None:
    ledger, old = published(tmp_path, "changed", count=2)
    settings = make_settings(server.url, api_key=TOKEN)
    project = push(ledger, old, settings, "0000").project
    answer_all(server.anna, project, "positive")
    ledger.close()
    ledger, new = published(
        tmp_path, "changed", version="2", guideline="Clearer.", labels={"positive": "spam", "negative": "fine"}
    )
    with ledger:
        report = push(ledger, new, settings, "0000")
        assert report.pulled is not None
        assert report.pulled.votes.accepted == 2
        answer_all(server.ben, project, "negative")
        pull(ledger, new, settings)
        votes = ledger.votes().select("rater", "policy_version", "policy_fingerprint").unique().sort("rater")
        assert votes.rows() == [("anna", "1", None), ("ben", "2", new.policy.fingerprint())]


def test_refusals_name_the_way_out(server: LabelStudioServer, tmp_path: Path) -> None:
    ledger, policy = published(tmp_path, "refusals", count=1)
    with ledger:
        good = make_settings(server.url, api_key=TOKEN)
        with pytest.raises(LabelStudioError, match=r"api_key: .* does not let it in .401: Invalid token"):
            push(ledger, policy, make_settings(server.url, api_key="f" * 40), "0000")
        with pytest.raises(
            LabelStudioError, match="no project titled 'Review: refusals'; 'al label-studio push' makes"
        ):
            pull(ledger, policy, good)
        with pytest.raises(LabelStudioError, match=r"project: not found .* remove the setting, and push makes a new"):
            pull(ledger, policy, make_settings(server.url, api_key=TOKEN, project=98765))
        with pytest.raises(LabelStudioError, match="webhook_secret: missing, and without one anybody could call"):
            push(ledger, policy, good, "0000", "http://127.0.0.1:9/hooks/label-studio")
        server.admin.post("/api/projects/", json={"title": "Review: refusals"}).raise_for_status()
        with pytest.raises(LabelStudioError, match=r"is titled 'Review: refusals' already and is not this policy's"):
            push(ledger, policy, good, "0000")


def test_a_webhook_brings_the_votes_and_the_commands_too(server: LabelStudioServer, tmp_path: Path) -> None:
    ledger, policy = published(tmp_path, "webhook", count=3)
    (tmp_path / "label_studio.yaml").write_text(
        f"label_studio:\n  url: {server.url}\n  api_key: {server.anna.access_token}\n  webhook_secret: {SECRET}\n"
        "  raters: {anna@example.org: anna, ben@example.org: ben}\n"
    )
    file = policy_file(policy, tmp_path)
    with ledger, serving(ledger, policy) as url:
        pushed = json.loads(al("push", "-p", str(file), "--iteration", "0000", "--webhook-url", url, "--json"))
        assert (pushed["added"], pushed["webhook_url"]) == (3, url)
        again = json.loads(al("push", "-p", str(file), "--iteration", "0000", "--webhook-url", url, "--json"))
        assert again["added"] == 0
        hooks = server.admin.get("/api/webhooks/", params={"project": pushed["project"]}).json()
        assert [(each["url"], each["send_payload"]) for each in hooks] == [(url, False)]
        made = answer_all(server.anna, pushed["project"], "positive")
        assert wait_until(lambda: len(labels(ledger)) == 3, 60)
        server.anna.change(made[0], "negative")
        assert wait_until(lambda: "negative" in labels(ledger).values(), 60)
        report = json.loads(al("pull", "-p", str(file), "--json"))
        assert (report["votes"]["repeated"], report["votes"]["accepted"]) == (3, 0)


def policy_file(policy: Policy, folder: Path) -> Path:
    file = folder / "policy.yaml"
    file.write_text(json.dumps(policy.model_dump(mode="json", exclude={"base_dir"}, exclude_defaults=True)))
    return file


def al(*arguments: str) -> str:
    found = CliRunner().invoke(app, ["label-studio", *arguments])
    assert found.exit_code == 0, (found.output, found.exception)
    return found.output


@contextmanager
def serving(ledger: Ledger, policy: Policy) -> Iterator[str]:
    """Serve the desk; yield the address that Label Studio calls."""
    desk = Desk(policy, ledger, PeopleStore(policy.ledger_url, policy.policy.name), b"k" * 32)
    server = uvicorn.Server(uvicorn.Config(make_app(desk), log_level="error", lifespan="off"))
    try:
        with in_a_thread(server, bound_socket(ListenAt(port=0))) as port:
            yield f"http://127.0.0.1:{port}{PATH}"
    finally:
        desk.people.close()
