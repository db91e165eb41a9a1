"""An upload that should be an update, checked before anything is changed."""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from main_server.rounds import OtherBase, OtherStrategy
from main_server.store.tables import Version
from main_server.store.versions import Versions
from main_server.uploads import Upload
from shared.federated.aggregation import Strategy
from shared.federated.change import MOST_NORM, change_norm
from shared.federated.task import Task
from shared.federated.update import BadHeader, UpdateHeader
from shared.federated.weights import (
    NotFinite,
    Schema,
    SchemaMismatch,
    StreamedWeights,
    apart,
    constant,
    open_weights,
    part,
)


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
        UnreadableWeights, SchemaMismatch, BadHeader, NoModelYet, OtherBase, OtherStrategy
        NotFinite: also where the change is larger than MOST_NORM.
    """
    newest = versions.newest(task.name)
    storing = upload.becoming_durable() if durable else nullcontext()
    with storing, open_weights(upload.file) as file:
        header = UpdateHeader.parse(file.metadata)
        with open_weights(versions.path(newest)) as current:
            _check_form(task.rule, header, current.schema, file.schema)
        number = header.base_version
        base = newest if number == newest.version else versions.find(task.name, number)
        _check_base(base, header)
        update, carried = apart(file)
        norm = _norm(versions, base, update)
        if norm is None or not math.isfinite(norm):
            update.check_finite()
        _check_norm(norm, f"The update is {{norm:.3g}} away from version {number}")
        for slot, change in carried.items():
            change.check_finite()
            moved = change_norm(change, constant(change.schema, 0.0))
            _check_norm(moved, f"What the update brings beside, {slot}, has a norm of {{norm:.3g}}")
    return Checked(header, device, upload.file, upload.sha256, norm)


def _check_form(rule: Strategy, header: UpdateHeader, network: Schema, update: Schema) -> None:
    """Whether an update has what a strategy combines.

    Args:
        network: of the global model.

    Raises:
        OtherStrategy: it was trained for another one.
        SchemaMismatch, BadHeader: it was not, and is wrong all the same.
    """
    try:
        rule.update_schema(network).check(update)
        missing = [fact for fact in rule.needs if fact not in header.told]
        if missing:
            raise BadHeader(f"{missing[0]}: {rule.title} needs it, and it is missing.")
    except (SchemaMismatch, BadHeader) as error:
        if (header.strategy or "fedavg") == rule.key:
            raise
        raise OtherStrategy(
            f"The update was trained for {header.strategy or 'fedavg'}, and the round is one of "
            f"{rule.key}. {error} Run modeltrain on {header.device} again, then sendmodel."
        ) from error


def _check_norm(norm: float | None, told: str) -> None:
    if norm is not None and not norm <= MOST_NORM:
        raise NotFinite(
            f"{told.format(norm=norm)}: no training leads so far. Run modeltrain again."
        )


def _check_base(base: Version | None, header: UpdateHeader) -> None:
    if base is not None and header.base_sha256 not in {None, base.sha256}:
        raise OtherBase(
            f"The update starts from a version {base.version} of {base.task} that this main server "
            "does not have: it went back to a backup, and made another one of that number. "
            f"{header.device} has to pull, and to train again.",
            base_version=base.version,
        )


def _norm(versions: Versions, base: Version | None, update: StreamedWeights) -> float | None:
    if base is None or base.pruned is not None:
        return None
    try:
        with open_weights(versions.path(base)) as before:
            return change_norm(update, part(before, list(update)))
    except FileNotFoundError:  # pruned just now
        return None
