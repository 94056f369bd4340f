"""Raters at their browsers: each answers, gets the next question in return, and tries again after a crash."""

import asyncio
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape

import httpx

GIVE_UP_SECONDS = 60.0
_RETRY_SECONDS = 0.05
_FORM = re.compile(r'<form\b[^>]*\baction="(?P<action>/questions/[^"]+/answer)"[^>]*>(?P<inside>.*?)</form>', re.DOTALL)
_HIDDEN = re.compile(r"<input\b[^>]*>")
_ATTRIBUTE = re.compile(r'\b(type|name|value)="([^"]*)"')


@dataclass(frozen=True)
class Question:
    """The form of a question, as a browser would send it."""

    action: str
    fields: Mapping[str, str]


@dataclass
class Diary:
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
    """One rater with a browser of his own; he signs in with his link."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self._browser = httpx.AsyncClient(base_url=address, timeout=30, headers={"Origin": address})

    async def sign_in(self, link: str) -> None:
        """Follow an invitation.

        :raises RuntimeError: it was refused.
        """
        page = await self._browser.get(link)
        csrf = _hidden(page.text).get("csrf", "")
        answer = await self._browser.post(link, data={"csrf": csrf})
        if answer.status_code != httpx.codes.SEE_OTHER:
            raise RuntimeError(f"{self.name} was not let in: {answer.status_code}")

    async def work(self, until: float, think_seconds: float, diary: Diary) -> None:
        """Answer question after question until a moment, or until nothing is left.

        :param until: of ``time.monotonic``.
        :param think_seconds: between two answers.
        """
        page = await self._patiently("GET", "/questions", {}, diary)
        question = question_of(page)
        while question is not None and time.monotonic() < until:
            if think_seconds:
                await asyncio.sleep(think_seconds * (0.5 + _share(f"{self.name}{question.action}")))
            page = await self._patiently("POST", question.action, self._answer(question), diary)
            if "saved" in page.lower():
                diary.accepted.append((self.name, question.action))
            question = question_of(page)

    async def leave(self) -> None:
        """Close the browser."""
        await self._browser.aclose()

    def _answer(self, question: Question) -> dict[str, str]:
        chosen = "positive" if _share(question.action) < 0.4 else "negative"
        return {**question.fields, "answer": chosen, "comment": ""}

    async def _patiently(self, method: str, path: str, data: Mapping[str, str], diary: Diary) -> str:
        """Send a request, again after a crash of the server, and return the page."""
        began = time.monotonic()
        crashed = False
        while True:
            sent = time.monotonic()
            try:
                found = await self._browser.request(method, path, data=data or None, headers={"HX-Request": "true"})
            except httpx.TransportError as error:
                crashed = True
                if time.monotonic() - began > GIVE_UP_SECONDS:
                    diary.errors.append(f"{method} {path}: {type(error).__name__} for {GIVE_UP_SECONDS:.0f} s")
                    return ""
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if found.status_code != httpx.codes.OK:
                diary.errors.append(f"{method} {path}: {found.status_code}")
            if method == "POST":
                now = time.monotonic()
                (diary.outages if crashed else diary.seconds).append(now - (began if crashed else sent))
            return found.text


def question_of(page: str) -> Question | None:
    """Return the form of the question on a page, None if there is none."""
    form = _FORM.search(page)
    return None if form is None else Question(unescape(form["action"]), _hidden(form["inside"]))


def _hidden(html: str) -> dict[str, str]:
    inputs = (dict(_ATTRIBUTE.findall(each)) for each in _HIDDEN.findall(html))
    return {each["name"]: unescape(each.get("value", "")) for each in inputs if each.get("type") == "hidden"}


def _share(name: str) -> float:
    """Return a number in [0, 1) that depends on a name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48
