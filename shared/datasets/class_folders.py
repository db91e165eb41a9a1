"""Pictures in class folders: ``<split>/<class>/*.{jpg,jpeg,png}``.

The order of the pictures is that of their names, so it is the same on every
machine. Hidden files and folders are ignored; links that lead out of the split
are not followed, so that nothing outside the data set is ever read.
"""

import hashlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from unicodedata import normalize

from shared.errors import FedbellError

#: What a picture's file name ends in, in small letters.
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")

_log = logging.getLogger(__name__)

#: Some kernels count the time of a file's last change in steps of up to 10 ms.
_SETTLED_NS = 100_000_000


class EmptySplit(FedbellError):
    """A split without a single picture."""

    status = 409
    title = "There are no pictures"


class UnknownClassFolder(FedbellError):
    """A folder in a split that is no class of the task."""

    status = 409
    title = "A folder is no class of the task"


class UnreadableFolder(FedbellError):
    """A folder that may not be listed."""

    status = 409
    title = "A folder cannot be read"


@dataclass(frozen=True)
class Picture:
    """One picture of a split.

    Attributes:
        path: the file.
        label: index of its class in the task's classes.
        sha256: of the file's bytes, in hex; of its path when the file cannot be
            opened (decoding it then says why), so that it is still one of a kind.
    """

    path: Path
    label: int
    sha256: str


def read_split(directory: Path, classes: Sequence[str]) -> list[Picture]:
    """List the pictures of one split, hashed, by class and then by name.

    Args:
        directory: the split, such as ``dataset/device1/digits/train``.
        classes: the task's classes, in order. A class without a folder is fine.

    Raises:
        EmptySplit: no picture in any class.
        UnknownClassFolder: a folder is no class of the task.
        UnreadableFolder: a folder may not be listed.
    """
    folders = {normalize("NFC", folder.name): folder for folder in folders_in(directory)}
    known = {normalize("NFC", name): label for label, name in enumerate(classes)}
    unknown = sorted(set(folders) - set(known))
    if unknown:
        raise UnknownClassFolder(
            f"{folders[unknown[0]]} is no class of this task. Its classes are: "
            f"{', '.join(classes)}. Rename or remove the folder, or add the class to the task."
        )
    pictures = [
        Picture(path, label, _sha256(path))
        for name, label in known.items()
        if name in folders
        for path in pictures_in(folders[name], directory)
    ]
    if not pictures:
        raise EmptySplit(
            f"{directory} holds no picture. Put .jpg or .png files into folders named after "
            f"the task's classes: {', '.join(str(directory / name) for name in classes[:3])}"
            f"{', …' if len(classes) > 3 else ''}."
        )
    return pictures


def count_pictures(directory: Path, classes: Sequence[str]) -> int:
    """Count the pictures of one split by listing it: nothing is opened. 0 when there is none."""
    return sum(
        1
        for name in classes
        if _stays_inside(directory / name, directory)
        for _ in pictures_in(directory / name, directory)
    )


def folders_in(directory: Path) -> list[Path]:
    """Folders directly in a folder, by name, without hidden ones and links that lead out of it."""
    return [
        path for path in _entries(directory) if path.is_dir() and _stays_inside(path, directory)
    ]


def pictures_in(folder: Path, root: Path) -> Iterator[Path]:
    """Picture files directly in a folder, by name, without those whose link leaves ``root``."""
    for path in _entries(folder):
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.is_dir():
            if _stays_inside(path, root):
                yield path
            else:
                _log.warning("%s is a link that leaves %s: not followed", path, root)


def _entries(directory: Path) -> list[Path]:
    """Everything in a folder that is not hidden, by name; nothing when there is no folder."""
    try:
        return sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UnreadableFolder(
            f"{directory} cannot be listed: {error.strerror}. Let the server's user read it."
        ) from error


def _stays_inside(path: Path, root: Path) -> bool:
    """Whether a path, its link followed, still lies under ``root``."""
    if not path.is_symlink():
        return True
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def _sha256(path: Path) -> str:
    try:
        status = path.stat()
        is_settled = time.time_ns() - status.st_ctime_ns > _SETTLED_NS
        known = _sha256_once if is_settled else _sha256_once.__wrapped__
        return known(path, status.st_ino, status.st_size, status.st_ctime_ns)
    except OSError:
        return hashlib.sha256(os.fsencode(path)).hexdigest()


@lru_cache(maxsize=100_000)
def _sha256_once(path: Path, _inode: int, _size: int, _changed_ns: int) -> str:
    """The hash of a file that is as it was: nobody can set the time of its last change."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
