"""A real Label Studio server of its own environment, and people who annotate through its API."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from al_assets_tests.support.processes import Service, wait_until
from benchmarks.processes import free_port

ADMIN = "admin@example.org"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
PASSWORD = "correct-horse-battery"


@dataclass(frozen=True)
class Annotator:
    """Somebody with an account, at the pages that label in a browser call."""

    email: str
    number: int
    api: httpx.Client
    access_token: str

    def next_task(self, project: int) -> dict[str, Any] | None:
        answer = self.api.get(f"/api/projects/{project}/next")
        return None if answer.status_code == 404 else dict(answer.raise_for_status().json())

    def submit(self, task: int, label: str, reason: str = "", comment: str = "", **fields: Any) -> int:
        body = {"result": result(label, reason, comment), **fields}
        return int(self.api.post(f"/api/tasks/{task}/annotations/", json=body).raise_for_status().json()["id"])

    def change(self, annotation: int, label: str, reason: str = "", comment: str = "") -> None:
        body = {"result": result(label, reason, comment)}
        self.api.patch(f"/api/annotations/{annotation}/", json=body).raise_for_status()

    def delete(self, annotation: int) -> None:
        self.api.delete(f"/api/annotations/{annotation}/").raise_for_status()

    def task(self, number: int) -> dict[str, Any]:
        return dict(self.api.get(f"/api/tasks/{number}/").raise_for_status().json())


@dataclass(frozen=True)
class LabelStudioServer:
    url: str
    admin: httpx.Client
    anna: Annotator
    ben: Annotator

    def tasks(self, project: int) -> list[dict[str, Any]]:
        found = self.admin.get("/api/tasks", params={"project": project, "fields": "all", "page_size": 1000})
        return list(found.raise_for_status().json()["tasks"])


def result(label: str, reason: str = "", comment: str = "") -> list[dict[str, Any]]:
    """Return what the labelling page stores."""
    found: list[dict[str, Any]] = [_choice("answer", label)]
    if reason:
        found.append(_choice("undecided_reason", reason))
    if comment:
        value = {"text": [comment]}
        found.append({"from_name": "comment", "to_name": "text", "type": "textarea", "value": value})
    return found


@contextlib.contextmanager
def label_studio_server(python: str, folder: Path) -> Iterator[LabelStudioServer]:
    """Start a server on a free port of the loopback interface; it ends with the block."""
    data, empty = folder / "data", Path(python).parent.parent / "empty-data"
    if empty.is_dir():
        shutil.copytree(empty, data)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        str(Path(python).parent / "label-studio"), "start", "--no-browser", "--data-dir", str(data), "--internal-host",
        "127.0.0.1", "--port", str(port), "--username", ADMIN, "--password", PASSWORD, "--user-token", TOKEN,
    ]  # fmt: skip
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "COLLECT_ANALYTICS": "false", "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": "", "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        # Else it calls no webhook on this machine.
        "SSRF_PROTECTION_ENABLED": "false", "DEBUG": "false", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    }  # fmt: skip
    service = Service("label-studio", command, environment, folder, folder)
    service.start()
    try:
        _wait(url, service)
        with httpx.Client(base_url=url, headers={"Authorization": f"Token {TOKEN}"}, timeout=30) as admin:
            anna, ben = (_sign_up(url, admin, f"{name}@example.org") for name in ("anna", "ben"))
            yield LabelStudioServer(url, admin, anna, ben)
            anna.api.close()
            ben.api.close()
    finally:
        service.stop()


def _wait(url: str, service: Service) -> None:
    def answers() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/health", timeout=5).status_code == 200
        return service.has_ended

    if not wait_until(answers, 180) or service.has_ended:
        raise RuntimeError(f"Label Studio did not start:\n{service.log.read_text(errors='replace')[-4000:]}")


def _sign_up(url: str, admin: httpx.Client, email: str) -> Annotator:
    """Sign somebody up as the pages do, and return them with a legacy token; a personal access token comes along."""
    page = url + admin.get("/api/invite").json()["invite_url"]
    with httpx.Client(base_url=url, follow_redirects=True, timeout=30) as browser:
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get(page).text)
        assert found
        form = {"csrfmiddlewaretoken": found[1], "email": email, "password": PASSWORD, "how_find_us": "other"}
        browser.post(page, data=form, headers={"Referer": page}).raise_for_status()
        number = browser.get("/api/current-user/whoami").raise_for_status().json()["id"]
        token = browser.get("/api/current-user/token").raise_for_status().json()["token"]
        headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": url}
        access = browser.post("/api/token/", headers=headers).raise_for_status().json()["token"]
    api = httpx.Client(base_url=url, headers={"Authorization": f"Token {token}"}, timeout=30)
    return Annotator(email, number, api, access)


def _choice(name: str, value: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": "text", "type": "choices", "value": {"choices": [value]}}
