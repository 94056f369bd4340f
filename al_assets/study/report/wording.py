"""How the figures of a study are said: numbers, intervals, what lies outside of what was run, and whole sentences."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from al_assets.study.report.arms import Setting
from al_assets.study.report.comparison import AREA, LAST
from al_assets.study.report.saving import EXACT, FEWER, MORE

Row = Mapping[str, Any]
MEASURES = {LAST: "last round", AREA: "whole curve"}
NAMES = {"kappa": "population", "kappa_boundary": "boundary items"}


def decimal(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """Return .47, -.03 or 1.00; with ``sign`` +.47; "" for None."""
    if value is None:
        return ""
    # Adding 0 turns -0 into 0.
    text = f"{round(value, digits) + 0.0:{'+' if sign else ''}.{digits}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 and "0." in text[:3] else text


def span(low: float | None, high: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """Return (.44 to .50); "" without an interval."""
    if low is None or high is None:
        return ""
    return f"({decimal(low, digits, sign=sign)} to {decimal(high, digits, sign=sign)})"


def estimate(row: Row, name: str = "mean", digits: int = 2, *, sign: bool = False) -> str:
    """Return .47 (.44 to .50) from a row's ``name``, low and high."""
    return f"{decimal(row[name], digits, sign=sign)} {span(row['low'], row['high'], digits, sign=sign)}".strip()


def count(value: float) -> str:
    """Return a number of items with thousands separated, to two digits from 100 on."""
    if value >= 100:
        step = 10 ** (math.floor(math.log10(value)) - 1)
        value = round(value / step) * step
    return f"{round(value):,}"


def whole(value: float) -> str:
    """Return a number of items that is known exactly."""
    return f"{round(value):,}"


def times(value: float) -> str:
    """Return a factor to two digits."""
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """Return a share as 41 %."""
    return "" if value is None else f"{100 * value:.0f} %"


def p_value(value: float | None) -> str:
    """Return .03, .004 or < .001."""
    if value is None:
        return ""
    return "< .001" if value < 0.001 else decimal(value, 2 if value >= 0.01 else 3)


def seeds_of(number: int) -> str:
    """Return "5 seeds", or what one seed means."""
    return f"{number} seeds" if number > 1 else "one seed, so no interval"


def capital(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def joined(names: Iterable[str]) -> str:
    """Return a, b and c."""
    *first, last = list(names)
    return f"{', '.join(first)} and {last}" if first else last


def crowd_amount(value: float | None, bound: str | None, row: Row) -> str:
    """Return a number of crowd labels: 1,900, "more than 10,000" or "fewer than 100"."""
    if bound == MORE:
        return f"more than {whole(row['most'])}"
    if bound == FEWER:
        return f"fewer than {whole(row['fewest'])}"
    return "" if value is None else count(value)


def crowd_span(row: Row) -> str:
    """Return (1,200 to more than 10,000); "" without an interval."""
    if row["low_bound"] is None:
        return ""
    low, high = (crowd_amount(row[end], row[f"{end}_bound"], row) for end in ("low", "high"))
    return f"({low})" if low == high else f"({low} to {high})"


def reduction(row: Row, name: str) -> str:
    """Return the crowd labels over the expert labels or votes: 5.3 (3.3 to 7.2), "more than 28"."""
    value = row[name]
    if value is None:
        return ""
    if row["bound"] != EXACT:
        return f"{'more' if row['bound'] == MORE else 'less'} than {times(value)}"
    if row["low_bound"] is None:
        return times(value)
    cost = row["crowd_labels"] / value
    limits = {MORE: ("more than ", row["most"]), FEWER: ("less than ", row["fewest"])}
    ends = []
    for end in ("low", "high"):
        word, labels = limits.get(row[f"{end}_bound"], ("", row[end]))
        ends.append(word + times(labels / cost))
    return f"{times(value)} ({ends[0]} to {ends[1]})"


def labels_amount(row: Row) -> str:
    """Return the labels that a strategy needs: 142 (120 to 170), "not reached", with the share that reaches it."""
    if row["bound"] == MORE:
        share = row["reached_share"]
        reached = f" ({percent(share)} of resamples do)" if row["interval"] and share > 0 else ""
        return f"not within {whole(row['last_labels'])}{reached}"
    text = f"{'at most ' if row['bound'] == FEWER else ''}{whole(row['labels'])}"
    if not row["interval"]:
        return text
    high = "not reached" if row["high"] is None else whole(row["high"])
    low = "not reached" if row["low"] is None else whole(row["low"])
    share = "" if row["reached_share"] == 1 else f", {percent(row['reached_share'])} of resamples reach it"
    return f"{text} ({low} to {high}{share})"


def factor(row: Row, name: str) -> str:
    """Return a reduction factor against random or the crowd, or "" if nothing is known of it."""
    value, bound = row[f"{name}_factor"], row[f"{name}_bound"]
    if value is None:
        return ""
    if bound != EXACT:
        return f"{'more' if bound == MORE else 'less'} than {times(value)}"
    if not row[f"{name}_interval"]:
        return times(value)
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{times(value)} ({'?' if low is None else times(low)} to {'no limit' if high is None else times(high)})"


def setting_title(setting: Setting, settings: Sequence[Setting]) -> str:
    """Return a setting's name: the data set, and of the rest what differs between settings of the study."""
    parts = [setting.dataset]
    if len({each.student for each in settings}) > 1:
        parts.append(setting.student)
    if len({each.embedding for each in settings}) > 1:
        parts.append(setting.embedding)
    if len({each.budget for each in settings}) > 1:
        parts.append("no budget" if setting.budget is None else f"{setting.budget} a round")
    return ", ".join(parts)
