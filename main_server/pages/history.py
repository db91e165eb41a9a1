"""The past rounds of a task as the page shows them: a table, two plots, and training curves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from main_server.pages.charts import Plot, plot, thinned
from main_server.server import MainServer
from main_server.store.evaluations import FederatedEvaluation
from main_server.store.history import History, Made, PastRound
from main_server.store.tables import DeviceStep, Version

ROUNDS_SHOWN = 20
#: Of more devices the first have a line in the plots.
LINES_SHOWN = 10
#: Of more devices one has to be chosen to see its training.
CURVES_SHOWN = 4


@dataclass(frozen=True)
class HistoryView:
    """The table and the plots.

    Attributes:
        rounds: of one page, newest first; ``evaluations`` of the versions they made.
        promoted: by the number of the round they come after (0: none), the promoted versions
            made after it and before the next, newest first.
        devices: each one's accuracy by version, of the versions of this page.
        plots: federated accuracy and loss over all rounds.
        every: each of how many rounds is drawn.
        lines: devices that have a line; ``measured`` devices could.
        older: before which number the next page goes on; None on the last.
        pruned: versions of this page's rounds whose weights are no longer kept.
    """

    rounds: list[PastRound]
    evaluations: Mapping[int, FederatedEvaluation]
    promoted: dict[int, list[Version]]
    devices: dict[str, dict[int, float]]
    plots: list[Plot]
    every: int
    lines: int
    measured: int
    older: int | None
    total: int
    pruned: frozenset[int]


@dataclass(frozen=True)
class Curves:
    """How devices trained in one round.

    Attributes:
        number: the round's.
        trainings: of each shown device its numbers, one an epoch, by metric.
        chosen: the device to show; None: all, or the first few.
        devices: all that trained in the round.
    """

    number: int
    trainings: dict[str, dict[str, list[float]]]
    chosen: str | None
    devices: list[str]


def history(server: MainServer, task: str, before: int | None) -> HistoryView:
    """The rounds of ``task``: those before a number as a table, all of them as plots."""
    past = History(server.database)
    rows = past.page(task, ROUNDS_SHOWN, before)
    versions = [row.version for row in rows if row.version is not None]
    measured = past.of_devices(task, versions)
    made = past.made(task)
    plots, every = _plots(past, task, made, list(measured)[:LINES_SHOWN])
    return HistoryView(
        rounds=rows,
        evaluations=past.federated(task, versions),
        promoted=_promoted(past, task, rows, is_newest=before is None),
        devices={
            device: {version: accuracy for version, (accuracy, _) in told.items()}
            for device, told in measured.items()
        },
        plots=plots,
        every=every,
        lines=min(len(measured), LINES_SHOWN),
        measured=len(measured),
        older=rows[-1].number if rows and rows[-1].number > 1 else None,
        total=len(made),
        pruned=past.pruned(task, versions),
    )


def _plots(
    past: History, task: str, made: Sequence[Made], devices: Sequence[str]
) -> tuple[list[Plot], int]:
    numbers = {row.number: row.version for row in made}
    drawn, every = thinned(list(numbers))
    versions = {number: numbers[number] for number in drawn}
    federated = past.federated(task, list(versions.values()))
    of_devices = past.of_devices(task, list(versions.values()), devices)
    accuracy = plot(
        "Federated accuracy",
        {number: federated[v].accuracy for number, v in versions.items() if v in federated},
        {
            device: {number: told[v][0] for number, v in versions.items() if v in told}
            for device, told in of_devices.items()
        },
        lambda value: f"{value * 100:.4g}\N{NO-BREAK SPACE}%",
        most=1.0,
    )
    loss = plot(
        "Federated loss",
        {number: federated[v].loss for number, v in versions.items() if v in federated},
        {
            device: {number: told[v][1] for number, v in versions.items() if v in told}
            for device, told in of_devices.items()
        },
        lambda value: f"{value:.4g}",
    )
    return [each for each in (accuracy, loss) if each], every


def _promoted(
    past: History, task: str, rows: Sequence[PastRound], is_newest: bool
) -> dict[int, list[Version]]:
    """The promoted versions of this page's span of time, by the round they come after."""
    since = rows[-1].started if rows and rows[-1].number > 1 else None
    until = None if is_newest or not rows else rows[0].finished
    told: dict[int, list[Version]] = {}
    for version in past.promoted(task, since, until):
        after = next((row.number for row in rows if row.started <= version.created), 0)
        told.setdefault(after, []).append(version)
    return told


def curves(steps: Iterable[DeviceStep], number: int, device: str | None) -> Curves:
    """The trainings of round ``number``, on one device or on all.

    Args:
        steps: of that round.
    """
    trainings = {
        step.device: step.result["history"]
        for step in steps
        if step.step == "modeltrain" and step.result and step.result.get("history")
    }
    shown = [device] if device in trainings else list(trainings)[:CURVES_SHOWN]
    return Curves(
        number=number,
        trainings={name: trainings[name] for name in shown if name is not None},
        chosen=device if device in trainings else None,
        devices=list(trainings),
    )
