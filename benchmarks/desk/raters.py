"""Raters at their browsers: each answers, gets the next question in return, and tries again after a crash."""

import asyncio
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlencode

from al_assets.review.desk.rating.screens import Said

SECONDS_TO_WAIT = 30.0
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_COOKIE = re.compile(rb"\r\nset-cookie: *([^;\r\n]+)", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class BrokenConnectionError(OSError):
    """The server is gone, or does not answer."""


class Answer(NamedTuple):
    """What the server said."""

    status: int
    text: str


class Browser:
    """One kept connection over plain HTTP with a jar for cookies; one request at a time.

    :param host: of the server, with ``port``.
    :param headers: of every request.
    """

    def __init__(self, host: str, port: int, headers: Mapping[str, str]) -> None:
        self._place = host, port
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in {"Host": f"{host}:{port}", **headers}.items())
        self._cookies: dict[str, str] = {}
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, form: Mapping[str, str] | None = None) -> Answer:
        """Send a request and return the answer.

        :raises BrokenConnectionError: there is no answer; it is unknown whether the server acted.
        """
        try:
            async with asyncio.timeout(SECONDS_TO_WAIT):
                return await self._exchange(method, path, form)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.close()
            raise BrokenConnectionError(f"{method} {path}: {type(error).__name__}") from error

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _exchange(self, method: str, path: str, form: Mapping[str, str] | None) -> Answer:
        reader, writer = self._streams = self._streams or await asyncio.open_connection(*self._place)
        body = urlencode(form or {})
        head = f"{method} {path} HTTP/1.1\r\n{self._headers}"
        if self._cookies:
            head += f"Cookie: {'; '.join(f'{name}={value}' for name, value in self._cookies.items())}\r\n"
        if method == "POST":
            head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}\r\n{body}".encode())
        head_of_answer = await reader.readuntil(b"\r\n\r\n")
        status, length = _STATUS.match(head_of_answer), _LENGTH.search(head_of_answer)
        if status is None:
            raise BrokenConnectionError(f"{method} {path}: {head_of_answer[:80]!r} is no answer")
        for cookie in _COOKIE.findall(head_of_answer):
            name, _, value = cookie.decode("latin-1").partition("=")
            self._cookies[name] = value
        text = (await reader.readexactly(int(length[1]))).decode() if length else ""
        if _CLOSES.search(head_of_answer):
            self.close()
        return Answer(int(status[1]), text)


GIVE_UP_SECONDS = 60.0
_RETRY_SECONDS = 0.05
_FORM = re.compile(r'<form\b[^>]*\baction="(?P<action>/questions/[^"]+/answer)"[^>]*>(?P<inside>.*?)</form>', re.DOTALL)
_HIDDEN = re.compile(r"<input\b[^>]*>")
_ATTRIBUTE = re.compile(r'\b(type|name|value)="([^"]*)"')
_SAVED = re.compile(rf'<p id="said"[^>]*>{re.escape(Said.SAVED.words)}</p>')


@dataclass(frozen=True)
class Question:
    """The form of a question, as a browser would send it."""

    action: str
    fields: Mapping[str, str]


@dataclass
class WorkingTime:
    """How long the raters work.

    :param ends: of ``time.monotonic``; put off by the time for which there is no server.
    """

    ends: float


@dataclass
class RaterLog:
    """What the raters saw.

    :param seconds: from the answer that was sent to the next question on the page; those after a crash left out.
    :param outages: seconds of the answers that had to be sent again, until one was accepted.
    :param accepted: (rater, form's action) of each answer that the page said was saved.
    :param errors: what went wrong otherwise.
    """

    seconds: list[float] = field(default_factory=list)
    outages: list[float] = field(default_factory=list)
    accepted: list[tuple[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Rater:
    """One rater with a browser, who signs in with a link.

    :param port: of the server on the loopback interface.
    """

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self._question: Question | None = None
        self._browser = Browser("127.0.0.1", port, {"Origin": f"http://127.0.0.1:{port}", "HX-Request": "true"})

    async def sign_in(self, link: str) -> None:
        """Follow an invitation and open the first question.

        :raises RuntimeError: it was refused.
        """
        page = await self._browser.request("GET", link)
        answer = await self._browser.request("POST", link, {"csrf": _hidden(page.text).get("csrf", "")})
        if answer.status != HTTPStatus.SEE_OTHER:
            raise RuntimeError(f"{self.name} was not let in: {answer.status}")
        self._question = question_of((await self._browser.request("GET", "/questions")).text)

    async def work(self, working_time: WorkingTime, think_seconds: float, log: RaterLog) -> None:
        """Answer question after question until the working time ends, or until nothing is left.

        :param think_seconds: between two answers.
        """
        while (question := self._question) is not None and time.monotonic() < working_time.ends:
            if think_seconds:
                await asyncio.sleep(think_seconds * (0.5 + _share(f"{self.name}{question.action}")))
            page = await self._patiently(question.action, self._answer(question), log)
            if _SAVED.search(page):
                log.accepted.append((self.name, question.action))
            self._question = question_of(page)

    def leave(self) -> None:
        """Close the browser."""
        self._browser.close()

    def _answer(self, question: Question) -> dict[str, str]:
        chosen = "positive" if _share(question.action) < 0.4 else "negative"
        return {**question.fields, "answer": chosen, "comment": ""}

    async def _patiently(self, action: str, data: Mapping[str, str], log: RaterLog) -> str:
        """Send an answer, again after a crash of the server, and return the page."""
        began = time.monotonic()
        crashed = False
        while True:
            sent = time.monotonic()
            try:
                answer = await self._browser.request("POST", action, data)
            except BrokenConnectionError as error:
                crashed = True
                if time.monotonic() - began > GIVE_UP_SECONDS:
                    log.errors.append(f"{error} for {GIVE_UP_SECONDS:.0f} s")
                    return ""
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if answer.status != HTTPStatus.OK:
                log.errors.append(f"POST {action}: {answer.status}")
            now = time.monotonic()
            (log.outages if crashed else log.seconds).append(now - (began if crashed else sent))
            return answer.text


def question_of(page: str) -> Question | None:
    """Return the form of the question on a page, None if there is none."""
    form = _FORM.search(page)
    return None if form is None else Question(unescape(form["action"]), _hidden(form["inside"]))


def _hidden(html: str) -> dict[str, str]:
    inputs = (dict(_ATTRIBUTE.findall(field)) for field in _HIDDEN.findall(html))
    return {field["name"]: unescape(field.get("value", "")) for field in inputs if field.get("type") == "hidden"}


def _share(name: str) -> float:
    """Return a number in [0, 1) that depends on a name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48
