"""The answers of a study in plain sentences, whichever way they fall."""

import polars as pl

from al_assets.study.arms import RANDOM, Setting
from al_assets.study.comparison import AREA, LAST
from al_assets.study.saving import EXACT, FEWER, MORE
from al_assets.study.summary import StudySummary, in_setting
from al_assets.study.wording import (
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
        interval = f" (95 % interval: {sure[1:-1]})" if sure and row["low_bound"] != MORE else ""
        return (
            f"The crowd does not get there with {whole(row['most'])} labels, the most that were tried, which reach "
            f"{decimal(row['crowd_level'])}: it takes more than {whole(row['most'])} crowd labels{interval}, "
            f"{reduction(row, 'per_label')} for each expert label."
        )
    if row["bound"] == FEWER:
        return _too_few(row)
    labels, needed = row["labels"], row["crowd_labels"]
    about = f"about {count(needed)} {sure}".strip()
    certain = _certain_factor(row)
    if certain == "more":
        return (
            f"It takes {about} crowd labels to get there, {reduction(row, 'per_label')} for each expert label and "
            f"{reduction(row, 'per_vote') or 'an unknown number'} for each expert vote."
        )
    if certain == "fewer":
        return f"That takes {about} crowd labels: fewer than the {whole(labels)} of the experts, so curation saves none."
    tell = "with one seed" if row["seeds"] < 2 else "with so few seeds" if not sure else "within the interval"
    return (
        f"It takes {about} crowd labels to get there; whether that is more than the {whole(labels)} expert labels "
        f"cannot be told {tell}."
    )


def _too_few(row: Row) -> str:
    few = whole(row["fewest"])
    text = f"{few[:1].upper()}{few[1:]} crowd labels, the fewest that were tried, already do better"
    if row["high_bound"] == MORE or (row["high_bound"] == EXACT and row["high"] > row["labels"]):
        return f"{text}, though the interval {crowd_span(row)} leaves room for chance."
    if row["fewest"] <= row["labels"]:
        return f"{text}: curation saves no labels here."
    return f"{text}; whether {whole(row['labels'])} would was not tried."


def _certain_factor(row: Row) -> str:
    """Return whether the crowd surely needs more, or fewer, labels than the experts gave; "" if that is open."""
    if row["low_bound"] == MORE or (row["low_bound"] == EXACT and row["low"] > row["labels"]):
        return "more"
    if row["high_bound"] == FEWER or (row["high_bound"] == EXACT and row["high"] < row["labels"]):
        return "fewer"
    return ""


def _against_random(summary: StudySummary, setting: Setting) -> str:
    if summary.default == RANDOM:
        return ""
    rows = in_setting(summary.against_random, setting, strategy=summary.default, metric="kappa")
    last, area = (first(rows.filter(pl.col("measure") == measure)) for measure in (LAST, AREA))
    if last is None or area is None:
        return "Random labels were not run beside it."
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
    by = estimate({**row, "difference": row["difference"]}, "difference", 3, sign=True)
    match row["verdict"]:
        case "best":
            return f"No other of the {len(rivals) + 1} strategies has a higher mean kappa in the last round."
        case "behind":
            return f"{row['best']} is better: {by} for {summary.default} against it, beyond noise."
        case "within noise":
            behind = f"; {joined(row['behind'].split(', '))} is ahead by an interval without 0" if row["behind"] else ""
            return f"The highest mean is {row['best']}'s; {by} for {summary.default} against it is within noise{behind}."
    return f"The highest mean is {row['best']}'s, by one seed ({by} for {summary.default} against it)."


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
        return f"The strategy {summary.default} was not run, so nothing can be said of it."
    by_verdict: dict[str, list[str]] = {}
    for row in rows.iter_rows(named=True):
        title = setting_title(Setting(*(row[name] for name in Setting._fields)), settings)
        by_verdict.setdefault(row["verdict"], []).append(title)
    behind, unknown = by_verdict.get("behind", []), by_verdict.get("unknown", [])
    good = len(rows) - len(behind) - len(unknown)
    if good == len(rows):
        return f"{summary.default} is the best strategy or within noise of the best in all {len(rows)} settings."
    text = f"{summary.default} is the best strategy or within noise of the best in {good} of {len(rows)} settings"
    text += f"; behind the best beyond noise in {_listed(behind)}" if behind else ""
    text += f"; one seed does not tell in {_listed(unknown)}" if unknown else ""
    return f"{text}."


def _listed(titles: list[str]) -> str:
    return "; ".join(f"({title})" for title in titles)


def quality_sentence(row: Row) -> str:
    """Return at which expert kappa the curated labels stop beating the crowd."""
    where = NAMES_WHERE[row["metric"]]
    low, high = decimal(row["lowest"]), decimal(row["highest"])
    if row["bound"] == MORE:
        return f"{where}: below the crowd's largest sample at every expert kappa that was run, up to {high}."
    if row["bound"] == FEWER:
        return f"{where}: never below the crowd's largest sample, down to an expert kappa of {low}."
    ends = []
    for end in ("low", "high"):
        known = {EXACT: decimal(row[end]), MORE: f"above {high}", FEWER: f"below {low}"}
        ends.append(known.get(row[f"{end}_bound"], ""))
    sure = f" ({ends[0]} to {ends[1]})" if all(ends) else f" ({seeds_of(row['seeds'])})" if row["seeds"] < 2 else ""
    return f"{where}: falls below the crowd's largest sample at an expert kappa of about {decimal(row['limit'])}{sure}."


NAMES_WHERE = {"kappa": "In the population", "kappa_boundary": "On boundary items"}


def probe_sentence(summary: StudySummary, setting: Setting) -> str:
    """Return what the probes say of the default's last student: whether labels or model are the limit; "" if unknown."""
    rows = in_setting(summary.gaps, setting, variant="", strategy=summary.default)
    head, ceiling = (first(rows.filter(pl.col("gap") == f"{name} - kappa")) for name in ("probe_embedding", "ceiling"))
    found = []
    if head is not None:
        found.append(f"A linear head on the frozen embedding, trained on the same labels, is {_gap(head)}: {_model(head)}.")
    if ceiling is not None:
        found.append(f"Trained on the labels of the whole pool it is {_gap(ceiling)}: {_room(ceiling)}.")
    return " ".join(found)


def _gap(row: Row) -> str:
    return f"{estimate(row, 'mean', 3, sign=True)} against the student"


def _model(row: Row) -> str:
    return {
        "above": "these labels can be learnt better than this student learns them, so the student is a limit",
        "below": "the student makes more of these labels than the frozen features do",
        "no": "no difference beyond noise",
    }.get(row["side"], "one seed, no evidence")


def _room(row: Row) -> str:
    return {
        "above": "more labels can still raise kappa on these features",
        "below": "the student is past what these features give with any number of labels",
        "no": "more labels are not seen to help on these features; the representation is the limit",
    }.get(row["side"], "one seed, no evidence")


def crowd_text(row: Row) -> str:
    """Return a row's crowd equivalent for a table: 1,900 (1,200 to 2,600)."""
    return f"{crowd_amount(row['crowd_labels'], row['bound'], row)} {crowd_span(row)}".strip()
