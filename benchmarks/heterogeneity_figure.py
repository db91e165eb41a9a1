"""The figure of benchmarks/heterogeneity.py: accuracy by round, a panel for each partition."""

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

#: On white and on black alike: a grey for what is written, and colours of middle lightness.
_GREY = "#808080"
_COLOURS = (
    "#4e9bd6",
    "#e08a2e",
    "#3fae6c",
    "#c76bb5",
    "#c9534f",
    "#8d8d3a",
    "#6a7fdb",
    "#2fa5a5",
)
_LINES = (
    "-",
    "--",
    "-.",
    ":",
    (0, (1, 3)),
    (0, (6, 2, 1, 2, 1, 2)),
    (0, (3, 1)),
    (0, (8, 3)),
)


def draw(told: Sequence[dict[str, Any]]) -> bytes:
    """Draw the mean accuracies.

    Args:
        told: as the benchmark writes them.

    Returns:
        An SVG document, UTF-8, without a background: it is read on light and on dark.
    """
    places = list(dict.fromkeys((each["data"], each["alpha"]) for each in told))
    names = list(dict.fromkeys(each["strategy"] for each in told))
    rows = len({data for data, _ in places})
    figure = Figure(figsize=(11, 4.2 * rows), layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0)
    panels = figure.subplots(rows, -(-len(places) // rows), squeeze=False).flat
    for axes, (data, alpha) in zip(panels, places, strict=True):
        for each in told:
            if (each["data"], each["alpha"]) != (data, alpha):
                continue
            index = names.index(each["strategy"])
            rounds = range(1, len(each["by_round"]) + 1)
            axes.plot(
                rounds,
                each["by_round"],
                color=_COLOURS[index % len(_COLOURS)],
                linestyle=_LINES[index % len(_LINES)],
                label=each["strategy"],
            )
        axes.set_title(f"{data}, alpha {alpha:g}", color=_GREY, fontsize=11)
        axes.set_xlabel("Round")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_facecolor("none")
        axes.tick_params(colors=_GREY)
        axes.xaxis.label.set_color(_GREY)
        axes.grid(color=_GREY, alpha=0.25)
        for spine in axes.spines.values():
            spine.set_color(_GREY)
    legend = figure.axes[0].legend(frameon=False, fontsize=9, loc="lower right")
    for text in legend.get_texts():
        text.set_color(_GREY)
    figure.axes[0].set_ylabel("Accuracy on the test pictures", color=_GREY)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
