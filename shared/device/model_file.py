"""Checking the file of a global model before a number of it is used."""

import hashlib
import re
from pathlib import Path

from shared.errors import FedbellError
from shared.federated.task import Task
from shared.federated.weights import open_weights


class UnfitModel(FedbellError):
    """A global model that is not what it should be."""

    status = 502
    title = "The global model does not fit"


def sha256_of(etag: str) -> str | None:
    """The SHA-256 of a global model's file, in hex, which is its ETag; None: it is another one."""
    found = re.fullmatch(r'(?:W/)?"?([0-9a-f]{64})"?', etag)
    return found[1] if found else None


def sent_with(file: Path) -> str | None:
    """The SHA-256, in hex, of what goes with a version for the task's strategy; None: nothing."""
    with open_weights(file) as weights:
        return weights.metadata.get("sent")


def check_sent(file: Path, task: Task, version: Path) -> None:
    """Check what came with a version for the task's strategy.

    Args:
        version: the version's file, checked.

    Raises:
        UnfitModel
    """
    try:
        with open_weights(file) as slots:
            slots.check_finite()
        with file.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    except FedbellError as error:
        raise UnfitModel(
            f"What the main server keeps for the strategy of {task.name} is no good: {error}"
        ) from error
    if sha256 != sent_with(version):
        raise UnfitModel(
            f"What the main server sent for the strategy of {task.name} does not go with the "
            "version. Do this step again."
        )


def check_model(
    file: Path,
    task: Task,
    version: int | None,
    fingerprint: str,
    backbone: str,
    federation: str | None = None,
) -> int:
    """The version of a file that fits the task and is the one expected.

    Args:
        version: None: whichever it is.
        fingerprint: of the network that is built here.
        backbone: the SHA-256 of its frozen part.
        federation: None: whichever it is.

    Raises:
        UnfitModel
    """
    try:
        with open_weights(file) as weights:
            weights.check_finite()
            metadata = weights.metadata
            found = weights.schema.fingerprint(backbone)
    except FedbellError as error:
        raise UnfitModel(f"The main server's model of {task.name} is no good: {error}") from error
    number = metadata.get("version", "")
    if found != fingerprint or metadata.get("fingerprint") != fingerprint:
        raise UnfitModel(
            f"The main server's model of {task.name} was made for another network or "
            "backbone than this device builds. All devices of a task need the same "
            f"backbone file ({task.backbone}); a task's network cannot change once it has "
            "a model."
        )
    if metadata.get("task") != task.name or not number.isdecimal():
        raise UnfitModel(f"The main server sent something else than a model of {task.name}.")
    if version is not None and int(number) != version:
        raise UnfitModel(f"The main server sent version {number} instead of {version}.")
    if federation is not None and metadata.get("federation") != federation:
        raise UnfitModel(
            "The main server's model is of another federation than it told of. "
            "The next heartbeat, in a few seconds, clears it up: do this step again."
        )
    return int(number)
