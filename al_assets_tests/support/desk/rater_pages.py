"""What raters see, read as a browser would read it."""

import re
from dataclasses import dataclass
from html import unescape

from al_assets_tests.support.desk.clients import DeskClient


@dataclass(frozen=True)
class Seen:
    """A rater's page."""

    html: str

    @property
    def code(self) -> str | None:
        found = re.search(r'action="/questions/(\w+)/answer"', self.html)
        return found[1] if found else None

    @property
    def undo(self) -> tuple[str, str] | None:
        found = re.search(r'action="/questions/(\w+)/withdraw".*?name="turn" value="(\d+)"', self.html, re.DOTALL)
        return (found[1], found[2]) if found else None

    @property
    def turn(self) -> str:
        return self._field(r'id="answer".*?name="turn" value="(\d+)"')

    @property
    def seen(self) -> str:
        return self._field(r'name="seen" value="(\w+)"')

    @property
    def text(self) -> str:
        return unescape(self._field(r'id="item-text" dir="auto">(.*?)</div>'))

    @property
    def said(self) -> str:
        return unescape(self._field(r'id="said"[^>]*>([^<]*)<'))

    @property
    def notice(self) -> str:
        found = re.search(r'role="alert">(.*?)</div>', self.html, re.DOTALL)
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", found[1])).split()) if found else ""

    @property
    def comment(self) -> str:
        return unescape(self._field(r"<textarea[^>]*>(.*?)</textarea>"))

    def _field(self, pattern: str) -> str:
        found = re.search(pattern, self.html, re.DOTALL)
        assert found, self.html
        return found[1]


@dataclass(frozen=True)
class Rater:
    """A rater without a script: forms and redirects."""

    client: DeskClient

    def look(self) -> Seen:
        response = self.client.get("/questions")
        assert response.status_code == 200
        return Seen(response.text)

    def send(self, page: Seen, answer: str = "positive", **fields: str) -> Seen:
        values = {"answer": answer, "turn": page.turn, "seen": page.seen, **fields}
        return self._done(f"/questions/{page.code}/answer", values)

    def answer(self, answer: str = "positive", **fields: str) -> Seen:
        return self.send(self.look(), answer, **fields)

    def undo(self, page: Seen) -> Seen:
        assert page.undo is not None
        code, turn = page.undo
        return self._done(f"/questions/{code}/withdraw", {"turn": turn, "seen": page.seen})

    def skip(self, page: Seen) -> Seen:
        return self._done(f"/questions/{page.code}/skip", {"turn": page.turn, "seen": page.seen})

    def _done(self, path: str, values: dict[str, str]) -> Seen:
        response = self.client.submit(path, **values)
        if response.status_code == 303:
            response = self.client.get(response.headers["location"])
        return Seen(response.text)


@dataclass(frozen=True)
class ScriptedRater:
    """A rater whose browser runs htmx: parts of pages come back."""

    client: DeskClient
    seen: str

    def post(self, page: Seen, act: str, **fields: str) -> tuple[int, Seen, dict[str, str]]:
        code, turn = page.undo if act == "withdraw" and page.undo else (page.code, page.turn)
        response = self.client.post(
            f"/questions/{code}/{act}",
            data={"turn": turn, "seen": self.seen, **fields},
            headers={"HX-Request": "true", "X-CSRF-Token": self.client.csrf},
        )
        return response.status_code, Seen(response.text), dict(response.headers)
