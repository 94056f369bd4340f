"""Pictures of the loop: plain arrays in, PNG or SVG bytes out, no Dagster, no global matplotlib state left behind.

PNG is for metadata in the Dagster UI; SVG is for pages, whose style sheet decides the colours (``THEME``).
"""

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from textwrap import fill
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from al_assets.formatting import decimal, percent

Form = Literal["png", "svg"]
Point = tuple[float, float, float]
"""Estimate, low, high."""

POSITIVE, NEGATIVE, NEUTRAL, BAND = "#b3401f", "#1f6fb3", "#444444", "#c9d8c0"
CEILING, THIRD = "#5a7a45", "#8a6d1f"
THEME = {
    "#000000": "currentColor",
    NEUTRAL: "currentColor",
    POSITIVE: "var(--positive)",
    NEGATIVE: "var(--negative)",
    BAND: "var(--band)",
    CEILING: "var(--ceiling)",
    THIRD: "var(--third)",
}
"""What the colours of a picture become in SVG, so that a page can be light or dark."""
_ID = re.compile(r'(?<= id=")|(?<=href="#)|(?<=url\(#)')
_SERIES = (NEGATIVE, POSITIVE, THIRD, CEILING)
_MOST_DOTS, _NAMED = 4_000, 12
_MIXED = ("#8fb8de", "#f4f1ea", "#5a9a6a")


def score_histogram(scores: ArrayLike, threshold: float) -> bytes:
    """Draw how p_positive is spread over the pool, with the threshold that divides it."""
    values = np.asarray(scores, dtype=float)
    figure, axes = _canvas(6, 2.6)
    bins = np.linspace(0, 1, 41)
    axes.hist(values[values < threshold], bins=bins, color=NEGATIVE, label="called negative")
    axes.hist(values[values >= threshold], bins=bins, color=POSITIVE, label="called positive")
    axes.axvline(threshold, color=NEUTRAL, linestyle="--", linewidth=1, label=f"threshold {decimal(threshold, 3)}")
    axes.set(xlabel="p_positive", ylabel="items", yscale="log", title="Scores of the incumbent over the pool")
    _legend(figure, "outside lower center", 3)
    return png(figure)


def region_map(overlaps: pl.DataFrame, *, form: Form = "png") -> bytes:
    """Draw each region as a disc of dots, its items: orange if called positive; the darker, the more of it is wrong.

    Discs lie near each other as far as their regions are alike and there is room. The regions with most expected errors
    are named, with the share of labels that experts would overturn.

    :param overlaps: the table ``overlap_map``.
    """
    from matplotlib import colormaps
    from matplotlib.patches import Circle

    figure, axes = _canvas(9, 6.4)
    names, items, share, wrong = (overlaps[name].to_numpy() for name in ("name", "items", "positive_share", "error"))
    for_each = max(1, -(-int(items.sum()) // _MOST_DOTS))
    dots = np.maximum(1, np.round(items / for_each)).astype(int)
    radius = np.sqrt(dots) + 1.5
    centres = _apart(overlaps.select("x", "y").to_numpy(), radius)
    shades = colormaps["Greys"]
    top = max(0.1, float(wrong.max(initial=0)))
    for centre, count, size, of_it, error in zip(centres, dots, radius, share, wrong, strict=True):
        shade = shades(0.6 * error / top)
        axes.add_patch(Circle(tuple(centre), size, facecolor=shade, edgecolor=NEUTRAL, linewidth=0.5))
        turn, out = np.arange(count) * np.pi * (3 - np.sqrt(5)), np.sqrt(np.arange(count) + 0.5)
        # A sunflower's order: the inner dots are those called positive.
        colours = np.where(np.arange(count) < round(of_it * count), POSITIVE, NEGATIVE)
        axes.scatter(centre[0] + out * np.cos(turn), centre[1] + out * np.sin(turn), s=3, c=colours, linewidths=0)
    named = set(np.argsort(-wrong * items, kind="stable")[:_NAMED].tolist())
    for number, name in enumerate(names):
        said = name.split(":")[0]
        if number in named:
            said = f"{fill(name, 12)}\n{percent(float(wrong[number]))} wrong"
        box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        # Dark on white whatever the page's colours are.
        axes.annotate(
            said, tuple(centres[number]), color="#111111", fontsize=7, ha="center", va="center", bbox=box,
            parse_math=False,
        )  # fmt: skip
    axes.set(title="Regions of the pool: what is called positive and negative, and where labels are expected wrong")
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.set_axis_off()
    said = "one item" if for_each == 1 else f"{for_each} items"
    for colour, label in ((POSITIVE, f"called positive ({said} a dot)"), (NEGATIVE, "called negative")):
        axes.scatter([], [], s=14, c=colour, label=label)
    for error in (0.0, top):
        label = f"{percent(error)} of the labels expected wrong"
        axes.scatter([], [], s=70, color=shades(0.6 * error / top), edgecolors=NEUTRAL, linewidths=0.5, label=label)
    _legend(figure, "outside lower center", 4)
    return _rendered(figure, form)


def _apart(places: NDArray[np.float64], radius: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return centres near the places, in their scale, at which discs do not cover each other."""
    if not len(places):
        return places
    spread = np.maximum(np.ptp(places, axis=0), 1e-9)
    centres = (places - places.mean(axis=0)) / spread * 2 * np.sqrt((radius**2).sum()) * np.array([1.5, 1.0])
    # Discs of one place are taken apart along a spiral.
    turn = np.arange(len(centres)) * np.pi * (3 - np.sqrt(5))
    centres = centres + 0.01 * np.column_stack([np.cos(turn), np.sin(turn)])
    for _ in range(500):
        gap = centres[:, None] - centres[None]
        distance = np.linalg.norm(gap, axis=2) + np.eye(len(centres))
        pressed = np.maximum(radius[:, None] + radius[None] - distance, 0) * (1 - np.eye(len(centres)))
        centres = 0.995 * centres + 0.3 * (gap / distance[:, :, None] * pressed[:, :, None]).sum(axis=1)
    return np.asarray(centres)


def loss_curve(steps: Sequence[int], losses: Sequence[float]) -> bytes:
    """Draw the training loss by optimiser step."""
    figure, axes = _canvas(6, 2.6)
    axes.plot(steps, losses, color=NEUTRAL, marker=".", markersize=3)
    axes.set(xlabel="optimiser step", ylabel="training loss", title="Loss of the student")
    axes.set_ylim(bottom=0)
    return png(figure)


def kappa_history(
    iterations: Sequence[str],
    scopes: Mapping[str, tuple[Sequence[Point | None], Sequence[Point | None]]],
    *,
    form: Form = "png",
) -> bytes:
    """Draw kappa over iterations with 95 % intervals, side by side for several sets of items.

    :param scopes: for each set of items the student's (estimate, low, high) of each iteration, and the experts' among
        themselves on the same items, drawn as a band; None where undefined.
    """
    figure, panels = _panels(7, 3.8, len(scopes)) if form == "png" else _panels(5.6, 3.6, len(scopes))
    places, named = np.arange(len(iterations)), False
    for axes, colour, (name, (student, experts)) in zip(panels, cycle(_SERIES), scopes.items(), strict=False):
        known = [(place, point) for place, point in zip(places, experts, strict=True) if point]
        if known:
            # A band of one iteration alone would have no width.
            edges = [known[0][0] - 0.15, *(place for place, _ in known), known[-1][0] + 0.15]
            kappa, low, high = zip(known[0][1], *(point for _, point in known), known[-1][1], strict=True)
            axes.fill_between(edges, low, high, color=BAND, alpha=0.6, linewidth=0)
            axes.plot(edges, kappa, color=CEILING, label="" if named else "expert with expert")
            named = True
        points = [(float(place), point) for place, point in zip(places, student, strict=True) if point]
        if points:
            _whiskers(axes, points, colour, f"student with expert, {name}")
        axes.set_xticks(places, iterations)
        axes.set(xlabel="iteration", title=name)
        axes.axhline(0, color=NEUTRAL, linewidth=0.5)
        axes.set_xlim(-0.5, len(iterations) - 0.5)
    panels[0].set_ylabel("kappa, 95 % intervals")
    _legend(figure, "outside lower center", 2)
    return _rendered(figure, form)


def beside_each_other(rows: Mapping[str, Sequence[Point | None]], names: Sequence[str], *, form: Form = "png") -> bytes:
    """Draw figures of several kinds of items below each other: one line a figure, one mark with interval a kind.

    :param rows: for each figure one (estimate, low, high) a kind of items; None where it is undefined; low and high
        may be NaN.
    :param names: the kinds of items.
    """
    figure, axes = _canvas(5.6, 1.2 + 0.55 * max(len(rows), 1))
    places = -np.arange(len(rows), dtype=float)
    for at, (colour, name) in enumerate(zip(cycle(_SERIES), names, strict=False)):
        shift = 0.12 - 0.24 * at / max(len(names) - 1, 1)
        marks = [(place + shift, values[at]) for place, values in zip(places, rows.values(), strict=True)]
        points = [(place, point) for place, point in marks if point]
        if points:
            _whiskers(axes, points, colour, name, sideways=True)
    axes.set_yticks(places, list(rows), parse_math=False)
    axes.axvline(0, color=NEUTRAL, linewidth=0.5)
    axes.set_xlim(min(0.0, axes.get_xlim()[0]), max(1.0, axes.get_xlim()[1]))
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    _legend(figure, "outside upper center", len(names))
    return _rendered(figure, form)


def agreement_matrix(names: Sequence[str], kappas: ArrayLike, items: ArrayLike, *, form: Form = "png") -> bytes:
    """Draw kappa of each two raters or models as a matrix, with the number of items it rests on.

    :param kappas: shape (names, names), NaN where undefined; the diagonal is left empty.
    :param items: shape (names, names).
    """
    from matplotlib.colors import LinearSegmentedColormap

    values, counts = np.asarray(kappas, dtype=float), np.asarray(items, dtype=int)
    side = 1.6 + 0.75 * len(names)
    figure, axes = _canvas(max(side, 4.2), max(0.75 * side, 2.6))
    shown = np.where(np.eye(len(names), dtype=bool), np.nan, values)
    colours = LinearSegmentedColormap.from_list("kappa", _MIXED)
    axes.pcolormesh(shown, cmap=colours, vmin=-0.2, vmax=1, edgecolors="#7f7f7f", linewidth=0.5)
    for row, column in zip(*np.nonzero(~np.eye(len(names), dtype=bool)), strict=True):
        kappa = values[row, column]
        # Nearly black on a filled cell whatever the page's theme; the theme's own colour on an empty one.
        colour = "#000000" if np.isnan(kappa) else "#101010"
        label = f"{decimal(kappa, missing='undefined')}\n{counts[row, column]} items"
        axes.text(column + 0.5, row + 0.5, label, ha="center", va="center", fontsize=8, color=colour)
    ticks = np.arange(len(names)) + 0.5
    axes.set_xticks(ticks, names, parse_math=False, rotation=30 if max(map(len, names), default=0) > 9 else 0)
    axes.set_yticks(ticks, names, parse_math=False)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return _rendered(figure, form)


def curation_yield(
    iterations: Sequence[str], series: Mapping[str, Sequence[float | None]], *, form: Form = "png"
) -> bytes:
    """Draw the share of positives at each stage (such as pool, queue, labels), as bars by iteration.

    :param series: for each stage one share an iteration; None where it is unknown.
    """
    figure, axes = _canvas(5.6, 3.2)
    width = 0.8 / max(len(series), 1)
    for at, (colour, (name, values)) in enumerate(zip(cycle(_SERIES), series.items(), strict=False)):
        places = np.arange(len(iterations)) + (at - (len(series) - 1) / 2) * width
        heights = [0.0 if value is None else value for value in values]
        bars = axes.bar(places, heights, 0.92 * width, color=colour, label=name)
        axes.bar_label(bars, [percent(value, missing="") for value in values], fontsize=8, padding=1)
    axes.set_xticks(np.arange(len(iterations)), iterations)
    axes.yaxis.set_major_formatter(lambda value, _: percent(value))
    axes.set(xlabel="iteration", ylabel="positive")
    axes.margins(y=0.12)
    _legend(figure, "outside upper center", len(series))
    return _rendered(figure, form)


def reliability_diagram(
    mean_probability: Sequence[float],
    positive_share: Sequence[float],
    items: Sequence[int],
    *,
    intervals: Sequence[tuple[float, float]] = (),
    form: Form = "png",
) -> bytes:
    """Draw how often items of similar probability are positive, beside the diagonal of probabilities that are right.

    :param items: items in each group, shown as the size of its mark.
    :param intervals: (low, high) of each group's positive share; empty for none.
    """
    figure, axes = _canvas(4.4, 3.6)
    axes.plot([0, 1], [0, 1], color=NEUTRAL, linewidth=0.8, linestyle="--", label="calibrated")
    if len(items):
        bounds = intervals or [(np.nan, np.nan)] * len(items)
        shares = [(share, low, high) for share, (low, high) in zip(positive_share, bounds, strict=True)]
        _whiskers(axes, list(zip(mean_probability, shares, strict=True)), NEGATIVE, "groups of items")
        area = 20 + 60 * np.asarray(items, dtype=float) / max(items)
        axes.scatter(mean_probability, positive_share, s=area, color=NEGATIVE)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="mean probability", ylabel="positive to the experts")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return _rendered(figure, form)


def _whiskers(
    axes: Any, points: Sequence[tuple[float, Point]], colour: str, name: str, *, sideways: bool = False
) -> None:
    places = [place for place, _ in points]
    estimate, low, high = np.array([point for _, point in points], dtype=float).T
    lengths = np.nan_to_num([estimate - low, high - estimate])
    x, y = (estimate, places) if sideways else (places, estimate)
    bars = {"xerr" if sideways else "yerr": lengths}
    axes.errorbar(
        x, y, **bars, marker="o", markersize=5, capsize=3, color=colour, label=name, linestyle="" if sideways else "-"
    )


def _legend(figure: Any, place: str, columns: int) -> None:
    # A place of its own: looking for the best one takes a time that depends on the machine, and warns when it is long.
    if any(axes.get_legend_handles_labels()[0] for axes in figure.axes):
        figure.legend(frameon=False, fontsize=8, loc=place, ncols=columns)


def _canvas(width: float, height: float) -> tuple[Any, Any]:
    figure, panels = _panels(width, height, 1)
    return figure, panels[0]


def _panels(width: float, height: float, count: int) -> tuple[Any, list[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(1, count, sharey=True, squeeze=False)[0])
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def png(figure: Any) -> bytes:
    """Return a figure as PNG on white."""
    buffer = io.BytesIO()
    with _any_script():
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


@contextmanager
def _any_script() -> Iterator[None]:
    """Draw names in any script: what the font lacks is a box in PNG, and text all the same in SVG."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def _rendered(figure: Any, form: Form) -> bytes:
    return png(figure) if form == "png" else recoloured(svg(figure), THEME).encode()


def svg(figure: Any) -> str:
    """Return a figure as SVG on nothing: text stays text, and the same picture is the same text."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "al_assets"}), _any_script():
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawing = buffer.getvalue().decode()
    return drawing[drawing.index("<svg") :]


def recoloured(drawing: str, colours: Mapping[str, str]) -> str:
    """Return an SVG whose colours are replaced, such as by those that a page's style sheet decides."""
    for colour, other in colours.items():
        drawing = drawing.replace(f": {colour}", f": {other}")
    return drawing


def with_own_ids(drawing: str, name: str) -> str:
    """Return an SVG whose ids no other drawing of a page has."""
    return _ID.sub(f"{name}-", drawing)
