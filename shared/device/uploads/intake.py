"""What becomes of the files of one upload, one by one: a bad one loses no other."""

from collections import Counter
from typing import Any

from shared.datasets.cleaning import clean
from shared.datasets.file_names import shown_name
from shared.device.settings import DeviceSettings
from shared.device.uploads.disk import DiskFull
from shared.device.uploads.kept import Kept, Uploads
from shared.device.uploads.receiving import ReceivedFile
from shared.errors import FedbellError
from shared.federated.task import Task


class NoPictureKept(FedbellError):
    """Of all files of an upload, none could be kept."""

    status = 422
    title = "No picture was kept"


def take_in(
    uploads: Uploads,
    settings: DeviceSettings,
    task: Task,
    files: list[ReceivedFile],
    choice: str | None,
) -> dict[str, Any]:
    """Keep what can be kept of an upload.

    Args:
        choice: the class of those whose name tells none.

    Returns:
        What ``POST /pictures`` answers.

    Raises:
        NoPictureKept, DiskFull: none could be kept; the member ``pictures`` says why of each.
    """
    pictures: list[dict[str, Any]] = []
    problem: FedbellError | None = None
    for file in files:
        told: dict[str, Any] = {"name": shown_name(file.name), "id": None, "status": "refused"}
        told |= dict.fromkeys(("label", "label_from", "split", "detail"))
        try:
            picture = clean(file.read(), settings.most_picture_pixels)
            kept = uploads.add(task, picture, file.name, choice)
            told |= _told_of(kept, picture.removed_bytes)
        except FedbellError as error:
            problem = error
            told["detail"] = error.detail
        pictures.append(told)
    here = [each for each in pictures if each["status"] != "refused"]
    outcome = {"task": task.name, "kept": len(here), "pictures": pictures}
    if problem is not None and not here:
        if isinstance(problem, DiskFull):
            raise DiskFull(problem.detail, **outcome)
        raise NoPictureKept(_why_none(pictures), **outcome)
    labels = Counter(each["label"] for each in here if each["status"] == "kept")
    if labels:
        uploads.told.add(task, labels)
    return outcome


def _told_of(kept: Kept, removed_bytes: int) -> dict[str, Any]:
    row = kept.picture
    remarks = []
    if removed_bytes:
        remarks.append(f"{removed_bytes:,} bytes after the end of the picture were removed.")
    if kept.is_known:
        remarks.append("It was here already.")
    if row.label is None:
        remarks.append("Its name does not tell its class: choose one.")
    return {
        "id": row.sha256,
        "status": "known" if kept.is_known else "kept",
        "label": row.label,
        "label_from": row.label_from,
        "split": row.split,
        "detail": " ".join(remarks) or None,
    }


def _why_none(pictures: list[dict[str, Any]]) -> str:
    if len(pictures) == 1:
        return f"{pictures[0]['name']}: {pictures[0]['detail']}"
    return f"None of the {len(pictures):,} files could be kept; beside each it says why."
