"""Pages from templates: everything that comes from items, raters or the policy is escaped."""

import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse


@lru_cache(maxsize=100)
def asset(name: str) -> str:
    """Return the address of a static file; it changes with the file, so that browsers may keep it for ever."""
    content = files("al_assets.review.desk").joinpath("static", name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


ENVIRONMENT = Environment(
    loader=PackageLoader("al_assets.review.desk"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True, auto_reload=False,
)  # fmt: skip
ENVIRONMENT.globals["asset"] = asset


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a rendered template.

    It also knows ``person`` (None before signing in), ``csrf``, ``path``, ``by_proxy`` (somebody else signs people in
    and out) and ``asset(name)``.
    """
    common = {
        "person": getattr(request.state, "person", None),
        "csrf": getattr(request.state, "csrf", ""),
        "by_proxy": getattr(request.state, "by_proxy", False),
        "path": request.url.path,
    }
    return HTMLResponse(ENVIRONMENT.get_template(template).render(**common, **context), status_code=status)


async def form_of(request: Request) -> FormData:
    """Return the form of a request: as the gate has read it, or read now where there is no gate."""
    read = getattr(request.state, "form", None)
    return read if isinstance(read, FormData) else await request.form()


def wants_fragment(request: Request) -> bool:
    """Whether htmx asks for a part of the page only."""
    return request.headers.get("HX-Request") == "true"
