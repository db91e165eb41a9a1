"""What the device's page shows, from what the device knows: words, rows and points, no HTML."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shared.federated.evaluation import Confusion, recalls
from shared.web.filters import percent

#: The steps under the names that people know them by, in order.
STEPS = {
    "modeltrain": "Model Training (Locally)",
    "sendmodel": "Send Model to Federated Server",
    "aggmodel": "Install the newest global model",
}
#: What a step that runs is called beside a task's name.
_DOING = {"modeltrain": "training", "sendmodel": "sending", "aggmodel": "installing"}

#: A class with less than this share of the pictures that an average one has is rare.
_RARE = 1 / 3
#: A confusion of more classes is told as a list of what is confused most often.
_MOST_IN_TABLE = 40
_MOST_CONFUSED = 20
#: Shades of a confusion's cells; the style sheet has a colour for each.
_SHADES = 5


class Tab(NamedTuple):
    """A task in the row of tasks: its state as an icon's kind, and in words."""

    name: str
    kind: str
    words: str


class ClassRow(NamedTuple):
    """The pictures of one class, by split; ``remark`` when they are few or none."""

    name: str
    counts: Mapping[str, int]
    remark: str | None

    @property
    def total(self) -> int:
        """Of all splits."""
        return sum(self.counts.values())


class Cell(NamedTuple):
    """A cell of a confusion's table: a number of pictures, and its share of the right class."""

    number: int
    share: float
    shade: int


class ConfusionRow(NamedTuple):
    """A class that was right, what was answered for it, and the share answered rightly."""

    name: str
    cells: list[Cell]
    recall: float | None
    pictures: int


class Mistake(NamedTuple):
    """How often pictures of one class were taken for another."""

    right: str
    answered: str
    times: int


def tab(name: str, task: Mapping[str, Any]) -> Tab:
    """A task of GET /status, short."""
    if task["job"]:
        return Tab(name, "running", _DOING[task["job"]["kind"]])
    if not task["can_train"]:
        has_none = not sum(task["num_samples"].values())
        return Tab(name, *(("waiting", "no pictures") if has_none else ("failed", "has a problem")))
    if task["version"] is None:
        return Tab(name, "waiting", "no model yet")
    accuracy = f", {percent(task['evaluation']['accuracy'])}" if task["evaluation"] else ""
    return Tab(name, "done", f"version {task['version']}{accuracy}")


def next_step(task: Mapping[str, Any]) -> str | None:
    """The step of a task that sensibly comes next here; None while something hinders it."""
    if not task["can_train"]:
        return None
    pending = task["pending"]
    waits = pending and not pending["sent"] and pending["base_version"] == task["version"]
    return "sendmodel" if waits else "modeltrain"


def balance(classes: Mapping[str, Mapping[str, int]]) -> list[ClassRow]:
    """The pictures of each class, with a word where a class has none or is rare."""
    mean = sum(each["train"] for each in classes.values()) / max(1, len(classes))
    rows = []
    for name, counts in classes.items():
        if not sum(counts.values()):
            remark = "none yet"
        elif not counts["train"]:
            remark = "none to train on"
        elif counts["train"] < _RARE * mean:
            remark = "rare"
        else:
            remark = None
        rows.append(ClassRow(name, counts, remark))
    return rows


def curves(history: Mapping[str, Sequence[float]], of: str) -> list[dict[str, Any]]:
    """The lines of one plot: ``of`` ("loss" or "accuracy") in training and in validation.

    What is no finite number is left out.
    """
    names = {of: "training", f"val_{of}": "validation"}
    return [
        {
            "name": told,
            "points": [value if math.isfinite(value) else None for value in history[name]],
        }
        for name, told in names.items()
        if history.get(name)
    ]


def confusion_table(confusion: Confusion, classes: Sequence[str]) -> list[ConfusionRow]:
    """A row for each class that was right; no cells where there are too many classes."""
    counts: dict[int, dict[int, int]] = {}
    for right, answered, count in confusion:
        counts.setdefault(right, {})[answered] = count
    places = range(len(classes)) if len(classes) <= _MOST_IN_TABLE else ()
    rows = []
    for right, recall in enumerate(recalls(confusion, len(classes))):
        line = counts.get(right, {})
        pictures = sum(line.values())
        cells = [_cell(line.get(answered, 0), pictures) for answered in places]
        rows.append(ConfusionRow(classes[right], cells, recall, pictures))
    return rows


def mistakes(confusion: Confusion, classes: Sequence[str]) -> list[Mistake]:
    """What was confused most often, the most frequent first."""
    wrong = [
        Mistake(classes[right], classes[answered], count)
        for right, answered, count in confusion
        if right != answered and max(right, answered) < len(classes)
    ]
    return sorted(wrong, key=lambda each: -each.times)[:_MOST_CONFUSED]


def _cell(count: int, pictures: int) -> Cell:
    share = count / pictures if pictures else 0.0
    return Cell(count, share, math.ceil(share * _SHADES))
