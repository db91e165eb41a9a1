"""The figure of benchmarks/async.py: accuracy against time, one line for each way."""

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

#: On white and on black alike: a grey for what is written, and colours of middle lightness.
_GREY = "#808080"
_COLOURS = ("#4e9bd6", "#e08a2e", "#3fae6c", "#c76bb5", "#c9534f", "#8d8d3a")
_LINES = ("-", "--", "-.", ":", (0, (1, 3)), (0, (6, 2, 1, 2, 1, 2)))
#: What is worse is of no interest: every way is above it within seconds.
_LEAST_ACCURACY = 0.88


def draw(ways: Sequence[dict[str, Any]]) -> bytes:
    """Draw the accuracies of all ways.

    Args:
        ways: as the benchmark writes them; each network has a panel of its own.

    Returns:
        An SVG document, UTF-8, without a background: it is read on light and on dark.
    """
    trips = sorted({way["round_trip_seconds"] for way in ways})
    names = list(dict.fromkeys(way["rule"] for way in ways))
    figure = Figure(figsize=(5 * len(trips), 5), layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0)
    panels = figure.subplots(1, len(trips), sharey=True, squeeze=False)[0]
    for axes, trip in zip(panels, trips, strict=True):
        _panel(axes, [way for way in ways if way["round_trip_seconds"] == trip], names)
        share = f"{max(way['share_of_resets'] for way in ways):.0%}"
        told = f"Round trips of {1000 * trip:.0f} ms, {share} of connections reset"
        axes.set_title(told if trip else "One machine", color=_GREY, fontsize=11)
    panels[0].set_ylabel("Accuracy on the test pictures")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _panel(axes: Axes, ways: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """One network's; a rule has the same line in each."""
    for way in ways:
        index = names.index(way["rule"])
        axes.plot(
            way["seconds"],
            way["accuracy"],
            color=_COLOURS[index % len(_COLOURS)],
            linestyle=_LINES[index % len(_LINES)],
            label=way["rule"],
            drawstyle="steps-post",
        )
    axes.set_xlabel("Seconds")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylim(_LEAST_ACCURACY, 1)
    axes.patch.set_alpha(0)
    axes.grid(alpha=0.3, color=_GREY)
    axes.tick_params(colors=_GREY, which="both")
    for part in (axes.xaxis.label, axes.yaxis.label):
        part.set_color(_GREY)
    for spine in axes.spines.values():
        spine.set_color(_GREY)
    if ways:
        axes.legend(labelcolor=_GREY, framealpha=0, loc="lower right")
