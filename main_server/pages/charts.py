"""Numbers as places in a plot: where lines go and what stands at the axes. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

#: Of more points every second, third, … is drawn.
MOST_POINTS = 200

#: A plot's width and height in its own units; pages stretch it.
WIDTH, HEIGHT = 1000, 100

_FACTORS = (1, 2, 2.5, 5, 10, 20)
_INTERVALS = 4


@dataclass(frozen=True)
class Dot:
    """One point of the thick line, with what it tells."""

    x: float
    y: float
    words: str


@dataclass(frozen=True)
class Line:
    """A line of a plot: ``path`` is its SVG path."""

    name: str
    path: str


@dataclass(frozen=True)
class Plot:
    """A plot of numbers over rounds.

    Attributes:
        lines: a thin one for each device.
        main: the thick one; ``dots`` are its points.
        labels: of the heights, from the top down, evenly spaced.
        first, last: the rounds at both ends.
    """

    name: str
    main: Line
    dots: list[Dot]
    lines: list[Line]
    labels: list[str]
    first: int
    last: int


def thinned(rows: Sequence[int], most: int = MOST_POINTS) -> tuple[list[int], int]:
    """At most ``most`` of many numbers, evenly: every n-th, counted from the last; and n."""
    every = max(1, math.ceil(len(rows) / most))
    return [*rows[::-1][::every]][::-1], every


def plot(
    name: str,
    main: Mapping[int, float],
    devices: Mapping[str, Mapping[int, float]],
    show: Callable[[float], str],
    most: float | None = None,
) -> Plot | None:
    """A plot, or None where there is no line to draw yet.

    Args:
        main: the thick line's value by round.
        devices: the same of each device's thin line.
        show: writes a value.
        most: the highest possible value; None: there is none.
    """
    if len(main) < 2:
        return None
    values = [*main.values(), *(value for line in devices.values() for value in line.values())]
    low, step = _scale(min(values), max(values), most)
    first, last = min(main), max(main)

    def place(number: int, value: float) -> tuple[float, float]:
        x = WIDTH * (number - first) / (last - first)
        return round(x, 1), round(HEIGHT * (1 - (value - low) / (_INTERVALS * step)), 1)

    def line(name: str, points: Mapping[int, float]) -> Line:
        told = [place(number, value) for number, value in sorted(points.items())]
        return Line(name, "M" + "L".join(f"{x:g} {y:g}" for x, y in told))

    return Plot(
        name=name,
        main=line("federated", main),
        dots=[
            Dot(*place(number, value), f"round {number}: {show(value)}")
            for number, value in sorted(main.items())
        ],
        lines=[line(device, points) for device, points in devices.items() if points],
        labels=[show(low + step * index) for index in range(_INTERVALS, -1, -1)],
        first=first,
        last=last,
    )


def _scale(lowest: float, highest: float, most: float | None) -> tuple[float, float]:
    """Where an axis begins, and how far its labels are apart: round numbers, around all values."""
    span = max(highest - lowest, abs(highest) * 0.01, 0.001)
    size = 10 ** math.floor(math.log10(span / _INTERVALS))
    scales = ((_lowest(lowest, factor * size, most), factor * size) for factor in _FACTORS)
    return next(
        (low, step) for low, step in scales if low + _INTERVALS * step >= highest - step * 1e-9
    )


def _lowest(lowest: float, step: float, most: float | None) -> float:
    low = math.floor(lowest / step) * step
    return low if most is None else min(low, max(0.0, most - _INTERVALS * step))
