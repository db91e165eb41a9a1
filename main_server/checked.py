"""An upload that should be an update, checked and unpacked before anything is changed."""

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from main_server.rounds import OtherBase, OtherStrategy, StaleUpdate
from main_server.store.tables import Version
from main_server.store.versions import Versions
from main_server.uploads import Upload
from shared.federated.aggregation import Strategy
from shared.federated.change import MOST_NORM, change_norm
from shared.federated.packing import PackedUpdate
from shared.federated.task import Task
from shared.federated.update import BadHeader, UpdateHeader
from shared.federated.weights import (
    ArraysFile,
    NotFinite,
    Schema,
    SchemaMismatch,
    StreamedWeights,
    WeightsFile,
    apart,
    constant,
    open_arrays,
    open_weights,
    part,
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
        UnreadableWeights, SchemaMismatch, BadHeader, NoModelYet, OtherBase, OtherStrategy
        NotFinite: also where the change is larger than MOST_NORM.
    """
    newest, came = versions.newest(task.name), upload.file.stat().st_size
    with ExitStack() as files:
        file = files.enter_context(open_arrays(upload.file))
        header = UpdateHeader.parse(file.metadata)
        if durable and header.packing is None:
            files.enter_context(upload.becoming_durable())
        network = files.enter_context(open_weights(versions.path(newest))).schema
        number = header.base_version
        row = newest if number == newest.version else versions.find(task.name, number)
        base = _opened(versions, row, files)
        update = _weights(file, header, task.rule, network, base)
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
    file: ArraysFile,
    header: UpdateHeader,
    rule: Strategy,
    network: Schema,
    base: WeightsFile | None,
) -> StreamedWeights | None:
    """What an update is once it is unpacked, with all that its strategy wants.

    Args:
        network: the schema of the global model.

    Returns:
        None where unpacking takes a base which is not here.

    Raises:
        OtherStrategy: it was trained for another one.
        SchemaMismatch, BadHeader: it was not, and is wrong all the same.
    """
    is_for_it = (header.strategy or "fedavg") == rule.key
    try:
        if rule.keeps and not is_for_it:
            raise SchemaMismatch(f"{rule.title} needs updates that were trained for it.")
        missing = [fact for fact in rule.needs if fact not in header.told]
        if missing:
            raise BadHeader(f"{missing[0]}: {rule.title} needs it, and it is missing.")
        schema = rule.update_schema(network)
        if header.packing is None:
            plain = WeightsFile(file)
            schema.check(plain.schema)
            return plain
        packed = PackedUpdate(file, header.packing, schema)
    except (SchemaMismatch, BadHeader) as error:
        if is_for_it:
            raise
        raise OtherStrategy(
            f"The update was trained for {header.strategy or 'fedavg'}, and the round is one of "
            f"{rule.key}. {error} Run modeltrain on {header.device} again, then sendmodel."
        ) from error
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
    weights, carried = apart(update)
    norm = None if base is None else change_norm(weights, part(base, list(weights)))
    if norm is None or not math.isfinite(norm):
        weights.check_finite()
    _check_norm(norm, f"The update is {{:.3g}} away from version {header.base_version}")
    for slot, change in carried.items():
        change.check_finite()
        brought = change_norm(change, constant(change.schema, 0.0))
        _check_norm(brought, f"What the update brings beside, {slot}, has a norm of {{:.3g}}")
    return norm


def _check_norm(norm: float | None, told: str) -> None:
    if norm is not None and not norm <= MOST_NORM:
        raise NotFinite(f"{told.format(norm)}: no training leads so far. Run modeltrain again.")
