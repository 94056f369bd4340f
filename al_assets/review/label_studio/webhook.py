"""Label Studio calls the desk when something was submitted; the desk answers at once and pulls in the background."""

import hmac
import logging
import threading
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from al_assets.review.desk.shell.desk import Desk
from al_assets.review.label_studio.client import load_settings, settings_path
from al_assets.review.label_studio.pull import pull
from al_assets.review.label_studio.push import SECRET_HEADER

PATH = "/hooks/label-studio"
_LOG = logging.getLogger(__name__)


class Coalescer:
    """Does a piece of work in the background, one run at a time, however often it is asked for.

    Asked while it runs, it runs once more afterwards; so whatever was there when it was asked for is seen.

    :param pause_seconds: waited before each run, so that a burst of requests makes one.
    """

    def __init__(self, work: Callable[[], object], pause_seconds: float = 1.0) -> None:
        self._work = work
        self._pause = pause_seconds
        self._lock = threading.Lock()
        self._running = False
        self._wanted = False

    def ask(self) -> None:
        """Have the work done soon; returns at once."""
        with self._lock:
            self._wanted = True
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._run, name="label-studio-pull", daemon=True).start()

    def _run(self) -> None:
        waiting = threading.Event()
        while True:
            waiting.wait(self._pause)
            with self._lock:
                self._wanted = False
            try:
                self._work()
            except Exception:
                # The next call, or 'al label-studio pull', finds whatever this one missed.
                _LOG.exception("pulling from Label Studio failed")
            with self._lock:
                if not self._wanted:
                    self._running = False
                    return


def routes(desk: Desk) -> list[Route]:
    """Return where Label Studio calls: nothing without a settings file that has a webhook secret.

    :raises PolicyError: the settings file is wrong.
    """
    path = settings_path(desk.policy)
    if not path.is_file():
        return []
    settings = load_settings(path)
    if settings.webhook_secret is None:
        return []
    secret = settings.webhook_secret.get_secret_value().encode()

    def work() -> None:
        report = pull(desk.ledger, desk.policy, settings)
        _LOG.info("%s", report)
        for rejection in report.votes.rejected:
            _LOG.warning("annotation %s became no vote: %s", rejection.row, rejection.reason)

    pulls = Coalescer(work)

    async def called(request: Request) -> Response:
        given = request.headers.get(SECRET_HEADER, "").encode("latin-1")
        if not hmac.compare_digest(given, secret):
            return PlainTextResponse("the secret is missing or wrong", 403)
        # The call says only that there is something; what it is comes by the pull, so the body is not read.
        pulls.ask()
        return PlainTextResponse("pulling", 202)

    return [Route(PATH, called, methods=["POST"])]
