"""The desk as one application: everyone's pages behind one gate."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from al_assets.review.desk.adjudication import pages as adjudication_pages
from al_assets.review.desk.adjudication.cases import Docket
from al_assets.review.desk.dashboard import pages as dashboard_pages
from al_assets.review.desk.people import pages as people_pages
from al_assets.review.desk.people.changes import keep_raters_blind
from al_assets.review.desk.policy import pages as policy_pages
from al_assets.review.desk.rating import pages as rating_pages
from al_assets.review.desk.security.addresses import Addresses
from al_assets.review.desk.security.errors import HANDLERS, OnFailure
from al_assets.review.desk.security.gate import Gate
from al_assets.review.desk.security.identities import Cookies, Identities
from al_assets.review.desk.security.middleware import AccessLog, SecurityHeaders
from al_assets.review.desk.shell import entrance, events
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.label_studio import webhook

_LOG = logging.getLogger("al_assets.desk")
PAGES = (entrance, people_pages, rating_pages, policy_pages, events, webhook)
# A vote waits in a thread until it is durable, at most seconds; meanwhile everybody else needs one too.
THREADS = 200


def make_app(desk: Desk) -> Starlette:
    """Return the desk's application; it uses the desk, and closes nothing of it."""
    settings = desk.policy.desk
    for name in keep_raters_blind(desk.people, desk.ledger, "the desk"):
        _LOG.warning("review.raters: %s has another role at the desk or was deactivated, and may not vote", name)
    cookies, addresses = Cookies(desk.secret, settings), Addresses(settings)
    identities = Identities(desk.people, cookies, addresses, settings)
    docket = Docket(desk)
    routes: list[BaseRoute] = [route for pages in PAGES for route in pages.routes(desk)]
    routes += [*adjudication_pages.routes(desk, docket), *dashboard_pages.routes(desk, docket)]
    routes.append(Mount("/static", StaticFiles(packages=[("al_assets.review.desk", "static")]), name="static"))
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(AccessLog),
            Middleware(SecurityHeaders, settings=settings),
            Middleware(Gate, identities=identities, cookies=cookies, addresses=addresses, settings=settings),
        ],
        exception_handlers={**HANDLERS, Exception: OnFailure(settings)},
        lifespan=_with_threads,
    )
    # Its redirects name the host that the request named.
    app.router.redirect_slashes = False

    app.state.cookies = cookies
    app.state.identities = identities
    return app


@asynccontextmanager
async def _with_threads(_: Starlette) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = THREADS
    yield
