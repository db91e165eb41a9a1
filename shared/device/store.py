"""What a device keeps: tasks, the installed model and the pending update of each, its token.

Files are written whole and durably first, their rows after: a row never names a
file that is not there. A kill in between leaves a file without a row, which the
next start removes.
"""

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from sqlalchemy import delete, null, select, update
from sqlalchemy.orm import Session

from shared.device.auto_train_notes import note_new_update
from shared.device.migrations import CHAIN
from shared.device.tables import (
    DeviceTables,
    Fact,
    InstalledModel,
    KnownTask,
    PendingUpdate,
    UnreadablePictures,
    UploadedPicture,
)
from shared.errors import FedbellError
from shared.federated.task import Task
from shared.federated.weights import write_durably
from shared.web.access.tables import AccessTables
from shared.web.database import Database
from shared.web.events import EventTables, record
from shared.web.jobs import JobTables

_FEDERATION = "federation"
#: Of a task, how many updates were trained.
_SEQUENCE = "sequence of {}"


class NoTaskYet(FedbellError):
    """The main server has not told any task yet."""

    status = 503
    title = "The tasks are not known yet"


class UnknownTask(FedbellError):
    """The main server has no such task."""

    status = 404
    title = "There is no such task"


class NothingToSend(FedbellError):
    """There is no trained update."""

    status = 409
    title = "There is nothing to send"


class FederationChanged(FedbellError):
    """The main server began anew while something of the former federation was at work."""

    status = 409
    title = "The federation changed meanwhile"


class Store:
    """The device's database and files.

    Args:
        directory: the device's state.
        device: its name, for the event log.
    """

    def __init__(self, directory: Path, device: str) -> None:
        for folder in ("models", "updates", "incoming"):
            (directory / folder).mkdir(parents=True, exist_ok=True)
        self.directory = directory
        url = f"sqlite:///{(directory / 'device.db').absolute()}"
        tables = (
            DeviceTables.metadata,
            JobTables.metadata,
            EventTables.metadata,
            AccessTables.metadata,
        )
        self.database = Database(url, *tables, migrations=CHAIN)
        self._device = device
        self._update_files = threading.Lock()
        self._remove_leftovers()

    def token(self) -> str:
        """This device's own secret, made and kept before its first use."""
        path = self.directory / "token"
        if not path.exists():
            write_durably(path, secrets.token_urlsafe(32).encode())  # mode 0600, as temporary files
        return path.read_text().strip()

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

    def federation(self) -> str | None:
        """The federation that models and updates here belong to."""
        with self.database.read() as session:
            return _federation(session)

    def adopt(self, federation: str, tasks: Sequence[tuple[Task, int | None, int | None]]) -> None:
        """Take what the main server told; forget what belongs to another federation.

        Args:
            federation: the main server's.
            tasks: each task, its newest version and the newest distributed one.
        """
        rows = [
            {
                "name": task.name,
                "position": position,
                "definition": task.model_dump(mode="json"),
                "version": version,
                "distributed_version": distributed,
            }
            for position, (task, version, distributed) in enumerate(tasks)
        ]
        names = tuple(rows[0]) if rows else ()
        with self.database.read() as session:
            known = session.scalars(select(KnownTask).order_by(KnownTask.position))
            same = rows == [{name: getattr(row, name) for name in names} for row in known]
            if same and federation == _federation(session):
                return
        with self.database.write(durable=False) as session:  # the next heartbeat tells it again
            former = _federation(session)
            if former not in {None, federation}:
                session.execute(delete(InstalledModel))
                session.execute(delete(PendingUpdate))
                # What was learned from them went to the former one.
                session.execute(update(UploadedPicture).values(trained=None))
                message = "Another federation: models and updates of the former one are forgotten"
                record(session, "federation", message, device=self._device)
            session.merge(Fact(name=_FEDERATION, value=federation))
            session.execute(delete(KnownTask))
            session.add_all(KnownTask(**row) for row in rows)

    def installed(self, task: str) -> InstalledModel | None:
        """The global model of a task."""
        with self.database.read() as session:
            return session.get(InstalledModel, task)

    def install(
        self, task: str, version: int, file: Path, etag: str, federation: str
    ) -> InstalledModel:
        """Make a file in ``models`` the installed model; the one before it is removed.

        Raises:
            FederationChanged: the model belongs to another federation.
        """
        with self.database.write() as session:
            self._check(session, federation)
            row = session.get(InstalledModel, task)
            before = row.file if row else None
            if row is None:
                row = InstalledModel(task=task)
                session.add(row)
            row.version, row.file, row.etag = version, file.name, etag
            row.evaluation = row.problem = None
            message = f"Version {version} installed"
            record(session, "installed", message, task=task, device=self._device)
            session.flush()
            session.expunge(row)
        if before and before != file.name:
            (file.parent / before).unlink(missing_ok=True)
        return row

    def evaluated(self, task: str, version: int, measured: dict[str, Any]) -> None:
        """Keep what the trainer answered to ``evaluate``: evaluation, problem, skipped."""
        evaluation, problem = measured["evaluation"], measured["problem"]
        with self.database.write(durable=False) as session:  # it can be measured again
            session.merge(UnreadablePictures(task=task, pictures=measured["skipped"]))
            session.execute(
                update(InstalledModel)
                .where(InstalledModel.task == task, InstalledModel.version == version)
                .values(evaluation=evaluation, problem=problem)
            )
            told = f"accuracy {evaluation['accuracy']:.3f}" if evaluation else problem
            message = f"Version {version} on own test pictures: {told}"
            record(session, "evaluated", message, task=task, device=self._device)

    def unreadable(self, task: str) -> list[dict[str, str]]:
        """Test pictures that could not be read when a model was measured last."""
        with self.database.read() as session:
            row = session.get(UnreadablePictures, task)
        return row.pictures if row else []

    def pending(self, task: str) -> PendingUpdate | None:
        """What was trained last."""
        with self.database.read() as session:
            return session.get(PendingUpdate, task)

    def next_sequence(self, task: str) -> int:
        """The number of the update that is trained next, from 1: the same until it is kept."""
        with self.database.read() as session:
            return _trained(session, task) + 1

    def keep_update(
        self,
        row: PendingUpdate,
        federation: str,
        new: int = 0,
        by_itself: bool = False,
        sequence: int | None = None,
    ) -> None:
        """Make a file in ``updates`` the pending update; the one before it is removed.

        Args:
            row: the update.
            federation: what it was trained for.
            new: how many of its pictures were never trained on before.
            by_itself: train on upload began the training.
            sequence: its number, as :meth:`next_sequence` told it.

        Raises:
            FederationChanged: it was trained for another federation.
        """
        with self.database.write() as session:
            self._check(session, federation)
            former = session.get(PendingUpdate, row.task)
            before = former.file if former else None
            message = (
                f"Trained on {row.num_samples} pictures from version {row.base_version}: "
                f"accuracy {row.metrics.get('accuracy', 0):.3f}"
            )
            record(session, "trained", message, task=row.task, device=self._device)
            note_new_update(session, row, new, by_itself)
            session.merge(row)
            if sequence is not None:
                session.merge(Fact(name=_SEQUENCE.format(row.task), value=str(sequence)))
        if before and before != row.file:
            with self._update_files:
                (self.directory / "updates" / before).unlink(missing_ok=True)

    @contextmanager
    def open_update(self, task: str) -> Iterator[tuple[PendingUpdate, BinaryIO]]:
        """The pending update and its file, which stays readable if a newer one comes.

        Raises:
            NothingToSend: nothing has been trained.
        """
        with self._update_files:
            row = self.pending(task)
            if row is None:
                raise NothingToSend(
                    f"This device has not trained task {task} yet. Train first: "
                    f"POST /modeltrain?task={task}"
                )
            file = self.update_file(row).open("rb")
        with file:
            yield row, file

    def sent(self, row: PendingUpdate, answer: dict[str, Any]) -> None:
        """Keep what the main server answered to an update."""
        with self.database.write(durable=False) as session:  # sent twice, it counts once
            session.execute(
                update(PendingUpdate)
                .where(PendingUpdate.task == row.task, PendingUpdate.file == row.file)
                .values(answer=answer)
            )
            message = f"Sent to the main server: counts in round {answer.get('round')}"
            record(session, "sent", message, task=row.task, device=self._device)

    def not_sent(self, row: PendingUpdate) -> None:
        """The main server does not have an update any more: it went back to a backup."""
        with self.database.write(durable=False) as session:  # the next heartbeat tells it again
            session.execute(
                update(PendingUpdate)
                .where(PendingUpdate.task == row.task, PendingUpdate.file == row.file)
                .values(answer=null())
            )
            message = (
                "The main server does not have the last update any more: it is to be sent again"
            )
            record(session, "not_sent", message, task=row.task, device=self._device)

    def model_file(self, row: InstalledModel) -> Path:
        """Where an installed model lies."""
        return self.directory / "models" / row.file

    def update_file(self, row: PendingUpdate) -> Path:
        """Where an update lies."""
        return self.directory / "updates" / row.file

    def new_file(self, folder: str, task: str) -> Path:
        """A name in ``folder`` that no file has."""
        stamp = f"{time.time():.0f}-{uuid4().hex[:12]}"
        return self.directory / folder / f"{task}-{stamp}.safetensors"

    def _check(self, session: Session, federation: str) -> None:
        if _federation(session) != federation:
            raise FederationChanged(
                "The main server began a new federation meanwhile, so this is of no use "
                "to it any more. Do the step again."
            )

    def _remove_leftovers(self) -> None:
        with self.database.read() as session:
            named = {
                "models": set(session.scalars(select(InstalledModel.file))),
                "updates": set(session.scalars(select(PendingUpdate.file))),
                "incoming": set[str](),
            }
        for folder, files in named.items():
            for path in (self.directory / folder).iterdir():
                if path.name not in files:
                    path.unlink()
        # What write_durably had begun.
        for path in self.directory.glob(".token.*"):
            path.unlink()


def _trained(session: Session, task: str) -> int:
    fact = session.get(Fact, _SEQUENCE.format(task))
    return int(fact.value) if fact else 0


def _federation(session: Session) -> str | None:
    fact = session.get(Fact, _FEDERATION)
    return fact.value if fact else None
