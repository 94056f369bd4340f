"""Numbers for people, in one place: figures, intervals, shares, counts and moments."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

NOTHING = "–"
"""What stands where there is no number."""


def decimal(
    value: float | None, digits: int = 2, *, sign: bool = False, bare: bool = False, missing: str = NOTHING
) -> str:
    """Return a figure such as kappa: 0.47, -0.03; never -0.00.

    :param sign: +0.47 instead of 0.47.
    :param bare: .47 and -.03, without the zero before the point.
    :param missing: returned for None and NaN.
    """
    if value is None or math.isnan(value):
        return missing
    # Rounded first, and 0 added: what is a hair below 0 shall not read -0.00.
    text = f"{round(value, digits) + 0.0:{'+' if sign else ''}.{digits}f}"
    return text.replace("0.", ".", 1) if bare and text.lstrip("+-").startswith("0.") else text


def interval(
    low: float | None,
    high: float | None,
    digits: int = 2,
    *,
    sign: bool = False,
    bare: bool = False,
    missing: str = "",
) -> str:
    """Return ``0.42 to 0.66``; ``missing`` where an end is unknown."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return missing
    return f"{decimal(low, digits, sign=sign, bare=bare)} to {decimal(high, digits, sign=sign, bare=bare)}"


def estimate(
    value: float | None,
    low: float | None,
    high: float | None,
    digits: int = 2,
    *,
    sign: bool = False,
    bare: bool = False,
    missing: str = NOTHING,
) -> str:
    """Return a figure with its interval, ``0.55 (0.42 to 0.66)``; without the brackets where there is no interval."""
    text = decimal(value, digits, sign=sign, bare=bare, missing=missing)
    ends = interval(low, high, digits, sign=sign, bare=bare)
    return f"{text} ({ends})" if ends and text != missing else text


def kappa_text(kappa: Sequence[float | None] | None, *, bare: bool = False) -> str:
    """Return (estimate, low, high) as ``estimate`` does; ``undefined`` where it is."""
    value, low, high = kappa or (None, None, None)
    return estimate(value, low, high, bare=bare, missing="undefined")


def percent(share: float | None, digits: int = 0, *, missing: str = NOTHING) -> str:
    """Return a share as ``41 %``."""
    return missing if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def fine_percent(share: float) -> str:
    """Return a share as ``41 %``, with a decimal below ten per cent: ``4.2 %``."""
    return percent(share, 0 if share >= 0.0995 else 1)


def whole(value: float) -> str:
    """Return a number of things with its thousands separated: ``1,900``."""
    return f"{round(value):,}"


def count(number: int, one: str, many: str | None = None) -> str:
    """Return a number of things with their name: ``1 vote``, ``2 votes``."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def capital(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def joined(names: Iterable[str]) -> str:
    """Return ``a, b and c``."""
    *first, last = list(names)
    return f"{', '.join(first)} and {last}" if first else last


def moment(when: datetime) -> str:
    """Return a date and time of day: ``2026-11-30 14:05 UTC``."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
