"""The tables of a device's store."""

from typing import Any, ClassVar, Literal

from sqlalchemy import JSON, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.federated.task import Task
from shared.web.column_types import TEXT, WHOLE


class DeviceTables(DeclarativeBase):
    """The tables of this module."""

    type_annotation_map: ClassVar = {
        str: TEXT,
        int: WHOLE,
        dict[str, Any]: JSON,
        list[dict[str, str]]: JSON,
    }


class KnownTask(DeviceTables):
    """A task as the main server last told it."""

    __tablename__ = "tasks"

    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    definition: Mapped[dict[str, Any]]
    #: The main server's newest version, and the newest it distributed.
    version: Mapped[int | None]
    distributed_version: Mapped[int | None]

    @property
    def task(self) -> Task:
        """The task itself."""
        return Task.as_known_here(self.definition)


class InstalledModel(DeviceTables):
    """The global model this device has of a task."""

    __tablename__ = "installed_models"

    task: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    file: Mapped[str]
    #: What the main server called this file; asked again, it need not send it again.
    etag: Mapped[str]
    #: What came with it for the task's strategy, beside the model's file.
    sent: Mapped[str | None]
    #: accuracy, loss and num_samples on the device's own test pictures.
    evaluation: Mapped[dict[str, Any] | None]
    #: Why it could not be evaluated.
    problem: Mapped[str | None]


class UnreadablePictures(DeviceTables):
    """The test pictures that could not be read when a task's installed model was measured."""

    __tablename__ = "unreadable_pictures"

    task: Mapped[str] = mapped_column(primary_key=True)
    #: Each one's path in the task's folder, and why: "picture" and "reason".
    pictures: Mapped[list[dict[str, str]]]


class PendingUpdate(DeviceTables):
    """What this device trained last of a task."""

    __tablename__ = "pending_updates"

    task: Mapped[str] = mapped_column(primary_key=True)
    base_version: Mapped[int]
    num_samples: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    file: Mapped[str]
    #: What was kept for the task's strategy before this training, and what this one has kept:
    #: files beside the update's. The latter counts once the update does.
    kept: Mapped[str | None]
    keeps: Mapped[str | None]
    #: What modeltrain answered.
    result: Mapped[dict[str, Any]]
    trained: Mapped[float]
    #: Whether it was sent, and no answer has come: it may count. None: no.
    on_its_way: Mapped[bool | None]
    #: What the main server answered when it was sent; None before.
    answer: Mapped[dict[str, Any] | None]


class UploadedPicture(DeviceTables):
    """A picture that a person gave this device; its file is named after the hash.

    Times are in seconds since 1970.
    """

    __tablename__ = "uploaded_pictures"

    task: Mapped[str] = mapped_column(primary_key=True)
    #: Of the file as it is kept.
    sha256: Mapped[str] = mapped_column(primary_key=True)
    #: One of the task's classes; None: it waits for one.
    label: Mapped[str | None]
    #: What the label was told by: the file's name, or a choice.
    label_from: Mapped[Literal["name", "choice"] | None] = mapped_column(String)
    #: train, valid or test; None without a label.
    split: Mapped[str | None]
    #: What the file was called where it came from: told nowhere else.
    name: Mapped[str]
    format: Mapped[Literal["jpeg", "png"]] = mapped_column(String)
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int]
    #: When it came; each of a task at another time.
    added: Mapped[float]
    #: When its label or split was chosen last.
    labelled: Mapped[float | None]
    #: The model was tried on it, and nobody has labelled it: it is no picture to train on.
    tried: Mapped[bool]
    #: When it was trained on last, with the label it has.
    trained: Mapped[float | None]

    #: Its file's name, in the folder of the task.
    file: Mapped[str]


class UploadedThumbnail(DeviceTables):
    """The thumbnail of an uploaded picture: a small JPEG."""

    __tablename__ = "uploaded_thumbnails"

    task: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)
    jpeg: Mapped[bytes]


class UsedCall(DeviceTables):
    """The number of a call that the main server has made, so that nobody makes it again.

    ``used``: when, in seconds since 1970.
    """

    __tablename__ = "used_calls"

    number: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[float]


class Fact(DeviceTables):
    """One thing to remember, by name."""

    __tablename__ = "facts"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
