"""Pages about versions: two rounds side by side, and weights before and after a round."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BeforeValidator, Field

from main_server.pages import comparison
from main_server.pages.round_results import RoundResults
from main_server.rounds import AGGREGATED, OPEN
from main_server.schemas import TaskQuery
from main_server.server import MainServer
from main_server.store.tables import Round, Version
from main_server.version_statistics import VersionStatistics
from shared.federated.statistics import Statistics, Summary
from shared.federated.task import Task
from shared.web.live import page
from shared.web.problems import NotFound

#: Of more classes no matrix is drawn, but a list of what is confused most.
_MOST_MATRIX_CLASSES = 20
_ROUNDS_LOOKED_AT = 20
#: Of more layers the first; the calls tell all.
_MOST_LAYERS = 100

#: A number field of a form; left empty it chooses nothing.
_Number = Annotated[
    Annotated[int, Field(ge=0, le=2**31 - 1)] | None,
    BeforeValidator(lambda told: None if told == "" else told),
]


class CompareQuery(TaskQuery):
    """Which two rounds; without them, the newest two."""

    left: _Number = None
    right: _Number = None


class WeightsQuery(TaskQuery):
    """Which version, and before it which; without them, the newest and the one before it."""

    version: _Number = None
    since: _Number = None


@dataclass(frozen=True)
class Rows:
    """A layer, or all of them, in the table of statistics: a summary by what it is of."""

    name: str
    shape: tuple[int, ...] | None
    summaries: dict[str, Summary]


def blueprint(server: MainServer) -> APIBlueprint:
    """``GET /compare`` and ``GET /weights``."""
    pages = APIBlueprint("version_pages", __name__, enable_openapi=False)
    numbers = VersionStatistics(server.versions)

    @pages.get("/compare")
    @pages.input(CompareQuery, location="query")
    def compare_page(query_data: CompareQuery) -> Response:
        task = server.task(query_data.task)
        rounds = _rounds_to_compare(server, task, query_data.left, query_data.right)
        told = _comparison(server, task, rounds) if rounds else {}
        return page("compare.html", task=task, tasks=server.task_names, rounds=rounds, **told)

    @pages.get("/weights")
    @pages.input(WeightsQuery, location="query")
    def weights_page(query_data: WeightsQuery) -> Response:
        task = server.task(query_data.task)
        newest, _ = server.versions.newest_numbers().get(task.name, (None, None))
        told: dict[str, Any] = {"version": None}
        if newest is not None:
            number = newest if query_data.version is None else query_data.version
            since = max(number - 1, 0) if query_data.since is None else query_data.since
            version = server.versions.get(task.name, number)
            before = server.versions.get(task.name, since)
            told = _weights(server, numbers, version, before) | {"newest": newest}
        return page("weights.html", task=task, tasks=server.task_names, **told)

    return pages


def _rounds_to_compare(
    server: MainServer, task: Task, left: int | None, right: int | None
) -> list[Round]:
    """The two rounds that were asked for; none where there is no round yet.

    A side that nobody chose is the newest round, or the one before the other side; as far as
    there is one that has a version, that one.

    Raises:
        NotFound: there is no round of that number.
    """
    newest = server.rounds.newest(task.name)
    if newest is None:
        return []

    def chosen(number: int) -> Round:
        row = server.rounds.get(task.name, number)
        if row is None:
            told = f"There is no round {number} of task {task.name}"
            raise NotFound(f"{told}; the newest is round {newest.number}.")
        return row

    def last(before: int) -> Round:
        rows = server.rounds.page(task.name, _ROUNDS_LOOKED_AT, before)
        done = (row for row in rows if row.version is not None)
        return next(done, None) or (rows[0] if rows else chosen(before))

    later = chosen(right) if right is not None else last(newest.number + 1)
    return [chosen(left) if left is not None else last(later.number), later]


def _comparison(server: MainServer, task: Task, rounds: Sequence[Round]) -> dict[str, Any]:
    """What compare.html shows."""
    left, right = (RoundResults.read(server.rounds, row) for row in rounds)
    classes = len(task.classes)
    few = classes <= _MOST_MATRIX_CLASSES
    return {
        "left": left,
        "right": right,
        "reservations": comparison.reservations(left, right),
        "whole": comparison.compare_rounds(left, right),
        "devices": comparison.compare_devices(left, right),
        "recalls": comparison.compare_recalls(task, left, right),
        "matrices": [side.matrix(classes) for side in (left, right)] if few else None,
        "confused": comparison.most_confused(task, left, right),
    }


def _weights(
    server: MainServer, numbers: VersionStatistics, version: Version, before: Version
) -> dict[str, Any]:
    """What weights.html shows."""
    after_numbers, before_numbers = numbers.of(version), numbers.of(before)
    told = {
        f"version {before.version}": before_numbers,
        f"version {version.version}": after_numbers,
        "change": numbers.change(before, version),
    }
    measured = server.rounds.evaluations(version.task, [before.version, version.version])
    newest_round = server.rounds.newest(version.task)
    waits = newest_round is not None and newest_round.status in (OPEN, AGGREGATED)
    return {
        "version": version,
        "before": before,
        "made_in": server.versions.round_of(version),
        "measured": dict(sorted(measured.items())),
        "waiting_round": newest_round if waits else None,
        "rows": _rows(told),
        "layers_left_out": max(0, len(after_numbers.layers) - _MOST_LAYERS),
        "change": told["change"].all,
        "norm_before": before_numbers.all.norm,
        "histograms": _histograms(numbers, version, before),
    }


def _rows(told: dict[str, Statistics]) -> list[Rows]:
    over_all = Rows("All layers", None, {name: each.all for name, each in told.items()})
    layers = zip(*(each.layers[:_MOST_LAYERS] for each in told.values()), strict=True)
    return [over_all] + [
        Rows(
            same[0].name,
            same[0].shape,
            {name: layer.summary for name, layer in zip(told, same, strict=True)},
        )
        for same in layers
    ]


def _histograms(
    numbers: VersionStatistics, version: Version, before: Version
) -> dict[str, Any] | None:
    """Both versions' histograms, over the range of both; None where there is no number."""
    told = [numbers.of(each).all for each in (before, version)]
    lowest = [each.minimum for each in told if each.minimum is not None]
    highest = [each.maximum for each in told if each.maximum is not None]
    if not lowest:
        return None
    drawn = [numbers.histogram(each, min(lowest), max(highest)) for each in (before, version)]
    return {"edges": drawn[0].edges, "before": drawn[0].counts, "after": drawn[1].counts}
