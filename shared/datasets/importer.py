"""Copy a data set in the layout of the reference implementation into ours.

``Object_name/Client1/{train,valid,test}/{object,not_object}/*`` becomes
``<dataset>/device1/<task>/{train,valid,test}/{object,not_object}/*``.
"""

import json
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from shared.datasets.class_folders import folders_in, pictures_in
from shared.datasets.decoding import decode
from shared.errors import FedbellError, UnreadablePicture

SPLITS = ("train", "valid", "test")

_TASK_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_CLIENT = re.compile(r"client[ _-]?(\d+)", re.IGNORECASE)


class ImportRefused(FedbellError):
    """The folder has another layout, or something is in the way. Nothing was copied."""

    status = 409
    title = "The pictures were not imported"


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        task: name of the new task.
        classes: names of its classes, sorted.
        counts: from (device, split, class) to the number of pictures copied.
        skipped: from the path of each picture left out to the reason.
    """

    task: str
    classes: tuple[str, ...]
    counts: dict[tuple[str, str, str], int]
    skipped: dict[Path, str]

    @property
    def devices(self) -> list[str]:
        """Names of the devices that got pictures, sorted."""
        return sorted({device for device, _, _ in self.counts})

    @property
    def tasks_toml(self) -> str:
        """The lines to add to main_server/tasks.toml."""
        names = ", ".join(json.dumps(name, ensure_ascii=False) for name in self.classes)
        return f"[tasks.{self.task}]\nclasses = [{names}]\n"


def import_reference(path: Path, task: str, dataset_directory: Path) -> ImportReport:
    """Copy the pictures of every client to the device of the same number.

    Nothing is moved, and nothing appears in the data set before all is copied.
    A picture that cannot be decoded is left out and named in the report.

    Args:
        path: the folder with the clients' folders in it.
        task: name of the new task: small letters, digits, ``-`` and ``_``.
        dataset_directory: where the devices' folders are.

    Raises:
        ImportRefused: another layout, a bad name, fewer than two classes, or a
            device has pictures of that task already.
    """
    if not _TASK_NAME.fullmatch(task):
        raise ImportRefused(
            f"{task!r} cannot be a task's name: use small letters, digits, - and _, at most 63."
        )
    sources = _sources(path)
    classes = sorted({source.name for source in sources.values()})
    if len(classes) < 2:
        raise ImportRefused(
            f"{path} holds {len(classes)} classes: a task needs at least two. "
            "Expected Client1/train/CLASS/*.jpg."
        )
    targets = {device: dataset_directory / device / task for device, _, _ in sources}
    for target in targets.values():
        if target.exists():
            raise ImportRefused(
                f"{target} exists already and is not overwritten. Remove it or choose another name."
            )
    aside = {device: target.with_name(f".{task}.partial") for device, target in targets.items()}
    for leftover in aside.values():
        shutil.rmtree(leftover, ignore_errors=True)
    skipped: dict[Path, str] = {}
    counts: Counter[tuple[str, str, str]] = Counter()
    try:
        for key, source in sources.items():
            device, split, name = key
            folder = aside[device] / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for picture in pictures_in(source, path):
                try:
                    decode(picture, 32)
                except UnreadablePicture as error:
                    skipped[picture] = error.detail
                else:
                    shutil.copyfile(picture, folder / picture.name)
                    counts[key] += 1
        for device, target in targets.items():
            aside[device].rename(target)
    finally:
        for leftover in aside.values():
            shutil.rmtree(leftover, ignore_errors=True)
    return ImportReport(task, tuple(classes), dict(counts), skipped)


def _sources(path: Path) -> dict[tuple[str, str, str], Path]:
    """From (device, split, class) to the folder with its pictures."""
    sources: dict[tuple[str, str, str], Path] = {}
    for client in folders_in(path):
        number = _CLIENT.fullmatch(client.name)
        if not number:
            raise ImportRefused(
                f"{client} is no client's folder: expected Client1, Client2, … directly in {path}."
            )
        for split in folders_in(client):
            if split.name not in SPLITS:
                raise ImportRefused(f"{split} is no split: expected {', '.join(SPLITS)}.")
            for source in folders_in(split):
                key = (f"device{int(number[1])}", split.name, source.name)
                if key in sources:
                    raise ImportRefused(f"{client} has the same number as another client's folder.")
                sources[key] = source
    if not sources:
        raise ImportRefused(f"{path} holds no Client1/train/CLASS folder.")
    return sources
