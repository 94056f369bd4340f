"""Pictures of the loop as PNG bytes: plain arrays in, no Dagster, no global matplotlib state."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

POSITIVE, NEGATIVE, NEUTRAL, BAND = "#b3401f", "#1f6fb3", "#444444", "#c9d8c0"


def score_histogram(scores: ArrayLike, threshold: float) -> bytes:
    """Draw how p_positive is spread over the pool, with the threshold that divides it."""
    values = np.asarray(scores, dtype=float)
    figure, axes = _canvas(6, 2.6)
    bins = np.linspace(0, 1, 41)
    axes.hist(values[values < threshold], bins=bins, color=NEGATIVE, label="called negative")
    axes.hist(values[values >= threshold], bins=bins, color=POSITIVE, label="called positive")
    axes.axvline(threshold, color=NEUTRAL, linestyle="--", linewidth=1, label=f"threshold {threshold:.3f}")
    axes.set(xlabel="p_positive", ylabel="items", yscale="log", title="Scores of the incumbent over the pool")
    axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def overlap_picture(
    x: Sequence[float], y: Sequence[float], sizes: Sequence[int], mixing: Sequence[float], names: Sequence[str]
) -> bytes:
    """Draw each overlap of a positive and a negative cluster as a bubble: its place, its size, how mixed it is."""
    figure, axes = _canvas(7, 4.6)
    area = 30 + 1200 * np.asarray(sizes, dtype=float) / max((1, *sizes))
    bubbles = axes.scatter(x, y, s=area, c=mixing, cmap="viridis", vmin=0, vmax=1, alpha=0.65, edgecolors=NEUTRAL)
    for place in np.argsort(np.asarray(sizes))[::-1][:12]:
        axes.annotate(names[place], (x[place], y[place]), fontsize=7, ha="center", va="center")
    axes.set(
        title="Where clusters of positives and of negatives overlap",
        xlabel="first principal component of the overlaps' centres",
        ylabel="second",
    )
    figure.colorbar(bubbles, ax=axes, label="mixing (0 one label, 1 half and half)")
    return _png(figure)


def loss_curve(steps: Sequence[int], losses: Sequence[float]) -> bytes:
    """Draw the training loss by optimiser step."""
    figure, axes = _canvas(6, 2.6)
    axes.plot(steps, losses, color=NEUTRAL, marker=".", markersize=3)
    axes.set(xlabel="optimiser step", ylabel="training loss", title="Loss of the student")
    axes.set_ylim(bottom=0)
    return _png(figure)


def kappa_history(
    iterations: Sequence[str],
    series: Mapping[str, Sequence[tuple[float, float, float] | None]],
    ceiling: Sequence[tuple[float, float, float] | None],
) -> bytes:
    """Draw kappa over iterations with 95 % intervals, and the experts' agreement among themselves as a band.

    :param series: for each name one (estimate, low, high) an iteration; None where it is undefined.
    """
    figure, axes = _canvas(7, 3.8)
    places = np.arange(len(iterations))
    known = [(place, each) for place, each in zip(places, ceiling, strict=True) if each]
    if known:
        axes.fill_between(
            [place for place, _ in known], [c[1] for _, c in known], [c[2] for _, c in known], color=BAND, alpha=0.6
        )
        axes.plot([place for place, _ in known], [c[0] for _, c in known], color="#5a7a45", label="expert with expert")
    for offset, (name, values) in enumerate(series.items()):
        points = [(place + 0.06 * offset, each) for place, each in zip(places, values, strict=True) if each]
        if points:
            estimates = np.array([each[0] for _, each in points])
            low = estimates - np.array([each[1] for _, each in points])
            high = np.array([each[2] for _, each in points]) - estimates
            axes.errorbar(
                [place for place, _ in points], estimates, yerr=[low, high], marker="o", capsize=3, label=name
            )
    axes.set_xticks(places, iterations)
    axes.set(xlabel="iteration", ylabel="kappa", title="Agreement over iterations (95 % intervals)")
    axes.axhline(0, color=NEUTRAL, linewidth=0.5)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def _canvas(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
