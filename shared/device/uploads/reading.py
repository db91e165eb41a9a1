"""What the tables of uploaded pictures are asked."""

from collections.abc import Collection
from pathlib import Path

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from shared.device.tables import UploadedPicture, UploadedThumbnail
from shared.federated.task import Task
from shared.web.database import Database
from shared.web.problems import NotFound


class Uploaded:
    """Reads the uploaded pictures of all tasks; changes none.

    Args:
        directory: with a folder for each task.
        database: of the device's store, with its tables.
    """

    def __init__(self, directory: Path, database: Database) -> None:
        self.directory = directory.absolute()
        self._database = database

    def for_trainer(self, task: Task) -> dict[str, list[list[str | int]]]:
        """By split, ``[path, label index, sha256]`` of each labelled picture, oldest first."""
        query = select(UploadedPicture).where(*_labelled(task)).order_by(UploadedPicture.added)
        found: dict[str, list[list[str | int]]] = {}
        with self._database.read() as session:
            for row in session.scalars(query):
                label = task.classes.index(row.label or "")
                pictures = found.setdefault(row.split or "", [])
                pictures.append([str(self.path(row)), label, row.sha256])
        return found

    def counts(self, task: Task) -> dict[str, dict[str, int]]:
        """How many labelled pictures there are, by class and split; zeros are left out."""
        key = UploadedPicture.label, UploadedPicture.split
        query = select(*key, func.count()).where(*_labelled(task)).group_by(*key)
        found: dict[str, dict[str, int]] = {}
        with self._database.read() as session:
            for label, split, number in session.execute(query):
                found.setdefault(label or "", {})[split or ""] = number
        return found

    def untrained(self, task: Task) -> int:
        """How many labelled pictures no training has had, with the label and split they have.

        Those to validate and to test count too: whatever a picture is for, the next training
        takes it into account.
        """
        return self._count(*_labelled(task), UploadedPicture.trained.is_(None))

    def unlabelled(self, task: Task) -> int:
        """How many pictures wait for a label."""
        return self._count(*_kept(task), _has_no_label(task))

    def total(self, task: Task) -> int:
        """How many pictures there are, without those that the model was only tried on."""
        return self._count(*_kept(task))

    def of_gone_tasks(self, tasks: Collection[str]) -> dict[str, int]:
        """Of each task that is none of ``tasks``, how many pictures there still are."""
        query = select(UploadedPicture.task, func.count()).group_by(UploadedPicture.task)
        gone = query.where(UploadedPicture.task.not_in(tasks)).order_by(UploadedPicture.task)
        with self._database.read() as session:
            return dict(session.execute(gone).all())

    def page(
        self,
        task: Task,
        label: str | None = None,
        unlabelled: bool = False,
        before: float | None = None,
        limit: int = 100,
    ) -> list[UploadedPicture]:
        """Pictures, newest first, without those that the model was only tried on.

        Args:
            label: those of this class alone.
            unlabelled: those alone that wait for a label.
            before: those alone that were ``added`` before.
        """
        query = select(UploadedPicture).where(*_kept(task))
        if label is not None:
            query = query.where(UploadedPicture.label == label)
        if unlabelled:
            query = query.where(_has_no_label(task))
        if before is not None:
            query = query.where(UploadedPicture.added < before)
        with self._database.read() as session:
            newest_first = query.order_by(UploadedPicture.added.desc())
            return list(session.scalars(newest_first.limit(limit)))

    def find(self, task: str, sha256: str) -> UploadedPicture:
        """A picture's row.

        Raises:
            NotFound
        """
        with self._database.read() as session:
            return found(session, task, sha256)

    def path(self, row: UploadedPicture) -> Path:
        """Where a picture lies."""
        return self.directory / row.task / row.file

    def thumbnail(self, task: str, sha256: str) -> bytes:
        """A picture's thumbnail, a JPEG.

        Raises:
            NotFound
        """
        with self._database.read() as session:
            row = session.get(UploadedThumbnail, (task, sha256))
        if row is None:
            raise _not_found(task, sha256)
        return row.jpeg

    def _count(self, *conditions: ColumnElement[bool]) -> int:
        query = select(func.count()).select_from(UploadedPicture).where(*conditions)
        with self._database.read() as session:
            return session.scalar(query) or 0


def found(session: Session, task: str, sha256: str) -> UploadedPicture:
    """A picture's row. Raises NotFound."""
    row = session.get(UploadedPicture, (task, sha256))
    if row is None:
        raise _not_found(task, sha256)
    return row


def _not_found(task: str, sha256: str) -> NotFound:
    return NotFound(f"There is no picture {sha256[:12]} of task {task} here.")


def _kept(task: Task) -> tuple[ColumnElement[bool], ...]:
    return UploadedPicture.task == task.name, UploadedPicture.tried.is_(False)


def _labelled(task: Task) -> tuple[ColumnElement[bool], ...]:
    return *_kept(task), UploadedPicture.label.in_(task.classes)


def _has_no_label(task: Task) -> ColumnElement[bool]:
    """A class that the task has no more is no label."""
    return or_(UploadedPicture.label.is_(None), UploadedPicture.label.not_in(task.classes))
