"""Figures of a training, as SVG."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_PANELS = (("accuracy", "Accuracy"), ("loss", "Loss"))


def training_curves(history: Mapping[str, Sequence[float]], title: str) -> bytes:
    """Draw accuracy and loss over the epochs, training and validation.

    Args:
        history: as ``train`` returns it: "loss", "accuracy", and perhaps "val_loss" and
            "val_accuracy", one number per epoch.
        title: stands above the figure.

    Returns:
        An SVG document, UTF-8.
    """
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    FigureCanvasSVG(figure)
    # A dollar sign would begin a formula.
    figure.suptitle(title.replace("$", r"\$"))
    for axes, (name, label) in zip(figure.subplots(1, 2), _PANELS, strict=True):
        for key, legend, style in ((name, "training", "o-"), (f"val_{name}", "validation", "s--")):
            if values := history.get(key):
                axes.plot(range(1, len(values) + 1), values, style, markersize=4, label=legend)
        axes.set(xlabel="Epoch", ylabel=label)
        axes.set_ylim(bottom=0, top=1.02 if name == "accuracy" else None)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
