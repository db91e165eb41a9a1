"""What a device trained last of each task, and whether the main server has it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import null, update
from sqlalchemy.orm import Session

from shared.device.auto_train_notes import note_new_update
from shared.device.store.part import Part, check_federation
from shared.device.tables import Fact, PendingUpdate
from shared.errors import FedbellError
from shared.federated.task import Task
from shared.web.database import Database
from shared.web.events import record

#: Of a task, how many updates were trained.
_SEQUENCE = "sequence of {}"


class NothingToSend(FedbellError):
    """There is no trained update."""

    status = 409
    title = "There is nothing to send"


class Updates(Part):
    """One of each task: its file in the folder ``updates``, and the main server's answer to it."""

    def __init__(self, directory: Path, database: Database, device: str) -> None:
        super().__init__(directory, database, device)
        self._update_files = threading.Lock()

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
            check_federation(session, federation)
            former = session.get(PendingUpdate, row.task)
            before = files_of(former) if former else set()
            message = (
                f"Trained on {row.num_samples} pictures from version {row.base_version}: "
                f"accuracy {row.metrics.get('accuracy', 0):.3f}"
            )
            record(session, "trained", message, task=row.task, device=self._device)
            note_new_update(session, row, new, by_itself)
            session.merge(row)
            if sequence is not None:
                session.merge(Fact(name=_SEQUENCE.format(row.task), value=str(sequence)))
        with self._update_files:
            for file in before - files_of(row):
                (self.directory / "updates" / file).unlink(missing_ok=True)

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

    def keep_on_its_way(self, row: PendingUpdate, is_on_its_way: bool) -> None:
        """Keep that an update is being sent, whose answer may be lost; or that it was refused."""
        with self.database.write(durable=False) as session:
            session.execute(
                update(PendingUpdate)
                .where(PendingUpdate.task == row.task, PendingUpdate.file == row.file)
                .values(on_its_way=is_on_its_way)
            )

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

    def update_file(self, row: PendingUpdate) -> Path:
        """Where an update lies."""
        return self.directory / "updates" / row.file

    def kept_for(self, task: Task, version: int, *, goes_on: bool = False) -> str | None:
        """The file with what is kept for the task's strategy, as a training from a version finds
        it; None: nothing is.

        What the last training has kept counts once its update does, and another version is
        trained from: trained from the same one again, the update takes that one's place. In an
        asynchronous task every update counts.

        Args:
            goes_on: the training goes on from the last update itself, which has all that it owes.
        """
        row = self.pending(task.name)
        if row is None:
            return None
        is_over = row.base_version != version or task.mode == "async"
        counts = row.answer is not None and is_over and not goes_on
        file = row.keeps if counts else row.kept
        return str(self.directory / "updates" / file) if file else None


def files_of(row: PendingUpdate) -> set[str]:
    """The files in ``updates`` that an update names."""
    return {file for file in (row.file, row.kept, row.keeps) if file}


def _trained(session: Session, task: str) -> int:
    fact = session.get(Fact, _SEQUENCE.format(task))
    return int(fact.value) if fact else 0
