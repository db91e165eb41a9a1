"""The pictures that people uploaded to this device: kept, labelled, changed, deleted.

A picture's file is named after the SHA-256 of its content, so the same picture is kept once.
The file is written whole and durably first, its row after; deleting goes the other way. A
kill in between leaves a file without a row, which the next start removes.
"""

import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, NamedTuple

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from shared.datasets.cleaning import CleanPicture
from shared.datasets.labels import label_of
from shared.device.settings import DeviceSettings
from shared.device.tables import UploadedPicture, UploadedThumbnail
from shared.device.uploads.classes import UnknownClass, check_class
from shared.device.uploads.disk import DiskFull, Reserve, check_room, full_disk_told
from shared.device.uploads.reading import Uploaded, found
from shared.device.uploads.rows import give_label, new_rows
from shared.device.uploads.told import UploadsTold
from shared.federated.task import Task
from shared.federated.weights import write_durably
from shared.web.database import Database
from shared.web.events import record

#: So many pictures that the model was only tried on stay, of each task.
_TRIED_KEPT = 20

Split = Literal["train", "valid", "test"]


class Kept(NamedTuple):
    """A picture's row, and whether the picture was here before."""

    picture: UploadedPicture
    is_known: bool


class Uploads(Uploaded):
    """The uploaded pictures of all tasks.

    Args:
        settings: the state's folder, and the limits.
        database: of the device's store, with its tables.

    Attributes:
        told: what the log is told of pictures that came.
    """

    def __init__(self, settings: DeviceSettings, database: Database) -> None:
        super().__init__(settings.state_directory / "pictures", database)
        self.directory.mkdir(exist_ok=True)
        self._settings = settings
        self._reserve = Reserve(settings.state_directory)
        self.told = UploadsTold(self.tell)
        #: Held while a file and its row are made or removed: they come and go together.
        self._changing = threading.Lock()
        self._remove_leftovers()
        with database.read() as session:
            self._bytes = session.scalar(select(func.sum(UploadedPicture.bytes))) or 0

    def mark_trained(
        self, task: Task, sha256s: Collection[str], since: float | None = None
    ) -> None:
        """Note that pictures were trained on.

        Args:
            since: when :meth:`for_trainer` was asked; what was labelled after that was
                trained with another label, and does not count.
        """
        if not sha256s:
            return
        now = time.time()
        with self._database.write(durable=False) as session:  # trained again, nothing is lost
            session.connection().execute(
                update(UploadedPicture)
                .where(UploadedPicture.task == task.name)
                .where(UploadedPicture.sha256 == bindparam("one"))
                .where(UploadedPicture.labelled <= (now if since is None else since))
                .values(trained=now),
                [{"one": sha256} for sha256 in sha256s],
            )

    def add(self, task: Task, picture: CleanPicture, name: str, choice: str | None) -> Kept:
        """Keep a picture to train on.

        Args:
            name: what its file was called; it tells the label if it can.
            choice: the label if the name tells none; None: it waits for one. One that is here
                already keeps the label it has.

        Raises:
            DiskFull: nothing has changed.
        """
        told = label_of(name, task.classes)
        label = told or choice
        with self._room_for(task, picture, name) as (session, row):
            is_known = not row.tried
            row.tried = False
            if label is not None and row.label not in task.classes:
                give_label(session, row, label)
                row.label_from = "name" if told else "choice"
        return Kept(row, is_known)

    def keep_tried(self, task: Task, picture: CleanPicture, name: str) -> UploadedPicture:
        """Keep a picture that the model was tried on, until it is labelled or others follow.

        Raises:
            DiskFull: nothing has changed.
        """
        with self._room_for(task, picture, name) as (_, row):
            pass
        with self._changing:
            mine = UploadedPicture.task == task.name, UploadedPicture.tried
            query = select(UploadedPicture).where(*mine).order_by(UploadedPicture.added.desc())
            with self._database.read() as session:
                old = list(session.scalars(query.offset(_TRIED_KEPT)))
            for each in old:
                self._delete(each)
        return row

    def change(
        self, task: Task, sha256: str, label: str | None = None, split: Split | None = None
    ) -> UploadedPicture:
        """Give a picture a label, or another one, or another split.

        Raises:
            NotFound, UnknownClass, DiskFull
        """
        check_class(task, label)
        with self._changing, full_disk_told(self.directory), self._database.write() as session:
            row = found(session, task.name, sha256)
            if label is not None and label != row.label:
                give_label(session, row, label)
                row.label_from = "choice"
            if split is not None and row.label is None:
                raise UnknownClass("A picture needs a label before it can be in a split.")
            if split is not None and split != row.split:
                row.split, row.labelled, row.trained = split, time.time(), None
            row.tried = row.tried and row.label is None
        return row

    @property
    def bytes(self) -> int:
        """What the pictures of all tasks take together, of ``picture_store_bytes``."""
        return self._bytes

    def delete(self, task: str, sha256: str) -> None:
        """Delete a picture: its row, its thumbnail, its file.

        Args:
            task: its name; there need not be such a task any more.

        Raises:
            NotFound
            DiskFull: not even that can be noted; nothing has changed.
        """
        with self._changing:
            self._delete(self.find(task, sha256))

    def delete_all(self, task: str) -> int:
        """Delete all pictures of a task that need not be there any more; how many there were.

        Raises:
            DiskFull: some are deleted.
        """
        with self._changing:
            with self._database.read() as session:
                rows = list(
                    session.scalars(select(UploadedPicture).where(UploadedPicture.task == task))
                )
            for row in rows:
                self._delete(row)
        return len(rows)

    def tell(self, task: str, message: str) -> None:
        """Write a line to this device's log, if there is room for one."""
        with (
            suppress(DiskFull),
            full_disk_told(self.directory),
            self._database.write(durable=False) as session,
        ):
            device = self._settings.device_name
            record(session, "pictures", message, task=task, device=device)

    @contextmanager
    def _room_for(
        self, task: Task, picture: CleanPicture, name: str
    ) -> Iterator[tuple[Session, UploadedPicture]]:
        """The picture's row, to be changed in the block; a new one is one that was only tried.

        The picture's file is there before; one that was not is gone again after an error.
        """
        with self._changing, full_disk_told(self.directory):
            key = task.name, picture.sha256
            with self._database.read() as session:
                is_new = session.get(UploadedPicture, key) is None
            file = self.directory / task.name / picture.file_name
            is_missing = not file.exists()
            try:
                if is_missing:
                    self._check_room(len(picture.content))
                    write_durably(file, picture.content)
                with self._database.write() as session:
                    if is_new:
                        session.add_all(new_rows(session, task, picture, name))
                        session.flush()
                    yield session, session.get_one(UploadedPicture, key)
            except BaseException:
                if is_missing:
                    file.unlink(missing_ok=True)
                raise
            if is_new:
                self._bytes += len(picture.content)

    def _check_room(self, size: int) -> None:
        most = self._settings.picture_store_bytes
        if self._bytes + size > most:
            raise DiskFull(
                f"All uploaded pictures together may take {most / 2**20:,.0f} MiB "
                "(picture_store_bytes). Delete some on this device's page, or raise it."
            )
        check_room(self.directory, size, self._settings.least_free_bytes)

    def _delete(self, row: UploadedPicture) -> None:
        def forget() -> None:
            with self._database.write() as session:
                for table in (UploadedPicture, UploadedThumbnail):
                    session.execute(
                        delete(table).where(table.task == row.task, table.sha256 == row.sha256)
                    )

        self._reserve.spend_on(forget)
        self._bytes -= row.bytes
        self.path(row).unlink(missing_ok=True)
        self._reserve.keep()

    def _remove_leftovers(self) -> None:
        with self._database.read() as session:
            rows = session.scalars(select(UploadedPicture))
            named = {self.path(row) for row in rows}
        for file in self.directory.glob("*/*"):
            if file not in named:
                file.unlink()
