"""The figure of benchmarks/growth.py: what of a round grows, with the devices and the model."""

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

#: On white and on black alike: a grey for what is written, and colours of middle lightness.
_GREY = "#808080"
_STEPS = {
    "train": "#4e9bd6",
    "send": "#e08a2e",
    "aggregate": "#3fae6c",
    "distribute": "#c76bb5",
}
_MEMORY = {
    "peak_rss_mb": ("most, mapped files included", "#c76bb5"),
    "peak_mb": ("most, without files", "#e08a2e"),
    "idle_mb": ("at rest, without files", "#4e9bd6"),
}


def draw(by_devices: Sequence[dict[str, Any]], by_size: Sequence[dict[str, Any]]) -> bytes:
    """Draw both tables.

    Args:
        by_devices: rows of one model size, ``devices`` growing.
        by_size: rows of one number of devices, ``model_mb`` growing.

    Returns:
        An SVG document, UTF-8, without a background: it is read on light and on dark.
    """
    figure = Figure(figsize=(12, 7), layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0)
    upper, lower = figure.subplots(2, 3)
    size, few = by_devices[0]["model_mb"], by_size[0]["devices"]
    _row(upper, by_devices, "devices", f"Devices, each with a model of {size:g} MB")
    _row(lower, by_size, "model_mb", f"Model, in MB, of {few} devices")
    upper[0].legend(labelcolor=_GREY, framealpha=0)
    upper[1].legend(labelcolor=_GREY, framealpha=0)
    upper[2].legend(labelcolor=_GREY, framealpha=0)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _row(panels: Sequence[Axes], rows: Sequence[dict[str, Any]], key: str, label: str) -> None:
    bars, lines, memory = panels
    values = [row[key] for row in rows]
    _stack(bars, rows, [f"{value:g}" for value in values])
    for name, colour in _STEPS.items():
        lines.plot(values, [row["seconds"][name] for row in rows], "o-", ms=4, color=colour)
    longest = max(rows[-1]["seconds"].values())
    proportional = [longest * value / values[-1] for value in values]
    lines.plot(values, proportional, ":", color=_GREY, label="proportional")
    for name, (legend, colour) in _MEMORY.items():
        memory.plot(values, [row[name] for row in rows], "o-", ms=4, color=colour, label=legend)
    bars.set_ylabel("Seconds of a round, by step")
    lines.set_ylabel("Seconds of a step")
    memory.set_ylabel("Memory of the main server, in MB")
    memory.set_ylim(bottom=0)
    for axes in (lines, memory):
        axes.set_xscale("log", base=2)
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.xaxis.set_minor_formatter(NullFormatter())
    lines.set_yscale("log")
    lines.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for axes in panels:
        axes.set_xlabel(label)
        _in_grey(axes)


def _stack(axes: Axes, rows: Sequence[dict[str, Any]], labels: Sequence[str]) -> None:
    """One bar for each row, a step upon the other."""
    bottom = [0.0] * len(rows)
    for name, colour in _STEPS.items():
        heights = [row["seconds"][name] for row in rows]
        axes.bar(labels, heights, bottom=bottom, color=colour, label=name)
        bottom = [below + height for below, height in zip(bottom, heights, strict=True)]


def _in_grey(axes: Axes) -> None:
    axes.patch.set_alpha(0)
    axes.grid(alpha=0.3, color=_GREY)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_GREY, which="both")
    for part in (axes.xaxis.label, axes.yaxis.label):
        part.set_color(_GREY)
    for spine in axes.spines.values():
        spine.set_color(_GREY)
