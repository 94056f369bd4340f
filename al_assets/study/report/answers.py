"""The answers of a study in plain sentences, whichever way they fall."""

import polars as pl

from al_assets.study.report.arms import RANDOM, Setting
from al_assets.study.report.comparison import AREA, LAST
from al_assets.study.report.saving import EXACT, FEWER, MORE
from al_assets.study.report.summary import StudySummary, in_setting
from al_assets.study.report.wording import (
    Row,
    count,
    crowd_amount,
    crowd_span,
    decimal,
    estimate,
    joined,
    p_value,
    reduction,
    seeds_of,
    setting_title,
    span,
    whole,
)

_WHERE = {"kappa": "on held-out items drawn at random", "kappa_boundary": "on held-out boundary items"}
_SIGNIFICANT = 0.05


def first(frame: pl.DataFrame) -> Row | None:
    """Return the first row, or None."""
    return None if frame.is_empty() else frame.row(0, named=True)


def setting_answer(summary: StudySummary, setting: Setting) -> list[str]:
    """Return what the study says of the default strategy in one setting: kappa, crowd, random, rivals."""
    own = in_setting(summary.curves, setting, variant="", strategy=summary.default)
    if own.is_empty():
        return [f"The strategy {summary.default} was not run here, so there is no answer for it."]
    found = []
    for metric in ("kappa", "kappa_boundary"):
        last = first(own.filter(pl.col("metric") == metric).sort("round", descending=True))
        if last is not None:
            found.append(f"{_level(summary, last, metric)} {_crowd(summary, setting, metric)}")
    found.append(_against_random(summary, setting))
    found.append(_against_rivals(summary, setting))
    return [text for text in found if text]


def _level(summary: StudySummary, last: Row, metric: str) -> str:
    text = decimal(last["mean"])
    sure = span(last["low"], last["high"]) or f"({seeds_of(last['seeds'])})"
    seeds = f", {seeds_of(last['seeds'])}" if last["low"] is not None else ""
    return (
        f"Curated labels ({summary.default}, {whole(last['labels'])} labels{seeds}) reach kappa {text} {sure} "
        f"{_WHERE[metric]}."
    )


def _crowd(summary: StudySummary, setting: Setting, metric: str) -> str:
    row = first(in_setting(summary.equivalents, setting, strategy=summary.default, metric=metric))
    if row is None or row["bound"] is None:
        return "There is no crowd baseline to hold that against."
    sure = crowd_span(row)
    if row["bound"] == MORE:
        interval = f" (95 % interval: {sure[1:-1]})" if row["low_bound"] == EXACT and not _doubt(row, "more") else ""
        return (
            f"The crowd does not get there with {whole(row['most'])} labels, the most that were tried, which reach "
            f"{decimal(row['crowd_level'])}: it takes more than {whole(row['most'])} crowd labels{interval}, "
            f"{reduction(row, 'per_label')} for each expert label{_doubt(row, 'more')}."
        )
    if row["bound"] == FEWER:
        return _too_few(row)
    labels, needed = row["labels"], row["crowd_labels"]
    about = f"about {count(needed)} {sure}".strip()
    certain = _certain_factor(row)
    if certain == "more":
        if not row["votes"]:
            return f"It takes {about} crowd labels to get there, {reduction(row, 'per_label')} for each expert label."
        return (
            f"It takes {about} crowd labels to get there, {reduction(row, 'per_label')} for each expert label and "
            f"{reduction(row, 'per_vote')} for each expert vote."
        )
    if certain == "fewer":
        return f"That takes {about} crowd labels, fewer than the {whole(labels)} expert labels: curation saves none."
    return (
        f"It takes {about} crowd labels to get there, against {whole(labels)} expert labels; whether curation saves "
        f"any cannot be told {'within that interval' if sure else f'by {_few(row)}'}."
    )


def _too_few(row: Row) -> str:
    text = f"As few as {whole(row['fewest'])} crowd labels, the fewest that were tried, do better"
    if row["fewest"] <= row["labels"]:
        return f"{text}: curation saves no labels here{_doubt(row, 'fewer')}."
    return f"{text}; whether {whole(row['labels'])} would was not tried."


def _doubt(row: Row, claim: str) -> str:
    """Return what is to be said against a claim that the crowd needs more, or fewer, labels than the experts."""
    if row["low_bound"] is None:
        return f"; {_few(row)} give{'s' if row['seeds'] < 2 else ''} no interval"
    if claim == "more" and row["most"] < row["labels"]:
        return "; samples as large as the experts' were not tried"
    return "" if _certain_factor(row) == claim else f"; the interval {crowd_span(row)} leaves room for chance"


def _few(row: Row) -> str:
    return "one seed" if row["seeds"] < 2 else f"{row['seeds']} seeds"


def _certain_factor(row: Row) -> str:
    """Return whether the crowd surely needs more, or fewer, labels than the experts gave; "" if that is open."""
    least = row["most"] if row["low_bound"] == MORE else row["low"]
    if row["low_bound"] in (MORE, EXACT) and least > row["labels"]:
        return "more"
    at_most = row["fewest"] if row["high_bound"] == FEWER else row["high"]
    return "fewer" if row["high_bound"] in (FEWER, EXACT) and at_most < row["labels"] else ""


def _against_random(summary: StudySummary, setting: Setting) -> str:
    if summary.default == RANDOM:
        return ""
    rows = in_setting(summary.against_random, setting, strategy=summary.default, metric="kappa")
    last, area = (first(rows.filter(pl.col("measure") == measure)) for measure in (LAST, AREA))
    if last is None or area is None:
        return "There is no random arm to hold that against."
    if last["side"] == "unknown":
        return (
            f"Against as many random labels: {decimal(last['difference'], sign=True)} in the last round and "
            f"{decimal(area['difference'], sign=True)} over the whole curve, by one seed; that is no evidence."
        )
    return (
        f"Against as many random labels: {_difference(last)} in the last round ({_verdict(last)}), {_difference(area)} "
        f"over the whole curve ({_verdict(area)})."
    )


def _difference(row: Row) -> str:
    return estimate(row, "difference", 3, sign=True)


def _verdict(row: Row) -> str:
    if row["side"] == "no":
        return "cannot be told from random"
    word = "ahead of random" if row["side"] == "above" else "behind random"
    if row["p_holm"] < _SIGNIFICANT:
        return f"{word}, p {p_value(row['p_holm'])} after Holm's correction"
    return f"{word} by the interval, but not after Holm's correction, p {p_value(row['p_holm'])}"


def _against_rivals(summary: StudySummary, setting: Setting) -> str:
    row = first(in_setting(summary.default_check, setting, metric="kappa", measure=LAST))
    rivals = [name for name in _strategies(summary, setting) if name != summary.default]
    if row is None or not rivals:
        return ""
    by = _difference(row)
    match row["verdict"]:
        case "best":
            return f"None of the other strategies ({len(rivals)}) has a higher mean kappa in the last round."
        case "behind":
            return f"{row['best']} is better: {by} for {summary.default} against it, beyond noise."
        case "within noise":
            behind = f"; {joined(row['behind'].split(', '))} is ahead by an interval without 0" if row["behind"] else ""
            return (
                f"The highest mean is {row['best']}'s; {by} for {summary.default} against it is within noise{behind}."
            )
    if row["best"] == summary.default:
        return f"Its kappa is the highest of {len(rivals) + 1} strategies, by one seed; that is no evidence."
    return f"The highest kappa is {row['best']}'s ({by} for {summary.default}), by one seed; that is no evidence."


def _strategies(summary: StudySummary, setting: Setting) -> list[str]:
    own = in_setting(summary.curves, setting, variant="", metric="kappa")
    return [name for name in summary.strategies if name in set(own["strategy"])]


def ahead_of_random(summary: StudySummary, setting: Setting) -> list[str]:
    """Return which strategies' intervals leave random out, in either direction, one sentence a measure."""
    found = []
    for measure, words in ((LAST, "in the last round"), (AREA, "over the whole curve")):
        rows = in_setting(summary.against_random, setting, metric="kappa", measure=measure)
        sides = {side: rows.filter(pl.col("side") == side)["strategy"].to_list() for side in ("above", "below")}
        if rows.is_empty():
            continue
        if (rows["side"] == "unknown").all():
            found.append(f"With one seed no strategy can be told from random {words}.")
            continue
        better = f"{joined(sides['above'])}" if sides["above"] else "none"
        worse = f"; random is ahead of {joined(sides['below'])}" if sides["below"] else ""
        found.append(f"Ahead of random {words}: {better}, of {len(rows)}{worse}.")
    return found


def default_sentence(summary: StudySummary) -> str:
    """Return whether the default is the best or within noise of the best in every setting."""
    rows = summary.default_check.filter((pl.col("metric") == "kappa") & (pl.col("measure") == LAST))
    settings = summary.settings
    if rows.is_empty():
        return f"There is no kappa of {summary.default} in the population, so nothing can be said of it."
    by_verdict: dict[str, list[str]] = {}
    for row in rows.iter_rows(named=True):
        title = setting_title(Setting(*(row[name] for name in Setting._fields)), settings)
        by_verdict.setdefault(row["verdict"], []).append(title)
    behind, unknown = by_verdict.get("behind", []), by_verdict.get("unknown", [])
    good = len(rows) - len(behind) - len(unknown)
    everywhere = "the one setting" if len(rows) == 1 else f"all {len(rows)} settings"
    if len(unknown) == len(rows):
        return f"With one seed it cannot be told whether {summary.default} is the best strategy."
    if good == len(rows):
        return f"{summary.default} is the best strategy or within noise of the best in {everywhere}."
    if len(behind) == len(rows):
        return f"{summary.default} is behind the best strategy, beyond noise, in {everywhere}."
    text = f"{summary.default} is the best strategy or within noise of the best in {good} of {len(rows)} settings"
    text += f"; behind the best beyond noise in {_listed(behind)}" if behind else ""
    text += f"; one seed does not tell in {_listed(unknown)}" if unknown else ""
    return f"{text}."


def _listed(titles: list[str]) -> str:
    return "; ".join(f"({title})" for title in titles)


def crowd_text(row: Row) -> str:
    """Return a row's crowd equivalent for a table: 1,900 (1,200 to 2,600)."""
    return f"{crowd_amount(row['crowd_labels'], row['bound'], row)} {crowd_span(row)}".strip()
