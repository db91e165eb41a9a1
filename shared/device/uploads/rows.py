"""The row of an uploaded picture: made, and given a label and a split."""

import time

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shared.datasets.cleaning import CleanPicture
from shared.datasets.file_names import shown_name
from shared.device.tables import UploadedPicture, UploadedThumbnail
from shared.federated.task import Task


def new_rows(
    session: Session, task: Task, picture: CleanPicture, name: str
) -> tuple[UploadedPicture, UploadedThumbnail]:
    """A new picture, as one that the model was only tried on, and its thumbnail."""
    newest = session.scalar(
        select(func.max(UploadedPicture.added)).where(UploadedPicture.task == task.name)
    )
    row = UploadedPicture(
        task=task.name,
        sha256=picture.sha256,
        file=picture.file_name,
        name=shown_name(name),
        format=picture.format,
        width=picture.width,
        height=picture.height,
        bytes=len(picture.content),
        added=max(time.time(), (newest or 0) + 1e-6),
        tried=True,
    )
    thumbnail = UploadedThumbnail(task=task.name, sha256=picture.sha256, jpeg=picture.thumbnail)
    return row, thumbnail


def give_label(session: Session, row: UploadedPicture, label: str) -> None:
    """A new label; the split stays, or is chosen when there was none."""
    row.split = row.split or _next_split(session, row.task, label)
    row.label, row.labelled, row.trained = label, time.time(), None


def _next_split(session: Session, task: str, label: str) -> str:
    """Where the next picture of a class goes: a tenth to test and to valid, the rest to train.

    With nothing deleted, the 5th and the 15th are for the test, the 10th and the 20th for
    validation. A single picture is one to train on.
    """
    mine = UploadedPicture.task == task, UploadedPicture.label == label
    splits = list(session.scalars(select(UploadedPicture.split).where(*mine)))
    number = len(splits) + 1
    if splits.count("test") < (number + 5) // 10:
        return "test"
    return "valid" if splits.count("valid") < number // 10 else "train"
