"""Bodies are read here, once: none too large, none too slow; pages get what was read."""

import anyio
from starlette.requests import Request
from starlette.types import Message, Receive

MAX_BODY = 64 * 1024
# A policy with its examples, or a long comment: a letter of many scripts takes nine bytes in a form.
MAX_LONG_BODY = 1024 * 1024
_LONG = ("/policy/", "/adjudication/")
# Other programs report here, and wrap what they report in a lot of their own.
MAX_HOOK_BODY = 1024 * 1024
SECONDS_TO_ARRIVE = 20


class BodyError(Exception):
    """A body was refused.

    :param status: 400 malformed, 408 too slow, 413 too large.
    """

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


def most_of(path: str) -> int:
    """Return how many bytes a form may have that is sent to a path."""
    return MAX_LONG_BODY if path.startswith(_LONG) else MAX_BODY


async def read_body(request: Request, most: int) -> bytes:
    """Return a request's body; of one that is too large no more is read than it takes to know.

    :raises BodyError: it is too large or too slow.
    :raises ClientDisconnect: the sender went away.
    """
    declared = request.headers.get("content-length")
    if declared is not None:
        if not (declared.isascii() and declared.isdigit()):
            raise BodyError(400)
        # A number of many digits costs time to read, and is too large anyhow.
        if len(declared) > 12 or int(declared) > most:
            raise BodyError(413)
    body = bytearray()
    try:
        with anyio.fail_after(SECONDS_TO_ARRIVE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise BodyError(413)
    except TimeoutError:
        raise BodyError(408) from None
    return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives the body once, and then what the server says."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
