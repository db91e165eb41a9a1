"""An upload that should be an update, checked and unpacked before anything is changed."""

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from main_server.rounds import OtherBase, StaleUpdate
from main_server.store.tables import Version
from main_server.store.versions import Versions
from main_server.uploads import Upload
from shared.federated.change import MOST_NORM, change_norm
from shared.federated.packing import PackedUpdate
from shared.federated.task import Task
from shared.federated.update import UpdateHeader
from shared.federated.weights import (
    ArraysFile,
    NotFinite,
    Schema,
    StreamedWeights,
    WeightsFile,
    open_arrays,
    open_weights,
    write_weights,
)


@dataclass(frozen=True)
class Checked:
    """An update whose weights fit the task.

    Attributes:
        device: who sent it, by its token.
        file: its temporary file: float32 weights, however it was packed when it came.
        sha256: that of what came, in hex.
        bytes: how many came.
        norm: that of its change, see :func:`~shared.federated.change.change_norm`; None where
            the version it started from is not there.
        is_unpacked: whether its file is what it says. It is not where the update is packed and the
            version it started from is not there: only refusals are left then.
    """

    header: UpdateHeader
    device: str
    file: Path
    sha256: str
    bytes: int
    norm: float | None
    is_unpacked: bool = True

    def check_unpacked(self, newest: int) -> None:
        """Raise StaleUpdate where it could not be unpacked; ``newest``: the newest version.

        For callers who have found no other reason to refuse it.
        """
        if self.is_unpacked:
            return
        raise StaleUpdate(
            f"The update tells what has changed since version {self.header.base_version} (it is "
            f"packed as {self.header.packing}), and that version's weights are not here. The "
            f"newest is version {newest}: {self.device} has to pull it, and to train again.",
            base_version=newest,
        )


def check_upload(
    versions: Versions, task: Task, upload: Upload, device: str, *, durable: bool
) -> Checked:
    """Read an upload once, block by block. One that is packed is unpacked: its weights take the
    place of its file.

    Args:
        durable: whether its file is on the disk when this returns.

    Raises:
        UnreadableWeights, SchemaMismatch, BadHeader, NoModelYet, OtherBase
        NotFinite: also where the change is larger than MOST_NORM.
    """
    newest, came = versions.newest(task.name), upload.file.stat().st_size
    with ExitStack() as files:
        file = files.enter_context(open_arrays(upload.file))
        header = UpdateHeader.parse(file.metadata)
        if durable and header.packing is None:
            files.enter_context(upload.becoming_durable())
        schema = files.enter_context(open_weights(versions.path(newest))).schema
        number = header.base_version
        row = newest if number == newest.version else versions.find(task.name, number)
        base = _opened(versions, row, files)
        update = _weights(file, header, schema, base)
        _check_base(row, header)
        if update is None:
            return Checked(header, device, upload.file, upload.sha256, came, None, False)
        norm = _checked_norm(header, update, base)
        if header.packing is not None:
            told = header.model_copy(update={"packing": None})
            write_weights(upload.file, update, told.as_metadata(), durable=durable)
    return Checked(header, device, upload.file, upload.sha256, came, norm)


def _opened(versions: Versions, row: Version | None, files: ExitStack) -> WeightsFile | None:
    """The weights of a version, open as long as ``files``; None where they are not here."""
    if row is None or row.pruned is not None:
        return None
    try:
        return files.enter_context(open_weights(versions.path(row)))
    except FileNotFoundError:  # pruned just now
        return None


def _weights(
    file: ArraysFile, header: UpdateHeader, schema: Schema, base: WeightsFile | None
) -> StreamedWeights | None:
    """What an update is once it is unpacked; None where that takes a base which is not here."""
    if header.packing is None:
        plain = WeightsFile(file)
        schema.check(plain.schema)
        return plain
    packed = PackedUpdate(file, header.packing, schema)
    packed.check()
    return packed.unpacked(base) if base is not None else None


def _check_base(base: Version | None, header: UpdateHeader) -> None:
    if base is not None and header.base_sha256 not in {None, base.sha256}:
        raise OtherBase(
            f"The update starts from a version {base.version} of {base.task} that this main server "
            "does not have: it went back to a backup, and made another one of that number. "
            f"{header.device} has to pull, and to train again.",
            base_version=base.version,
        )


def _checked_norm(
    header: UpdateHeader, update: StreamedWeights, base: WeightsFile | None
) -> float | None:
    """The norm of what an update changes; None: nobody knows what it started from."""
    norm = None if base is None else change_norm(update, base)
    if norm is None or not math.isfinite(norm):
        update.check_finite()
    if norm is not None and not norm <= MOST_NORM:
        raise NotFinite(
            f"The update is {norm:.3g} away from version {header.base_version}: no training "
            "leads so far. Run modeltrain again."
        )
    return norm
