"""Pages from templates: everything that comes from items, raters or the policy is escaped."""

import hashlib
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from al_assets import formatting
from al_assets.review.desk.shell.texts import shown


@lru_cache(maxsize=100)
def asset(name: str) -> str:
    """Return the address of a static file; it changes with the file, so that browsers may keep it for ever."""
    content = files("al_assets.review.desk").joinpath("static", name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


ENVIRONMENT = Environment(
    loader=PackageLoader("al_assets.review.desk"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True, auto_reload=False,
)  # fmt: skip


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a rendered template.

    It also knows ``person`` (None before signing in), ``csrf``, ``path``, ``by_proxy`` (somebody else signs people in
    and out), ``asset(name)``, ``about(time)``, ``due(deadline, now)``, ``shown(text)`` and ``formatting``.
    """
    common = {
        "person": getattr(request.state, "person", None),
        "csrf": getattr(request.state, "csrf", ""),
        "by_proxy": getattr(request.state, "by_proxy", False),
        "path": request.url.path,
    }
    return HTMLResponse(ENVIRONMENT.get_template(template).render(**common, **context), status_code=status)


def wants_fragment(request: Request) -> bool:
    """Whether htmx asks for a part of the page only."""
    return request.headers.get("HX-Request") == "true"


def about(time: timedelta) -> str:
    """Return a time in words, such as ``about 1 h 20 min``."""
    minutes = round(time.total_seconds() / 60)
    if minutes < 1:
        return "less than a minute"
    hours, rest = divmod(minutes if minutes < 60 else round(minutes / 10) * 10, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{rest} min"] * bool(rest)
    return f"about {' '.join(parts)}"


def due(deadline: datetime, now: datetime) -> str:
    """Return how far away a deadline is, such as ``in 2 days``."""
    seconds = abs((deadline - now).total_seconds())
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size or size == 1)
    if unit == "second":
        return "now"
    many = formatting.count(int(seconds // size), unit)
    return f"in {many}" if deadline > now else f"{many} ago"


_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
ENVIRONMENT.globals.update(asset=asset, formatting=formatting, about=about, due=due, shown=shown)
