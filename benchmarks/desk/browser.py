"""A browser that costs next to nothing: the raters share two cores with the server that they measure."""

import asyncio
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

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
        found = await reader.readuntil(b"\r\n\r\n")
        status, length = _STATUS.match(found), _LENGTH.search(found)
        if status is None:
            raise BrokenConnectionError(f"{method} {path}: {found[:80]!r} is no answer")
        for cookie in _COOKIE.findall(found):
            name, _, value = cookie.decode("latin-1").partition("=")
            self._cookies[name] = value
        text = (await reader.readexactly(int(length[1]))).decode() if length else ""
        if _CLOSES.search(found):
            self.close()
        return Answer(int(status[1]), text)
