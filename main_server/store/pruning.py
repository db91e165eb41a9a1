"""Which versions keep their file. Rows are kept of all: history, pages and lists go on."""

import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from main_server import rounds as rules
from main_server.store.evaluations import federated_evaluations
from main_server.store.round_rows import newest_round
from main_server.store.tables import Version
from main_server.store.versions import Versions, slots_beside
from shared.federated.policies import KeepSettings
from shared.federated.task import Task
from shared.web.database import Database
from shared.web.events import record

#: Where many versions are made, every so-manieth looks for what can go: a look costs a moment.
LOOK_EVERY = 16
#: A file without a row may be of a version that another process is just making.
_OLD_SECONDS = 24 * 3600


def superfluous(
    present: Collection[int], keep: KeepSettings, *, best: int | None, needed: Collection[int]
) -> list[int]:
    """Which versions' files can go, in order.

    Args:
        present: the versions whose file is there.
        best: the checkpoint of the best federated accuracy; None: none is measured.
        needed: versions that have to stay whatever the settings say. The first and the newest do
            too.
    """
    checkpoints = [each for each in sorted(present) if each % keep.checkpoint_every == 0]
    kept = {0, max(present, default=0), *needed}
    kept.update(checkpoints if keep.last is None else checkpoints[-keep.last :])
    if keep.best and best is not None:
        kept.add(best)
    if keep.every is not None:
        kept.update(each for each in checkpoints if each % keep.every == 0)
    return sorted(set(present) - kept)


class Pruning:
    """Deletes the files of versions that nobody needs any more.

    First the row says so, then the file goes. What a kill leaves in between goes at the next start.
    Who has opened a file reads it to its end.
    """

    def __init__(self, database: Database, versions: Versions) -> None:
        self._database = database
        self._versions = versions

    def prune(self, task: Task) -> list[int]:
        """Delete what can go of one task; the versions whose files have gone."""
        if not self._look(task):
            return []
        with self._database.write() as session:
            gone = _superfluous(session, task)  # once more: nothing changes between now and the end
            if not gone:
                return []
            files = [self._versions.path(row) for row in gone]
            for row in gone:
                row.pruned = time.time()
            numbers = [row.version for row in gone]
            record(session, "versions_pruned", _told(numbers), task=task.name)
        for file in files:
            file.unlink(missing_ok=True)
            slots_beside(file).unlink(missing_ok=True)
        return numbers

    def look_again(self, tasks: Mapping[str, Task]) -> None:
        """At a start: look where a kill may have come between the newest version and its look."""
        newest = self._versions.newest_numbers()
        for name, task in tasks.items():
            is_due = name in newest and newest[name][0] % LOOK_EVERY == 0
            if task.mode == "async" and is_due:
                self.prune(task)

    def _look(self, task: Task) -> bool:
        with self._database.read() as session:
            return bool(_superfluous(session, task))

    def remove_leftovers(self, tasks: Iterable[str], directory: Path) -> None:
        """Delete files that a kill has left: of pruned versions, and old ones of no version.

        Args:
            directory: where the files of versions lie, in a folder for each task.
        """
        for task in tasks:
            for file in (directory / task).glob("*.safetensors"):
                number, _, rest = file.name.partition(".")[0].partition("-")
                row = self._versions.find(task, int(number)) if number.isdecimal() else None
                if row is not None and row.sha256.startswith(rest):
                    if row.pruned is not None:
                        file.unlink(missing_ok=True)
                elif time.time() - file.stat().st_mtime > _OLD_SECONDS:
                    file.unlink(missing_ok=True)


def _superfluous(session: Session, task: Task) -> list[Version]:
    """The rows of versions whose file can go."""
    if task.keep.last is None and task.keep.checkpoint_every == 1:
        return []
    present = [
        *session.scalars(
            select(Version)
            .where(Version.task == task.name, Version.pruned.is_(None))
            .order_by(Version.version)
        )
    ]
    if not present:
        return []
    numbers = [row.version for row in present]
    best = _best(session, task, numbers) if task.keep.best else None
    gone = set(superfluous(numbers, task.keep, best=best, needed=_needed(session, task, present)))
    return [row for row in present if row.version in gone]


def _needed(session: Session, task: Task, present: list[Version]) -> set[int]:
    """Versions that devices are told to fetch, or that updates may still start from."""
    newest = present[-1].version
    needed = {max((row.version for row in present if row.released), default=newest)}
    if task.mode == "async":
        needed.update(range(max(0, newest - task.asynchronous.most_staleness), newest + 1))
    elif task.rounds.late_updates == "merge":
        needed.update(range(max(0, newest - task.rounds.most_staleness), newest + 1))
    row = newest_round(session, task.name)
    if row is not None and row.status == rules.OPEN:
        needed.add(row.base_version)
        needed.update(each.base_version for each in row.updates if each.base_version is not None)
    return needed


def _best(session: Session, task: Task, present: list[int]) -> int | None:
    """The newest of the checkpoints with the best federated accuracy."""
    checkpoints = [each for each in present if each % task.keep.checkpoint_every == 0]
    measured = federated_evaluations(session, task.name, checkpoints)

    def goodness(version: int) -> tuple[float, int]:
        return measured[version].accuracy_in_use, version

    return max(measured, key=goodness, default=None)


def _told(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"the weights of version {numbers[0]} are not kept any more"
    first, last = numbers[0], numbers[-1]
    return f"the weights of {len(numbers)} versions from {first} to {last} are not kept any more"
