"""The pictures of a study: small multiples with a panel for each data set, student, embedding and budget."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from al_assets.pictures import BAND
from al_assets.study.cells import CROWD
from al_assets.study.report.arms import BASELINES, RANDOM, Setting, SummaryRow, matching, setting_of
from al_assets.study.report.canvas import COLOURS, INK, Stroke, legend, looks_of, sheet, small_multiples, whisker
from al_assets.study.report.comparison import AREA, LAST
from al_assets.study.report.saving import EXACT, FEWER, MORE
from al_assets.study.report.summary import StudySummary
from al_assets.study.report.wording import crowd_amount, setting_title

_AXIS = {"kappa": "kappa, population", "kappa_boundary": "kappa, boundary items"}
_THOUSAND = 1_000


def study_figures(summary: StudySummary) -> dict[str, Any]:
    """Return a matplotlib figure for each picture that the study has figures for, by name."""
    drawn: Mapping[str, Callable[[StudySummary], Any]] = {
        "curves_kappa": lambda summary: _curves(summary, "kappa"),
        "curves_boundary": lambda summary: _curves(summary, "kappa_boundary"),
        "against_random": _forest,
        "positive_share": _positive_share,
        "crowd_kappa": lambda summary: _crowd(summary, "kappa"),
        "crowd_boundary": lambda summary: _crowd(summary, "kappa_boundary"),
        "label_quality": _label_quality,
        "boundary_population": _scopes,
        "seconds": _seconds,
    }
    figures = {name: draw(summary) for name, draw in drawn.items()}
    return {name: figure for name, figure in figures.items() if figure is not None}


def _curves(summary: StudySummary, metric: str) -> Any:
    frame = _base(summary.curves, metric=metric)

    def draw(panel: Any, setting: Setting) -> None:
        span = _lines(summary, panel, matching(frame, setting), whiskers=True)
        _levels(summary, panel, setting, "" if metric == "kappa" else "_boundary")
        panel.set_xlim(*span)
        panel.set(xlabel="expert labels", ylabel=_AXIS[metric])

    return small_multiples(summary, frame, draw, height=3.7)


def _base(rows: list[SummaryRow], **values: Any) -> list[SummaryRow]:
    """Return the rows of strategies that pick, with the base settings, and of these values."""
    return [row for row in matching(rows, variant="", **values) if row["strategy"] not in BASELINES]


def _lines(summary: StudySummary, panel: Any, own: list[SummaryRow], *, whiskers: bool) -> tuple[float, float]:
    """Draw a line for each strategy and return the span of labels that leaves room for the whiskers."""
    looks = looks_of(summary.strategies, summary.default)
    labels = [row["labels"] for row in own]
    low, high = min(labels), max(labels)
    step = max(high - low, 0.2 * high, 1.0) * 0.022
    aside = 1
    for name in summary.strategies:
        rows = matching(own, strategy=name)
        if not rows:
            continue
        look = looks[name]
        x, y = [row["labels"] for row in rows], [row["mean"] for row in rows]
        panel.plot(x, y, color=look.colour, marker=look.marker, markersize=4, linestyle=look.line, linewidth=look.width,
                   label=name, zorder=3 if name == summary.default else 2)  # fmt: skip
        if name in (summary.default, RANDOM):
            _band(panel, rows, ("labels", "low", "high"), look.colour, 0.14)
        elif whiskers and rows[-1]["low"] is not None:
            aside += 1
            whisker(panel, high + aside * step, rows[-1], look)
    return low - 2 * step, high + (aside + 2) * step


def _band(panel: Any, rows: Sequence[SummaryRow], names: tuple[str, str, str], colour: str, alpha: float) -> None:
    """Fill between the ends of intervals; ``names``: the columns of x, low and high."""
    known = [row for row in rows if row[names[1]] is not None]
    panel.fill_between(*([row[name] for row in known] for name in names), color=colour, alpha=alpha, linewidth=0)


def _levels(summary: StudySummary, panel: Any, setting: Setting, suffix: str) -> None:
    names = {
        "expert_kappa": ("expert with expert", "-"), "crowd_kappa": ("crowd worker with experts", (0, (6, 2, 1, 2))),
        "crowd_largest": ("student on the largest crowd sample", (0, (2, 1.5))), "llm0": ("LLM-0", (0, (1, 2.5))),
    }  # fmt: skip
    references = {row["name"]: row["mean"] for row in matching(summary.references, setting)}
    for name, (title, line) in names.items():
        if name + suffix in references:
            panel.axhline(references[name + suffix], color=INK, linewidth=1, linestyle=line, label=title, zorder=1)


def _positive_share(summary: StudySummary) -> Any:
    frame = _base(summary.curves, metric="positive_share")

    def draw(panel: Any, setting: Setting) -> None:
        panel.set_xlim(*_lines(summary, panel, matching(frame, setting), whiskers=False))
        share = matching(summary.references, setting, name="prevalence")
        if share:
            panel.axhline(share[0]["mean"], color=INK, linewidth=1, linestyle=(0, (1, 2.5)), label="held-out items")
        panel.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        panel.set_ylim(bottom=0)
        panel.set(xlabel="expert labels", ylabel="positive among the picks")

    return small_multiples(summary, frame, draw, height=2.8)


def _forest(summary: StudySummary) -> Any:
    frame = matching(summary.against_random, metric="kappa")
    names = [name for name in summary.strategies if matching(frame, strategy=name)]
    looks = looks_of(summary.strategies, summary.default)
    marks = {AREA: (0.13, "o", "whole curve"), LAST: (-0.13, "D", "last round")}

    def draw(panel: Any, setting: Setting) -> None:
        for measure, (shift, marker, title) in marks.items():
            for row in matching(frame, setting, measure=measure):
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

    return small_multiples(summary, frame, draw, height=1.1 + 0.34 * len(names))


def _crowd(summary: StudySummary, metric: str) -> Any:
    """Draw the crowd's kappa by its labels, with the level that the curated labels reach."""
    frame = matching(summary.equivalents, metric=metric, strategy=summary.default)

    def draw(panel: Any, setting: Setting) -> None:
        row = matching(frame, setting)[0]
        crowd = _crowd_curve(summary, setting, metric)
        x, y = ([each[name] for each in crowd] for name in ("labels", "mean"))
        _band(panel, crowd, ("labels", "low", "high"), COLOURS[1], 0.16)
        panel.plot(x, y, color=COLOURS[1], marker="s", markersize=4, label="student on crowd labels")
        own = matching(summary.curves, setting, variant="", strategy=summary.default, metric=metric)
        _level_of(summary, panel, own[-1])
        panel.plot([row["labels"]], [row["level"]], color=COLOURS[0], marker="o", markersize=6, linestyle="none")
        _equivalent(panel, row)
        panel.set_xscale("log")
        _ticks(panel, x)
        panel.set(xlabel="labels", ylabel=_AXIS[metric])

    return small_multiples(summary, frame, draw, columns=2)


def _level_of(summary: StudySummary, panel: Any, last: SummaryRow) -> None:
    title = f"{summary.default}, last round (dot: its labels)"
    panel.axhline(last["mean"], color=COLOURS[0], linewidth=1.5, label=title)
    if last["low"] is not None:
        panel.axhspan(last["low"], last["high"], color=COLOURS[0], alpha=0.13, linewidth=0)


def _equivalent(panel: Any, row: SummaryRow) -> None:
    """Mark how many crowd labels reach the level, with the interval as a bar at the panel's foot."""
    right = row["bound"] != FEWER
    place = {MORE: row["most"], FEWER: row["fewest"]}.get(row["bound"], row["crowd_labels"])
    if row["bound"] == EXACT:
        title = "crowd labels for the same kappa"
        panel.axvline(place, color=INK, linewidth=1, linestyle=(0, (2, 1.5)), label=title)
    panel.annotate(
        crowd_amount(row["crowd_labels"], row["bound"], row), (place, 0.04), xycoords=("data", "axes fraction"),
        xytext=(-4 if right else 4, 0), textcoords="offset points", ha="right" if right else "left", fontsize=8,
    )  # fmt: skip
    if row["low_bound"] is not None:
        limits = {MORE: "most", FEWER: "fewest"}
        low, high = (row[limits.get(row[f"{end}_bound"], end)] for end in ("low", "high"))
        if low < high:
            panel.plot([low, high], [0.01, 0.01], transform=panel.get_xaxis_transform(), color=INK, linewidth=3,
                       solid_capstyle="butt", label="its 95 % interval")  # fmt: skip


def _crowd_curve(summary: StudySummary, setting: Setting, metric: str) -> list[SummaryRow]:
    rows = matching(
        summary.curves, strategy=CROWD, variant="", metric=metric, dataset=setting.dataset, student=setting.student
    )
    for name in ("embedding", "budget"):
        # As ``arms.baseline`` picks it: the same if there is one, else the first in order.
        rows = matching(rows, **{name: getattr(setting, name)}) or matching(rows, **{name: rows[0][name]})
    return rows


def _label_quality(summary: StudySummary) -> Any:
    """Draw the last kappa by the experts' agreement, beside the crowd's largest sample."""
    frame = summary.quality
    settings = list(dict.fromkeys(setting_of(row) for row in frame))
    if not settings:
        return None
    titles = [(setting, metric) for setting in settings for metric in _AXIS]
    figure, panels = sheet([setting_title(setting, settings) for setting, _ in titles])
    looks = looks_of(summary.strategies, summary.default)
    for (setting, metric), panel in zip(titles, panels, strict=True):
        for name in summary.strategies:
            rows = matching(frame, setting, metric=metric, strategy=name)
            if rows:
                _quality_lines(panel, rows, looks[name], name)
        panel.set(xlabel="kappa among the experts who label", ylabel=_AXIS[metric])
    legend(figure, panels, columns=2)
    return figure


def _quality_lines(panel: Any, rows: Sequence[SummaryRow], look: Stroke, name: str) -> None:
    x, y = [row["expert_kappa"] for row in rows], [row["level"] for row in rows]
    panel.plot(
        x, y, color=look.colour, marker=look.marker, markersize=4, linewidth=look.width, label=f"{name}, last round"
    )
    for row in rows:
        if row["low"] is not None:
            whisker(panel, row["expert_kappa"], {**row, "mean": row["level"]}, look)
    known = [row for row in rows if row["crowd_level"] is not None]
    if known:
        x = [row["expert_kappa"] for row in known]
        panel.plot(x, [row["crowd_level"] for row in known], color=COLOURS[1], linestyle=(0, (2, 1.5)),
                   label="largest crowd sample")  # fmt: skip
        _band(panel, known, ("expert_kappa", "crowd_low", "crowd_high"), COLOURS[1], 0.14)


def _scopes(summary: StudySummary) -> Any:
    """Draw kappa on boundary items against kappa in the population."""
    looks = looks_of(summary.strategies, summary.default) | {CROWD: Stroke(BAND, "h", "-", 1)}

    def draw(panel: Any, setting: Setting) -> None:
        for name in [*summary.strategies, CROWD]:
            own = matching(summary.curves, setting, variant="", strategy=name)
            x, y = (matching(own, metric=metric) for metric in _AXIS)
            if x and y:
                title = "crowd, largest sample" if name == CROWD else name
                _cross(panel, x[-1], y[-1], looks[name], title)
        low = min(panel.get_xlim()[0], panel.get_ylim()[0])
        high = max(panel.get_xlim()[1], panel.get_ylim()[1])
        panel.plot([low, high], [low, high], color=INK, linewidth=0.8, linestyle=(0, (1, 2.5)), label="the same")
        panel.set(xlabel=_AXIS["kappa"], ylabel=_AXIS["kappa_boundary"])

    return small_multiples(summary, matching(summary.curves, variant="", metric="kappa_boundary"), draw, height=3.5)


def _cross(panel: Any, x: SummaryRow, y: SummaryRow, look: Stroke, title: str) -> None:
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
    """Draw the seconds of a round: all, curation, training."""
    frame = _base(summary.times)
    names = [name for name in summary.strategies if matching(frame, strategy=name)]
    parts = {
        "seconds": ("all", BAND),
        "curation_seconds": ("curation", COLOURS[0]),
        "training_seconds": ("training", COLOURS[1]),
    }

    def draw(panel: Any, setting: Setting) -> None:
        means = {(row["part"], row["strategy"]): row["mean"] for row in matching(frame, setting)}
        widths = {part: [means.get((part, name), 0.0) for name in names] for part in parts}
        places = [-at for at in range(len(names))]
        for part, (title, colour) in parts.items():
            if any((part, name) in means for name in names):
                thick = 0.8 if part == "seconds" else 0.4
                # Training follows curation.
                left = widths["curation_seconds"] if part == "training_seconds" else [0.0] * len(names)
                panel.barh(places, widths[part], thick, left=left, color=colour, label=title)
        panel.set_yticks(places, names, parse_math=False)
        panel.set(xlabel="seconds a round")

    return small_multiples(summary, frame, draw, height=1.0 + 0.28 * len(names))


def _ticks(panel: Any, sizes: Sequence[float]) -> None:
    """Put ticks at the sizes that were run, but for those too near to the one before, since decades may be none."""
    reach = max(sizes) / min(sizes)
    shown: list[float] = []
    for size in sizes:
        if not shown or size / shown[-1] >= max(reach**0.09, 1.01):
            shown.append(size)
    panel.set_xticks(shown, [_short(size) for size in shown])
    panel.minorticks_off()


def _short(value: float) -> str:
    return f"{round(value / _THOUSAND, 1):g}k" if value >= _THOUSAND else f"{value:g}"
