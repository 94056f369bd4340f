"""How the figures of a study are said: numbers, intervals, and what lies outside of what was run."""

import math
from collections.abc import Sequence

from al_assets import formatting
from al_assets.study.report.arms import Setting, SummaryRow
from al_assets.study.report.saving import EXACT, FEWER, MORE


def decimal(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """Return .47, -.03 or 1.00; with ``sign`` +.47; "" for None."""
    return formatting.decimal(value, digits, sign=sign, bare=True, missing="")


def estimate(row: SummaryRow, name: str = "mean", digits: int = 2, *, sign: bool = False, prefix: str = "") -> str:
    """Return .47 (.44 to .50) from a row's ``name`` and its low and high.

    :param prefix: before ``low`` and ``high`` in the names of the interval's columns.
    """
    ends = row[f"{prefix}low"], row[f"{prefix}high"]
    return formatting.estimate(row[name], *ends, digits, sign=sign, bare=True, missing="")


def difference(row: SummaryRow, prefix: str = "") -> str:
    """Return a row's difference with its interval: +.050 (+.046 to +.054)."""
    return estimate(row, "difference", 3, sign=True, prefix=prefix)


def differs(row: SummaryRow, prefix: str = "") -> bool:
    """Return whether a row's interval leaves 0 out."""
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    return low is not None and bool(low > 0 or high < 0)


def ends(row: SummaryRow) -> str:
    """Return a row's interval: .44 to .50."""
    return formatting.interval(row["low"], row["high"], bare=True)


def percent(share: float | None) -> str:
    """Return a share as 41 %; "" for None."""
    return formatting.percent(share, missing="")


def two_digits(value: float) -> str:
    """Return a number of items to two digits from 100 on, with thousands separated."""
    if value >= 100:
        step = 10 ** (math.floor(math.log10(value)) - 1)
        value = round(value / step) * step
    return formatting.whole(value)


def times(value: float) -> str:
    """Return a factor to two digits."""
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def p_value(value: float | None) -> str:
    """Return .03, .004 or < .001; "" for None."""
    if value is not None and value < 0.001:
        return "< .001"
    return decimal(value, 3 if value is not None and value < 0.01 else 2)


def seeds_of(number: int) -> str:
    """Return "5 seeds", or what one seed means."""
    return f"{number} seeds" if number > 1 else "one seed, so no interval"


def seed_note(rows: Sequence[SummaryRow]) -> str:
    """Return on how many seeds a table rests, as a sentence after its caption; "" without rows."""
    counts = sorted({row["seeds"] for row in rows})
    if len(counts) < 2:
        return f" {formatting.capital(seeds_of(counts[0]))}." if counts else ""
    return f" {counts[0]} to {counts[-1]} seeds."


def crowd_amount(value: float | None, bound: str | None, row: SummaryRow) -> str:
    """Return a number of crowd labels: 1,900, "more than 10,000" or "fewer than 100"."""
    if bound == MORE:
        return f"more than {formatting.whole(row['most'])}"
    if bound == FEWER:
        return f"fewer than {formatting.whole(row['fewest'])}"
    return "" if value is None else two_digits(value)


def crowd_interval(row: SummaryRow) -> str:
    """Return 1,200 to more than 10,000; "" without an interval."""
    if row["low_bound"] is None:
        return ""
    low, high = (crowd_amount(row[end], row[f"{end}_bound"], row) for end in ("low", "high"))
    return low if low == high else f"{low} to {high}"


def crowd_labels(row: SummaryRow) -> str:
    """Return the crowd labels that do as well: 1,900 (1,200 to 2,600)."""
    amount, interval = crowd_amount(row["crowd_labels"], row["bound"], row), crowd_interval(row)
    return f"{amount} ({interval})" if interval else amount


def certain(row: SummaryRow) -> str:
    """Return whether the crowd surely needs ``more`` or ``fewer`` labels than the experts gave; "" if that is open."""
    least = row["most"] if row["low_bound"] == MORE else row["low"]
    if row["low_bound"] in (MORE, EXACT) and least > row["labels"]:
        return "more"
    at_most = row["fewest"] if row["high_bound"] == FEWER else row["high"]
    return "fewer" if row["high_bound"] in (FEWER, EXACT) and at_most < row["labels"] else ""


def reduction(row: SummaryRow, name: str) -> str:
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
    words = []
    for end in ("low", "high"):
        word, labels = limits.get(row[f"{end}_bound"], ("", row[end]))
        words.append(word + times(labels / cost))
    return f"{times(value)} ({words[0]} to {words[1]})"


def labels_amount(row: SummaryRow) -> str:
    """Return the labels that a strategy needs: 142 (120 to 170), "not reached", with the share that reaches it."""
    if row["bound"] == MORE:
        share = row["reached_share"]
        reached = f" ({percent(share)} of resamples do)" if row["interval"] and share > 0 else ""
        return f"not within {formatting.whole(row['last_labels'])}{reached}"
    text = f"{'at most ' if row['bound'] == FEWER else ''}{formatting.whole(row['labels'])}"
    if not row["interval"]:
        return text
    low, high = ("not reached" if row[end] is None else formatting.whole(row[end]) for end in ("low", "high"))
    share = "" if row["reached_share"] == 1 else f", {percent(row['reached_share'])} of resamples reach it"
    return f"{text} ({low} to {high}{share})"


def factor(row: SummaryRow, name: str) -> str:
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


def limit_end(row: SummaryRow, end: str) -> str:
    """Return an end of the interval of the expert kappa at which curation stops beating the crowd."""
    bound = row[f"{end}_bound"]
    if bound == EXACT:
        return decimal(row[end])
    return f"above {decimal(row['highest'])}" if bound == MORE else f"below {decimal(row['lowest'])}"


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
