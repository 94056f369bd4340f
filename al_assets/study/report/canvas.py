"""What the pictures of a study share: colours, marks, a panel for each setting; their SVG in a file and on a page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from al_assets.pictures import BAND, NEUTRAL, recoloured
from al_assets.study.report.arms import Setting, SummaryRow, matching
from al_assets.study.report.summary import StudySummary
from al_assets.study.report.wording import setting_title

INK = NEUTRAL

COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#3aa0dd", "#7b4ea3", "#8a5a2b",
)  # fmt: skip
"""After Okabe and Ito (2008), told apart by the colour-blind; the yellow darker, so that it shows on white."""
DARK = ("#5fb4f0", "#ff9a5c", "#3fd0a5", "#eaa8cf", "#e6c14d", "#9bd4f8", "#bd9be6", "#d3a273")
"""The same colours for a dark page."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
_ROOM = 0.95


@dataclass(frozen=True)
class Stroke:
    """How one strategy is drawn in every picture."""

    colour: str
    marker: str
    line: Any
    width: float


def looks_of(strategies: Sequence[str], default: str) -> dict[str, Stroke]:
    """Return a look for each strategy: the default strong, random grey and dashed, others apart by colour and mark.

    After seven others the line sets them apart too.
    """
    looks = {}
    others = [name for name in strategies if name not in (default, "random")]
    lines: tuple[Any, ...] = ("-", (0, (5, 1, 1, 1)), (0, (1, 1)))
    for at, name in enumerate(others, start=1):
        place = (at - 1) % (len(COLOURS) - 1) + 1
        line = lines[(at - 1) // (len(COLOURS) - 1) % len(lines)]
        looks[name] = Stroke(COLOURS[place], MARKERS[place], line, 1.1)
    looks[default] = Stroke(COLOURS[0], MARKERS[0], "-", 2.2)
    if default != "random":
        looks["random"] = Stroke(INK, "x", (0, (4, 2)), 1.8)
    return looks


def sheet(titles: Sequence[str], *, width: float = 4.3, height: float = 3.3, columns: int = 2) -> tuple[Any, list[Any]]:
    """Return a figure and one panel for each title."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(columns, len(titles))
    down = -(-len(titles) // across)
    figure = Figure(figsize=(max(width * across, 5.6), height * down + _ROOM), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(down, across, squeeze=False).ravel())
    for panel, title in zip(panels, titles, strict=False):
        panel.set_title(title, fontsize=10, parse_math=False)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    for panel in panels[len(titles) :]:
        panel.set_axis_off()
    return figure, panels[: len(titles)]


def small_multiples(
    summary: StudySummary,
    rows: list[SummaryRow],
    draw: Callable[[Any, Setting], None],
    *,
    height: float = 3.3,
    columns: int = 4,
) -> Any:
    """Return a figure with a panel for each setting that there are rows of, under its name; None if there is none.

    :param draw: draws a setting into its panel.
    :param height: of a panel; ``columns`` those of the legend.
    """
    settings = [each for each in summary.settings if matching(rows, each)]
    if not settings:
        return None
    figure, panels = sheet([setting_title(each, summary.settings) for each in settings], height=height)
    for setting, panel in zip(settings, panels, strict=True):
        draw(panel, setting)
    legend(figure, panels, columns=columns)
    return figure


def whisker(panel: Any, x: float, row: SummaryRow, look: Stroke) -> None:
    """Draw the interval of a row's mean at x."""
    ends = [[row["mean"] - row["low"]], [row["high"] - row["mean"]]]
    panel.errorbar([x], [row["mean"]], yerr=ends, color=look.colour, linewidth=1, capsize=1.5, fmt="none")


def legend(figure: Any, panels: Sequence[Any], *, columns: int = 4) -> None:
    """Put one legend for all panels below them."""
    handles: dict[str, Any] = {}
    for panel in panels:
        for handle, name in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    if handles:
        figure.legend(
            list(handles.values()), list(handles), frameon=False, fontsize=8, loc="outside lower center", ncols=columns
        )


def for_file(drawing: str) -> bytes:
    """Return a drawing as a file of its own: on white, since whoever links it decides the page."""
    head, mark, rest = drawing.partition(">")
    return f'{head}{mark}<rect width="100%" height="100%" fill="#ffffff"/>{rest}'.encode()


def for_page(drawing: str) -> str:
    """Return a drawing whose colours are those of the page, light or dark."""
    themed = {INK: "currentColor", "#000000": "currentColor", BAND: "var(--band)"}
    themed |= {colour: f"var(--series-{at})" for at, colour in enumerate(COLOURS)}
    return recoloured(drawing, themed)
