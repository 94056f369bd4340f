import html
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from starlette.applications import Starlette

from al_assets.agreement.core.figures import figure_of, frame_of
from al_assets.agreement.raters.rated_items import rated_items
from al_assets.agreement.raters.slices import OTHERS, agreement_figures
from al_assets.agreement.report.scopes import expert_scope
from al_assets.formatting import decimal, interval
from al_assets.review.desk.dashboard.figures import SHOWN, agreement_of, loop_so_far, raters_of
from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.app import make_app
from al_assets.review.desk.shell.desk import Desk
from al_assets.storage.ledger import Vote
from al_assets.storage.root import RunRoot
from al_assets_tests.review.desk.policy.test_pages import words_of
from al_assets_tests.support.desk.answers import answer
from al_assets_tests.support.desk.clients import DeskClient, SignIn, client_of, open_desk
from al_assets_tests.support.ledger import SELECTED_BY, items, queue_frame
from al_assets_tests.support.policies import write
from al_assets_tests.support.reports import stored_report

HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk with forty labelled items and hidden ones, of sixty."""
    folder: Path = tmp_path_factory.mktemp("labelled")
    write(folder, "gold.csv", "item_id,text,label\ngold-1,a,yes\n")
    url = f"sqlite:///{folder}/ledger.sqlite"
    sections = {
        "selection": {"gold": "gold.csv"},
        "storage": {"root": str(folder), "ledger_url": url},
        "review": {"raters": ["anna", "ben", "cleo"], "deadline_hours": 48},
    }
    with open_desk(folder, url, queue_frame(items(60)), **sections) as desk:
        chance, now = random.Random(1), datetime.now(UTC)
        votes = []
        for number in range(40):
            truth = chance.random() < 0.4
            for rater in chance.sample(["anna", "ben", "cleo"], 2):
                said = truth if chance.random() < 0.85 else not truth
                label = "undecided" if chance.random() < 0.05 else "positive" if said else "negative"
                at = now - timedelta(minutes=chance.uniform(1, 600))
                votes.append(Vote(f"item{number:03d}", "0000", rater, label, "1", at))
        desk.ledger.record(votes)
        hidden = [queue_frame(["gold-1"], reason="gold"), queue_frame(items(8), reason="repeat")]
        desk.ledger.publish("0001", pl.concat([*hidden, queue_frame(items(3, "new"))]), SELECTED_BY)
        again = desk.ledger.repeat_raters("0001")
        votes = [Vote("gold-1", "0001", rater, "positive", "1", now) for rater in ("anna", "ben")]
        votes += [Vote(item, "0001", rater, "positive", "1", now) for item in again for rater in sorted(again[item])]
        desk.ledger.record(votes)
        yield desk


@pytest.fixture(scope="module")
def dashboards(labelled: Desk) -> dict[Role, DeskClient]:
    app = make_app(replace(labelled, loop_waits_for=lambda: "waiting for <labels>"))
    roles = (Role.ADJUDICATOR, Role.POLICY_OWNER, Role.ADMIN)
    return {role: client_of(app, labelled, role.name.lower(), role) for role in roles}


def test_agreement_is_that_of_the_agreement_package(labelled: Desk, dashboards: dict[Role, DeskClient]) -> None:
    votes, how = labelled.ledger.expert_labels(), labelled.policy.stopping
    scope = expert_scope("loop", rated_items(votes).items, resamples=how.resamples, seed=how.seed)
    report = frame_of(scope.figures())
    found = agreement_of(votes, labelled.policy)
    assert tuple(found) == SHOWN
    for name, measured in found.items():
        expected = figure_of(report, name, "loop")
        assert expected is not None
        assert (measured.estimate, measured.low, measured.high) == (expected.estimate, expected.low, expected.high)
    kappa = found["expert_expert_kappa"]
    assert kappa.low is not None
    text = words_of(dashboards[Role.ADJUDICATOR].get("/dashboard?iteration=0000").text)
    assert f"{decimal(kappa.estimate)} {interval(kappa.low, kappa.high)}" in text
    alpha = found["krippendorff_alpha"]
    assert f"Alpha of all raters {decimal(alpha.estimate)}" in text


def test_raters_figures_are_those_of_the_agreement_package(labelled: Desk) -> None:
    raters, problem = raters_of(labelled.ledger, labelled.policy, labelled.ledger.watermark())
    assert problem == ""
    assert [each.rater for each in raters] == ["anna", "ben", "cleo"]
    how = labelled.policy.stopping
    figures = agreement_figures(labelled.ledger.expert_labels(), resamples=how.resamples, seed=how.seed)
    for each in raters:
        expected = figures.filter(slice=each.rater, against=OTHERS, figure="cohen_kappa").row(0, named=True)
        assert each.others is not None
        assert (each.others.estimate, each.others.low, each.others.high) == tuple(
            expected[name] for name in ("estimate", "low", "high")
        )
        assert each.retest is not None
        assert each.retest.items
    anna, cleo = raters[0], raters[2]
    assert anna.gold is not None
    assert (anna.gold.estimate, anna.gold.low, anna.gold.high) == pytest.approx((1.0, 0.2065493, 1.0))
    assert cleo.gold is None


def test_completion_pace_and_deadline_are_told(labelled: Desk, dashboards: dict[Role, DeskClient]) -> None:
    progress = labelled.ledger.progress("0000", 2)
    text = words_of(dashboards[Role.POLICY_OWNER].get("/dashboard?iteration=0000").text)
    assert f"{progress.complete} of 60 items complete" in text
    assert "Answers given 80" in text
    assert "Still needed 40" in text
    assert re.search(r"Pace, last (9|10) h( \d+ min)? \d\.\d an hour", text)
    assert re.search(r"Done at this pace in \d hours", text)
    assert "Deadline in 1 day" in text
    assert "In 24 hours 80 In all 80" in text
    both = words_of(dashboards[Role.POLICY_OWNER].get("/dashboard").text)
    assert both.index("Iteration 0001") < both.index("Iteration 0000")


def test_check_items_are_told_apart_from_the_rest_of_the_queue(tmp_path: Path) -> None:
    with open_desk(tmp_path, f"sqlite:///{tmp_path}/ledger.sqlite", queue_frame(items(3))) as desk:
        client = client_of(make_app(desk), desk, "ada", Role.POLICY_OWNER)
        assert "check item" not in words_of(client.get("/dashboard").text)
        desk.ledger.publish("0000", queue_frame(items(2, "check"), reason="check"), SELECTED_BY, append=True)
        now = datetime.now(UTC)
        desk.ledger.record([Vote("check000", "0000", rater, "positive", "1", now) for rater in ("anna", "ben")])
        text = words_of(client.get("/dashboard").text)
        assert "1 of 5 items complete" in text
        assert "Of them 2 check items, asked after training: 1 complete. The report waits for them." in text


def test_raters_are_named_to_admins_only(dashboards: dict[Role, DeskClient]) -> None:
    for role, client in dashboards.items():
        text = words_of(client.get("/dashboard").text)
        named = bool(re.search(r"\b(anna|ben|cleo)\b", text))
        assert named == (role == Role.ADMIN)
        assert ("Right on hidden gold" in text) == (role == Role.ADMIN)
        assert client.get("/dashboard/raters", headers=HTMX).status_code == (200 if role == Role.ADMIN else 404)


def test_parts_are_fetched_alone(dashboards: dict[Role, DeskClient]) -> None:
    client = dashboards[Role.ADMIN]
    for part in ("labels", "agreement", "raters", "loop"):
        found = client.get(f"/dashboard/{part}", headers=HTMX).text
        assert "<html" not in found
        assert f'<section id="{part}"' in found
        assert client.get(f"/dashboard/{part}").headers["location"] == "/dashboard"


def test_what_the_loop_waits_for_is_text(dashboards: dict[Role, DeskClient]) -> None:
    page = dashboards[Role.ADMIN].get("/dashboard").text
    assert "Waiting for &lt;labels&gt;" in page


def test_raters_and_strangers_find_no_dashboard(sign_in: SignIn, visitor: object, app: Starlette) -> None:
    for path in ("/dashboard", "/dashboard/labels", "/dashboard/agreement", "/dashboard/raters", "/dashboard/loop"):
        assert sign_in("anna").get(path, headers=HTMX).status_code == 404
        assert DeskClient(app).get(path).status_code in (303, 401)


def test_an_empty_desk_says_so(sign_in: SignIn, desk: Desk) -> None:
    client = sign_in("ada", Role.ADMIN)
    text = words_of(client.get("/dashboard").text)
    assert "0 of 6 items complete" in text
    assert "too few answers" in text
    assert "no labelled item in this scope" in text
    answer(desk, "item000", "anna", "positive")
    assert "Answers given 1" in words_of(client.get("/dashboard").text)


def test_finished_iterations_are_listed_with_their_verdicts(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    rows = [
        {"figure": "labels", "scope": "loop", "estimate": 150.0},
        {"figure": "model_expert_kappa", "scope": "evaluation", "estimate": 0.4, "low": 0.3, "high": 0.5, "items": 45},
    ]
    root.write_table(root.table_path("kappa_report", "0000"), stored_report(rows))
    found = loop_so_far(str(tmp_path), None)
    (finished,) = found.finished
    assert (finished.iteration, finished.labels, finished.conclusion.verdict) == ("0000", 150, "continue")
    assert finished.model is not None
    assert (finished.model.low, finished.experts, found.problem) == (0.3, None, "")


def test_a_loop_that_cannot_be_asked_stops_nothing(tmp_path: Path) -> None:
    def broken() -> str:
        raise RuntimeError("no <instance>")

    (tmp_path / "kappa_report").mkdir()
    (tmp_path / "kappa_report" / "0000.parquet").write_bytes(b"damaged")
    found = loop_so_far(str(tmp_path), broken)
    assert "no <instance>" in found.problem
    assert "could not be read" in found.problem
    assert html.escape(found.problem) != found.problem
