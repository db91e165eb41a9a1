"""An upload that should be an update, checked before anything is changed."""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from main_server.rounds import OtherBase
from main_server.store.tables import Version
from main_server.store.versions import Versions
from main_server.uploads import Upload
from shared.federated.change import MOST_NORM, change_norm
from shared.federated.task import Task
from shared.federated.update import UpdateHeader
from shared.federated.weights import NotFinite, WeightsFile, open_weights


@dataclass(frozen=True)
class Checked:
    """An update whose weights fit the task.

    Attributes:
        device: who sent it, by its token.
        file: its temporary file, and the SHA-256 of that in hex.
        norm: that of its change, see :func:`~shared.federated.change.change_norm`; None where
            the version it started from is not there.
    """

    header: UpdateHeader
    device: str
    file: Path
    sha256: str
    norm: float | None

    @property
    def bytes(self) -> int:
        """The size of its file."""
        return self.file.stat().st_size


def check_upload(
    versions: Versions, task: Task, upload: Upload, device: str, *, durable: bool
) -> Checked:
    """Read an upload once, block by block.

    Args:
        durable: whether its file is on the disk when this returns.

    Raises:
        UnreadableWeights, SchemaMismatch, BadHeader, NoModelYet, OtherBase
        NotFinite: also where the change is larger than MOST_NORM.
    """
    newest = versions.newest(task.name)
    storing = upload.becoming_durable() if durable else nullcontext()
    with storing, open_weights(upload.file) as update:
        header = UpdateHeader.parse(update.metadata)
        with open_weights(versions.path(newest)) as current:
            current.schema.check(update.schema)
        number = header.base_version
        base = newest if number == newest.version else versions.find(task.name, number)
        _check_base(base, header)
        norm = _norm(versions, base, update)
        if norm is None or not math.isfinite(norm):
            update.check_finite()
        if norm is not None and not norm <= MOST_NORM:
            raise NotFinite(
                f"The update is {norm:.3g} away from version {header.base_version}: no training "
                "leads so far. Run modeltrain again."
            )
    return Checked(header, device, upload.file, upload.sha256, norm)


def _check_base(base: Version | None, header: UpdateHeader) -> None:
    if base is not None and header.base_sha256 not in {None, base.sha256}:
        raise OtherBase(
            f"The update starts from a version {base.version} of {base.task} that this main server "
            "does not have: it went back to a backup, and made another one of that number. "
            f"{header.device} has to pull, and to train again.",
            base_version=base.version,
        )


def _norm(versions: Versions, base: Version | None, update: WeightsFile) -> float | None:
    if base is None or base.pruned is not None:
        return None
    try:
        with open_weights(versions.path(base)) as before:
            return change_norm(update, before)
    except FileNotFoundError:  # pruned just now
        return None
