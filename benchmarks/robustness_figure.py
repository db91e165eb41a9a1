"""The heat map of benchmarks/robustness.py: strategies against attacks, a panel for each task."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

_GREY = "#808080"
#: Where a cell is so light that its number is written dark.
_LIGHT = 0.55


def draw(told: Sequence[dict[str, Any]]) -> bytes:
    """Draw the accuracies.

    Args:
        told: as the benchmark writes them.

    Returns:
        An SVG document, UTF-8, without a background: it is read on light and on dark.
    """
    tasks = list(dict.fromkeys(each["task"] for each in told))
    strategies = list(dict.fromkeys(each["strategy"] for each in told))
    figure = Figure(figsize=(12, (1.2 + 0.33 * len(strategies)) * len(tasks)), layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0)
    for axes, task in zip(figure.subplots(len(tasks), 1, squeeze=False)[:, 0], tasks, strict=True):
        _panel(axes, [each for each in told if each["task"] == task], strategies)
        axes.set_title(f"{task}: test accuracy, %", color=_GREY, fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _panel(axes: Axes, told: Sequence[dict[str, Any]], strategies: Sequence[str]) -> None:
    columns = list(dict.fromkeys((each["attack"], each["poisoned"]) for each in told))
    columns.sort(key=lambda column: (column[1] > 0, _first(told, column[0]), column[1]))
    cells = np.zeros((len(strategies), len(columns)))
    for each in told:
        column = columns.index((each["attack"], each["poisoned"]))
        cells[strategies.index(each["strategy"]), column] = each["accuracy"]
    axes.imshow(cells, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    for (row, column), accuracy in np.ndenumerate(cells):
        colour = "black" if accuracy > _LIGHT else "white"
        axes.text(
            column, row, f"{100 * accuracy:.0f}", ha="center", va="center", color=colour, fontsize=8
        )
    names = [
        f"{attack}\n{poisoned} of 10" if poisoned else "nobody" for attack, poisoned in columns
    ]
    axes.set_xticks(range(len(columns)), names, fontsize=7, rotation=45, ha="right", color=_GREY)
    axes.set_yticks(range(len(strategies)), strategies, fontsize=8, color=_GREY)
    axes.tick_params(colors=_GREY, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _first(told: Sequence[dict[str, Any]], attack: str) -> int:
    return next(index for index, each in enumerate(told) if each["attack"] == attack)
