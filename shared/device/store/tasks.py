"""The tasks that a device knows, and the federation that they are of."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import delete, select, update

from shared.device.store.part import FEDERATION, Part, federation_of
from shared.device.tables import Fact, InstalledModel, KnownTask, PendingUpdate, UploadedPicture
from shared.errors import FedbellError
from shared.federated.choice import Choice
from shared.federated.task import Task
from shared.web.database import Database
from shared.web.events import record


class NoTaskYet(FedbellError):
    """The main server has not told any task yet."""

    status = 503
    title = "The tasks are not known yet"


class UnknownTask(FedbellError):
    """The main server has no such task."""

    status = 404
    title = "There is no such task"


class Tasks(Part):
    """What the main server told last."""

    def __init__(self, directory: Path, database: Database, device: str) -> None:
        super().__init__(directory, database, device)
        #: By task, the strategy that came with a version last, and when, as time.monotonic().
        self._strategies: dict[str, tuple[float, Choice]] = {}

    def tasks(self) -> list[KnownTask]:
        """All tasks, in the main server's order."""
        with self.database.read() as session:
            return list(session.scalars(select(KnownTask).order_by(KnownTask.position)))

    def task(self, name: str | None) -> Task:
        """The task of that name; the first one for None.

        Raises:
            NoTaskYet: the main server has not been reached even once.
            UnknownTask
        """
        if name is not None:
            with self.database.read() as session:
                row = session.get(KnownTask, name)
            if row is not None:
                return row.task
        known = self.tasks()
        if not known:
            raise NoTaskYet(
                "This device does not know its tasks yet: it has never reached its main server. "
                "Start the main server, or look at main_server_url; GET /status says more."
            )
        if name is None:
            return known[0].task
        raise UnknownTask(
            f"There is no task {name}. There are: {', '.join(row.name for row in known)}."
        )

    def take_strategy(self, task: Task) -> None:
        """Note the strategy of ``task``, which came with a version just now."""
        choice = Choice.of(task)
        self._strategies[task.name] = time.monotonic(), choice
        with self.database.read() as session:
            row = session.get(KnownTask, task.name)
            if row is None or Choice.of(row.task) == choice:
                return
        with self.database.write(durable=False) as session:  # the next heartbeat tells it again
            row = session.get(KnownTask, task.name)
            if row is not None:
                row.definition = choice.applied(row.task).model_dump(mode="json")

    def goes_by(self, task: Task) -> Task:
        """The task with the strategy that was told last, by a heartbeat or with a version."""
        with self.database.read() as session:
            row = session.get(KnownTask, task.name)
        return task if row is None else Choice.of(row.task).applied(task)

    def federation(self) -> str | None:
        """The federation that models and updates here belong to."""
        with self.database.read() as session:
            return federation_of(session)

    def adopt(
        self,
        federation: str,
        tasks: Sequence[tuple[Task, int | None, int | None]],
        began: float = math.inf,
    ) -> None:
        """Take what the main server told; forget what belongs to another federation.

        Args:
            federation: the main server's.
            tasks: each task, its newest version and the newest distributed one.
            began: when it was asked, as ``time.monotonic()``. A strategy that came with a version
                since may be newer than what it told.
        """
        if federation != self.federation():
            self._strategies.clear()
        rows = [
            {
                "name": task.name,
                "position": position,
                "definition": self._since(began, task).model_dump(mode="json"),
                "version": version,
                "distributed_version": distributed,
            }
            for position, (task, version, distributed) in enumerate(tasks)
        ]
        names = tuple(rows[0]) if rows else ()
        with self.database.read() as session:
            known = session.scalars(select(KnownTask).order_by(KnownTask.position))
            same = rows == [{name: getattr(row, name) for name in names} for row in known]
            if same and federation == federation_of(session):
                return
        with self.database.write(durable=False) as session:  # the next heartbeat tells it again
            former = federation_of(session)
            if former not in {None, federation}:
                session.execute(delete(InstalledModel))
                session.execute(delete(PendingUpdate))
                # What was learned from them went to the former one.
                session.execute(update(UploadedPicture).values(trained=None))
                message = "Another federation: models and updates of the former one are forgotten"
                record(session, "federation", message, device=self._device)
            session.merge(Fact(name=FEDERATION, value=federation))
            session.execute(delete(KnownTask))
            session.add_all(KnownTask(**row) for row in rows)

    def _since(self, began: float, task: Task) -> Task:
        """The task, with the strategy that came with a version after a moment, if one did."""
        told = self._strategies.get(task.name)
        return task if told is None or told[0] < began else told[1].applied(task)
