"""Two rounds side by side, in lines: what each brought, what differs, in numbers and words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from main_server.pages.round_results import RoundResults
from shared.federated.evaluation import recalls
from shared.federated.strategy_words import title_of, value_in_words
from shared.federated.task import Task
from shared.web.filters import kilobytes, percent

_CONFUSIONS_SHOWN = 15
_NONE = "–"

#: What a larger number on the right is, and a smaller one.
_GOOD, _BAD = ("better", "worse"), ("worse", "better")
_COUNT, _AMOUNT, _TIME = ("more", "fewer"), ("more", "less"), ("longer", "shorter")


@dataclass(frozen=True)
class Line:
    """One thing of both rounds; ``change`` and its ``word`` from left to right."""

    name: str
    left: str
    right: str
    change: str = ""
    word: str = ""


def compare_rounds(left: RoundResults, right: RoundResults) -> list[Line]:
    """What both rounds brought as a whole."""
    sides = (left, right)
    told = [side.evaluation for side in sides]
    lines = [
        _share("Federated accuracy", [each.accuracy if each else None for each in told]),
        _line("Federated loss", [each.loss if each else None for each in told], _three, _BAD),
        _line("Test pictures", [each.num_samples if each else None for each in told]),
        _line("Updates", [len(side.row.updates) for side in sides]),
        _line("Samples", [sum(side.num_samples.values()) for side in sides]),
        _line("Received", [side.bytes_received for side in sides], kilobytes, _AMOUNT),
        _line("Time", [side.seconds for side in sides], _seconds, _TIME),
        _text("Strategy", [title_of(side.row.strategy) for side in sides]),
        *_parameters(sides),
        _text("Status", [side.row.status for side in sides]),
    ]
    unchanged = [len(side.row.unchanged or {}) for side in sides]
    if any(unchanged):
        lines.append(_line("Devices counted as unchanged", unchanged))
    return [*lines, Line("Versions", _versions(left), _versions(right))]


def _parameters(sides: Sequence[RoundResults]) -> list[Line]:
    """Those of the strategies of both rounds, a line each."""
    told = [side.row.parameters or {} for side in sides]
    lines = []
    for name in dict.fromkeys([*told[0], *told[1]]):
        left, right = (_value(each[name]) if name in each else _NONE for each in told)
        word = "the same" if told[0].get(name) == told[1].get(name) else "differs"
        lines.append(Line(name, left, right, "", word))
    return lines


def _value(value: Any) -> str:
    """A parameter's value; of a list of several, how many they are."""
    several = isinstance(value, list) and len(value) > 1
    return f"{len(value)} of them" if several else value_in_words(value)


def reservations(left: RoundResults, right: RoundResults) -> list[str]:
    """What is missing, or makes the rounds hard to compare, in sentences."""
    told = [side.reservation for side in (left, right) if side.reservation]
    numbers = [side.evaluation.num_samples if side.evaluation else None for side in (left, right)]
    if None not in numbers and numbers[0] != numbers[1]:
        told.append(
            f"They were measured on {numbers[0]:,} and on {numbers[1]:,} test pictures: "
            "differences may be chance."
        )
    return list(dict.fromkeys(told))


def compare_devices(left: RoundResults, right: RoundResults) -> dict[str, list[Line]]:
    """By device that sent an update or measured: accuracy, loss and samples."""
    sides = (left, right)
    names = sorted({name for side in sides for name in (*side.devices, *side.num_samples)})
    return {name: _compare_device(name, sides) for name in names}


def _compare_device(name: str, sides: Sequence[RoundResults]) -> list[Line]:
    told = [side.devices.get(name) for side in sides]
    return [
        _share("Accuracy", [each.accuracy if each else None for each in told]),
        _line("Loss", [each.loss if each else None for each in told], _three, _BAD),
        _line("Samples", [side.num_samples.get(name) for side in sides]),
    ]


def compare_recalls(task: Task, left: RoundResults, right: RoundResults) -> list[Line]:
    """By class: the share of its pictures, on all devices, that were answered rightly."""
    number = len(task.classes)
    found = [
        recalls(side.confusion, number) if side.confusion is not None else [None] * number
        for side in (left, right)
    ]
    return [_share(name, pair) for name, *pair in zip(task.classes, *found, strict=True)]


def most_confused(task: Task, left: RoundResults, right: RoundResults) -> list[Line]:
    """What is taken for what most often, in both rounds together."""
    sides = [side.mistakes(len(task.classes)) for side in (left, right)]
    both = {
        place: sum((side or {}).get(place, 0) for side in sides)
        for place in {place for side in sides for place in side or {}}
    }
    ranked = sorted(both, key=lambda place: (-both[place], place))[:_CONFUSIONS_SHOWN]
    return [
        _line(
            f"{task.classes[true]} taken for {task.classes[answered]}",
            [None if side is None else side.get((true, answered), 0) for side in sides],
        )
        for true, answered in ranked
    ]


def _line(
    name: str,
    values: Sequence[float | None],
    show: Callable[[float], str] = "{:,}".format,
    words: tuple[str, str] = _COUNT,
    show_change: Callable[[float], str] | None = None,
) -> Line:
    left, right = values
    told = [_NONE if value is None else show(value) for value in values]
    line = Line(name, told[0], told[1])
    if left is None or right is None:
        return line
    if line.left == line.right:
        return Line(name, line.left, line.right, "", "the same")
    sign, word = ("+", words[0]) if right > left else ("\N{MINUS SIGN}", words[1])
    amount = (show_change or show)(abs(right - left))
    return Line(name, line.left, line.right, f"{sign}{amount}", word)


def _share(name: str, values: Sequence[float | None]) -> Line:
    return _line(name, values, percent, _GOOD, _points)


def _text(name: str, values: Sequence[str]) -> Line:
    left, right = values
    return Line(name, left, right, "", "the same" if left == right else "differs")


def _versions(side: RoundResults) -> str:
    made = side.row.version
    return f"{side.row.base_version} → {_NONE if made is None else made}"


def _points(fraction: float) -> str:
    return f"{fraction * 100:.1f} points"


def _three(number: float) -> str:
    return f"{number:.3f}"


def _seconds(number: float) -> str:
    return f"{number:,.1f}\N{NO-BREAK SPACE}s"
