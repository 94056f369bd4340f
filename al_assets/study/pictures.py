"""The pictures of a study: small multiples with a panel for each data set, student, embedding and budget."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from al_assets.study.arms import CROWD, LLM0, RANDOM, Setting
from al_assets.study.canvas import BAND, COLOURS, INK, Look, legend, looks_of, sheet
from al_assets.study.comparison import AREA, LAST
from al_assets.study.saving import EXACT
from al_assets.study.summary import StudySummary, in_setting
from al_assets.study.wording import Row, count, setting_title

_AXIS = {"kappa": "kappa, population", "kappa_boundary": "kappa, boundary items"}
_THOUSAND = 1_000


def study_figures(summary: StudySummary) -> dict[str, Any]:
    """Return a matplotlib figure for each picture that the study has figures for, by name."""
    drawn: Mapping[str, Callable[[StudySummary], Any]] = {
        "curves_kappa": lambda found: _curves(found, "kappa"),
        "curves_boundary": lambda found: _curves(found, "kappa_boundary"),
        "against_random": _forest,
        "positive_share": _positive_share,
        "crowd_kappa": lambda found: _crowd(found, "kappa"),
        "crowd_boundary": lambda found: _crowd(found, "kappa_boundary"),
        "label_quality": _label_quality,
        "boundary_population": _scopes,
        "seconds": _seconds,
    }
    figures = {name: draw(summary) for name, draw in drawn.items()}
    return {name: figure for name, figure in figures.items() if figure is not None}


def _curves(summary: StudySummary, metric: str) -> Any:
    frame = summary.curves.filter((pl.col("metric") == metric) & (pl.col("variant") == ""))
    settings = _with_rows(summary, frame.filter(~pl.col("strategy").is_in((CROWD, LLM0))))
    if not settings:
        return None
    figure, panels = _panels(summary, settings, height=3.7)
    for setting, panel in zip(settings, panels, strict=True):
        own = in_setting(frame, setting)
        span = _lines(summary, panel, own, whiskers=True)
        _levels(summary, panel, setting, "" if metric == "kappa" else "_boundary")
        panel.set_xlim(*span)
        panel.set(xlabel="expert labels", ylabel=_AXIS[metric])
    legend(figure, panels)
    return figure


def _lines(summary: StudySummary, panel: Any, own: pl.DataFrame, *, whiskers: bool) -> tuple[float, float]:
    """Draw a line for each strategy and return the span of labels that leaves room for the whiskers."""
    strategies = [name for name in summary.strategies if name in set(own["strategy"])]
    looks = looks_of(summary.strategies, summary.default)
    labels = own.filter(~pl.col("strategy").is_in((CROWD, LLM0)))["labels"].to_list()
    low, high = min(labels), max(labels)
    step = max(high - low, 0.2 * high, 1.0) * 0.022
    aside = 0
    # The default is drawn last, on top.
    for name in reversed(strategies):
        rows = own.filter(pl.col("strategy") == name).sort("round").to_dicts()
        look = looks[name]
        x, y = [row["labels"] for row in rows], [row["mean"] for row in rows]
        panel.plot(
            x, y, color=look.colour, marker=look.marker, markersize=4, linestyle=look.line, linewidth=look.width, label=name
        )
        if name in (summary.default, RANDOM):
            known = [row for row in rows if row["low"] is not None]
            bounds = [[row[end] for row in known] for end in ("labels", "low", "high")]
            panel.fill_between(*bounds, color=look.colour, alpha=0.14, linewidth=0)
        elif whiskers and rows[-1]["low"] is not None:
            aside += 1
            _whisker(panel, high + aside * step, rows[-1], look)
    return low - 2 * step, high + (aside + 2) * step


def _whisker(panel: Any, x: float, row: Row, look: Look) -> None:
    ends = [[row["mean"] - row["low"]], [row["high"] - row["mean"]]]
    panel.errorbar([x], [row["mean"]], yerr=ends, color=look.colour, linewidth=1, capsize=1.5, fmt="none")


def _levels(summary: StudySummary, panel: Any, setting: Setting, suffix: str) -> None:
    names = {
        "expert_kappa": ("expert with expert", "-"), "crowd_kappa": ("crowd worker with experts", (0, (6, 2, 1, 2))),
        "crowd_largest": ("student on the largest crowd sample", (0, (2, 1.5))), "llm0": ("LLM-0", (0, (1, 2.5))),
    }  # fmt: skip
    found = {row["name"]: row["mean"] for row in in_setting(summary.references, setting).iter_rows(named=True)}
    for name, (title, line) in names.items():
        if name + suffix in found:
            panel.axhline(found[name + suffix], color=INK, linewidth=1, linestyle=line, label=title, zorder=1)


def _positive_share(summary: StudySummary) -> Any:
    frame = summary.curves.filter(
        (pl.col("metric") == "positive_share") & (pl.col("variant") == "") & ~pl.col("strategy").is_in((CROWD, LLM0))
    )
    settings = _with_rows(summary, frame)
    if not settings:
        return None
    figure, panels = _panels(summary, settings, height=2.8)
    for setting, panel in zip(settings, panels, strict=True):
        panel.set_xlim(*_lines(summary, panel, in_setting(frame, setting), whiskers=False))
        share = in_setting(summary.references, setting, name="prevalence")
        if not share.is_empty():
            panel.axhline(share["mean"][0], color=INK, linewidth=1, linestyle=(0, (1, 2.5)), label="held-out items")
        panel.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        panel.set_ylim(bottom=0)
        panel.set(xlabel="expert labels", ylabel="positive among the picks")
    legend(figure, panels)
    return figure


def _forest(summary: StudySummary) -> Any:
    frame = summary.against_random.filter(pl.col("metric") == "kappa")
    settings = _with_rows(summary, frame)
    if not settings:
        return None
    names = [name for name in summary.strategies if name in set(frame["strategy"])]
    figure, panels = _panels(summary, settings, height=1.1 + 0.34 * len(names))
    looks = looks_of(summary.strategies, summary.default)
    marks = {AREA: (0.13, "o", "whole curve"), LAST: (-0.13, "D", "last round")}
    for setting, panel in zip(settings, panels, strict=True):
        for measure, (shift, marker, title) in marks.items():
            for row in in_setting(frame, setting, measure=measure).iter_rows(named=True):
                colour = looks[row["strategy"]].colour
                place, mean = shift - names.index(row["strategy"]), row["difference"]
                if row["low"] is not None:
                    panel.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.3)
                filled = colour if measure == AREA else "none"
                panel.plot([mean], [place], marker=marker, markersize=5, color=colour, markerfacecolor=filled)
            panel.plot([], [], marker=marker, color=INK, linestyle="-", label=f"{title}, 95 % interval",
                       markerfacecolor=INK if measure == AREA else "none")  # fmt: skip
        panel.axvline(0, color=INK, linewidth=0.8)
        panel.set_yticks([-at for at in range(len(names))], names, parse_math=False)
        panel.set_ylim(-len(names) + 0.5, 0.5)
        panel.set(xlabel="kappa minus random's, population")
    legend(figure, panels)
    return figure


def _crowd(summary: StudySummary, metric: str) -> Any:
    frame = summary.equivalents.filter((pl.col("metric") == metric) & (pl.col("strategy") == summary.default))
    settings = _with_rows(summary, frame)
    if not settings:
        return None
    figure, panels = _panels(summary, settings)
    for setting, panel in zip(settings, panels, strict=True):
        row = in_setting(frame, setting).row(0, named=True)
        crowd = _crowd_curve(summary, setting, metric)
        x, y = crowd["labels"].to_numpy(), crowd["mean"].to_numpy()
        known = crowd.drop_nulls("low")
        panel.fill_between(known["labels"], known["low"], known["high"], color=COLOURS[1], alpha=0.16, linewidth=0)
        panel.plot(x, y, color=COLOURS[1], marker="s", markersize=4, label="student on crowd labels")
        own = in_setting(summary.curves, setting, variant="", strategy=summary.default, metric=metric)
        _level_of(summary, panel, own.sort("round").row(-1, named=True))
        panel.plot([row["labels"]], [row["level"]], color=COLOURS[0], marker="o", markersize=6, linestyle="none")
        _equivalent(panel, row)
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(lambda value, _: _short(value))
        panel.xaxis.set_minor_formatter(lambda *_: "")
        panel.set(xlabel="labels", ylabel=_AXIS[metric])
    legend(figure, panels, columns=2)
    return figure


def _level_of(summary: StudySummary, panel: Any, last: Row) -> None:
    title = f"{summary.default}, last round (dot: its labels)"
    panel.axhline(last["mean"], color=COLOURS[0], linewidth=1.5, label=title)
    if last["low"] is not None:
        panel.axhspan(last["low"], last["high"], color=COLOURS[0], alpha=0.13, linewidth=0)


def _equivalent(panel: Any, row: Row) -> None:
    """Mark how many crowd labels reach the level, with the interval as a bar at the panel's foot."""
    if row["bound"] == EXACT:
        panel.axvline(row["crowd_labels"], color=INK, linewidth=1, linestyle=(0, (2, 1.5)), label="crowd labels for the same kappa")
        panel.annotate(
            count(row["crowd_labels"]), (row["crowd_labels"], 0.04), xycoords=("data", "axes fraction"), fontsize=8,
            xytext=(-4, 0), textcoords="offset points", ha="right",
        )  # fmt: skip
    if row["low_bound"] is not None:
        limits = {">": row["most"], "<": row["fewest"]}
        ends = [limits.get(row[f"{end}_bound"], row[end]) for end in ("low", "high")]
        if ends[0] < ends[1]:
            panel.plot(ends, [0.01, 0.01], transform=panel.get_xaxis_transform(), color=INK, linewidth=3,
                       solid_capstyle="butt", label="its 95 % interval")  # fmt: skip


def _crowd_curve(summary: StudySummary, setting: Setting, metric: str) -> pl.DataFrame:
    rows = summary.curves.filter(
        (pl.col("strategy") == CROWD)
        & (pl.col("variant") == "")
        & (pl.col("metric") == metric)
        & (pl.col("dataset") == setting.dataset)
        & (pl.col("student") == setting.student)
    )
    for name, value in (("embedding", setting.embedding), ("budget", setting.budget)):
        same = rows.filter(pl.col(name).eq_missing(value))
        # As ``arms.baseline`` picks it: the same if there is one, else the last in order.
        rows = rows.filter(pl.col(name).eq_missing(rows[name][0])) if same.is_empty() else same
    return rows.sort("round")


def _label_quality(summary: StudySummary) -> Any:
    frame = summary.quality
    settings = [each for each in _settings_of(frame) if each.dataset]
    if not settings:
        return None
    titles = [(setting, metric) for setting in settings for metric in _AXIS]
    figure, panels = sheet([setting_title(setting, settings) for setting, _ in titles])
    looks = looks_of(summary.strategies, summary.default)
    for (setting, metric), panel in zip(titles, panels, strict=True):
        for name in summary.strategies:
            rows = in_setting(frame, setting, metric=metric, strategy=name).sort("expert_kappa").to_dicts()
            if rows:
                _quality_lines(panel, rows, looks[name], name)
        panel.set(xlabel="kappa among the experts who label", ylabel=_AXIS[metric])
    legend(figure, panels, columns=2)
    return figure


def _quality_lines(panel: Any, rows: Sequence[Row], look: Look, name: str) -> None:
    x, y = [row["expert_kappa"] for row in rows], [row["level"] for row in rows]
    panel.plot(x, y, color=look.colour, marker=look.marker, markersize=4, linewidth=look.width, label=f"{name}, last round")
    for row in rows:
        if row["low"] is not None:
            _whisker(panel, row["expert_kappa"], {**row, "mean": row["level"]}, look)
    known = [row for row in rows if row["crowd_level"] is not None]
    if known:
        x = [row["expert_kappa"] for row in known]
        panel.plot(x, [row["crowd_level"] for row in known], color=COLOURS[1], linestyle=(0, (2, 1.5)),
                   label="largest crowd sample")  # fmt: skip
        sure = [row for row in known if row["crowd_low"] is not None]
        ends = [[row[end] for row in sure] for end in ("expert_kappa", "crowd_low", "crowd_high")]
        panel.fill_between(*ends, color=COLOURS[1], alpha=0.14, linewidth=0)


def _scopes(summary: StudySummary) -> Any:
    frame = summary.curves.filter(
        pl.col("metric").is_in(list(_AXIS)) & (pl.col("variant") == "") & (pl.col("strategy") != LLM0)
    )
    settings = _with_rows(summary, frame.filter(pl.col("metric") == "kappa_boundary"))
    if not settings:
        return None
    figure, panels = _panels(summary, settings, height=3.5)
    looks = looks_of(summary.strategies, summary.default) | {CROWD: Look(BAND, "h", "-", 1)}
    for setting, panel in zip(settings, panels, strict=True):
        for name in [*summary.strategies, CROWD]:
            own = in_setting(frame, setting, strategy=name)
            x, y = (own.filter(pl.col("metric") == metric).sort("round").to_dicts() for metric in _AXIS)
            if x and y:
                title = "crowd, largest sample" if name == CROWD else name
                _cross(panel, x[-1], y[-1], looks[name], title)
        low = min(panel.get_xlim()[0], panel.get_ylim()[0])
        high = max(panel.get_xlim()[1], panel.get_ylim()[1])
        panel.plot([low, high], [low, high], color=INK, linewidth=0.8, linestyle=(0, (1, 2.5)), label="the same")
        panel.set(xlabel=_AXIS["kappa"], ylabel=_AXIS["kappa_boundary"])
    legend(figure, panels)
    return figure


def _cross(panel: Any, x: Row, y: Row, look: Look, title: str) -> None:
    bars = {
        f"{side}err": None if row["low"] is None else [[row["mean"] - row["low"]], [row["high"] - row["mean"]]]
        for side, row in (("x", x), ("y", y))
    }
    edge = INK if look.colour == BAND else look.colour
    panel.errorbar(
        [x["mean"]], [y["mean"]], **bars, marker=look.marker, markersize=6, linestyle="none", color=edge,
        markerfacecolor=look.colour, elinewidth=0.8, label=title,
    )  # fmt: skip


def _seconds(summary: StudySummary) -> Any:
    frame = summary.times.filter((pl.col("variant") == "") & ~pl.col("strategy").is_in((CROWD, LLM0)))
    settings = _with_rows(summary, frame)
    if not settings:
        return None
    names = [name for name in summary.strategies if name in set(frame["strategy"])]
    figure, panels = _panels(summary, settings, height=1.0 + 0.28 * len(names))
    parts = {"seconds": ("all", BAND), "curation_seconds": ("curation", COLOURS[0]), "training_seconds": ("training", COLOURS[1])}
    for setting, panel in zip(settings, panels, strict=True):
        own = in_setting(frame, setting)
        for part, (title, colour) in parts.items():
            found = own.filter(pl.col("part") == part).to_dicts()
            by_name = {row["strategy"]: row["mean"] for row in found}
            left = [0.0] * len(names)
            if part == "training_seconds":
                curation = own.filter(pl.col("part") == "curation_seconds").to_dicts()
                before = {row["strategy"]: row["mean"] for row in curation}
                left = [before.get(name, 0.0) for name in names]
            if by_name:
                thick = 0.8 if part == "seconds" else 0.4
                widths = [by_name.get(name, 0.0) for name in names]
                panel.barh([-at for at in range(len(names))], widths, thick, left=left, color=colour, label=title)
        panel.set_yticks([-at for at in range(len(names))], names, parse_math=False)
        panel.set(xlabel="seconds a round")
    legend(figure, panels)
    return figure


def _panels(summary: StudySummary, settings: Sequence[Setting], *, height: float = 3.3) -> tuple[Any, list[Any]]:
    return sheet([setting_title(each, summary.settings) for each in settings], height=height)


def _with_rows(summary: StudySummary, frame: pl.DataFrame) -> list[Setting]:
    return [each for each in summary.settings if not in_setting(frame, each).is_empty()]


def _settings_of(frame: pl.DataFrame) -> list[Setting]:
    return [Setting(*row) for row in frame.select(Setting._fields).unique(maintain_order=True).iter_rows()]


def _short(value: float) -> str:
    return f"{value / _THOUSAND:g}k" if value >= _THOUSAND else f"{value:g}"
