import threading
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.label_studio.push import SECRET_HEADER
from al_assets.review.label_studio.webhook import PATH, Coalescer, routes
from al_assets_tests.support.label_studio.published import SECRET, published
from al_assets_tests.support.processes import wait_until

pytest.importorskip("label_studio_sdk", reason="pip install 'al_assets[label-studio]'")
# The SDK is written for an older pydantic.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")


def test_requests_while_it_runs_make_one_more_run() -> None:
    started, go_on, runs = threading.Semaphore(0), threading.Semaphore(0), []

    def work() -> None:
        runs.append(threading.current_thread())
        started.release()
        assert go_on.acquire(timeout=60)
        if len(runs) == 1:
            raise RuntimeError("the server is down")

    pulls = Coalescer(work, pause_seconds=0.01)
    pulls.ask()
    assert started.acquire(timeout=60)
    for _ in range(100):
        pulls.ask()
    go_on.release()
    assert started.acquire(timeout=60)
    go_on.release()
    assert wait_until(lambda: not runs[-1].is_alive(), 60, every=0.01)
    assert len(runs) == 2
    assert runs[0] is runs[1]
    pulls.ask()
    assert started.acquire(timeout=60)
    go_on.release()
    assert len(runs) == 3


def test_only_who_knows_the_secret_makes_the_desk_pull(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ledger, policy = published(tmp_path, "spam")
    desk = Desk(policy, ledger, PeopleStore(policy.ledger_url, policy.policy.name), b"k" * 32)
    assert routes(desk) == []
    settings = "url: http://127.0.0.1:9\n  api_key: key\n  attempts: 1\n  raters: {anna@example.org: anna}"
    file = tmp_path / "label_studio.yaml"
    file.write_text(f"label_studio:\n  {settings}\n")
    assert routes(desk) == []
    file.write_text(f"label_studio:\n  {settings}\n  webhook_secret: {SECRET}\n")
    with TestClient(Starlette(routes=routes(desk))) as client:
        assert client.post(PATH).status_code == 403
        assert client.post(PATH, headers={SECRET_HEADER: SECRET + "0"}).status_code == 403
        assert client.post(PATH, headers=[(SECRET_HEADER.encode(), b"\xff")]).status_code == 403
        assert client.get(PATH, headers={SECRET_HEADER: SECRET}).status_code == 405
        assert not caplog.records
        assert client.post(PATH, headers={SECRET_HEADER: SECRET}, content=b"not json").status_code == 202
        # Nothing listens there: the desk goes on, and says so.
        assert wait_until(lambda: "pulling from Label Studio failed" in caplog.text, 60, every=0.05)
    assert SECRET not in caplog.text
    ledger.close()
    desk.people.close()
