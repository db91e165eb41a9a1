"""What a device keeps from training to training, in a file of its own: it is never sent.

It belongs to a strategy and to the version at which that was chosen: of another one it is
forgotten. What a packed update owes (shared/federated/packing) is owed whatever the strategy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.federated.aggregation import Strategy
from shared.federated.weights import (
    Array,
    apart,
    open_arrays,
    open_weights,
    read_weights,
    with_slots,
    write_weights,
)
from shared.learning.local.part import Slots

#: The slot of the layers that stay on the device.
PERSONAL = "personal"
#: The slot of all layers, where the update does not have them as they are.
OWN = "own"
#: The slot of what packed updates have not told yet.
RESIDUAL = "residual"


@dataclass(frozen=True)
class Files:
    """What a training reads and writes.

    Attributes:
        start: the weights to train from: a global version, or this device's own last update.
        base: the version that the update counts from; the same file where that is the start.
        update: where the update goes.
        keeps: where what is kept of this training goes; not written where that is nothing.
        kept: what was kept before this device trained from ``base``; None: nothing.
        start_kept: what the training kept that made ``start``, where that is an own update.
        sent: what came with the version for the strategy; None: nothing did.
    """

    start: Path
    base: Path
    update: Path
    keeps: Path
    kept: Path | None = None
    start_kept: Path | None = None
    sent: Path | None = None

    @property
    def goes_on(self) -> bool:
        """Whether the start is this device's own last update."""
        return self.start != self.base

    def own_weights(self) -> dict[str, Array]:
        """All weights of this device's own last update."""
        return dict(slots_of(self.start_kept).get(OWN) or read_weights(self.start))

    def steps_before(self) -> int:
        """How many steps the start holds since the base, where it tells them."""
        return int(_metadata(self.start).get("num_steps", 0)) if self.goes_on else 0


def read_kept(rule: Strategy, version: Path, kept: Path | None) -> Slots:
    """What a device has kept for a strategy; of another one, what updates owe alone.

    Args:
        version: the file of the global version that is trained from.
    """
    slots = slots_of(kept)
    if kept is not None and _metadata(kept) != _series(rule, version):
        return {slot: held for slot, held in slots.items() if slot == RESIDUAL}
    return slots


def write_kept(rule: Strategy, version: Path, slots: Slots, file: Path) -> None:
    """Keep slots for a strategy; no file is written where there are none."""
    if slots:
        write_weights(file, with_slots({}, slots), _series(rule, version))


def personal_layers(rule: Strategy, version: Path, kept: Path | None) -> dict[str, Array]:
    """The layers that a device has of its own, beside those of a version; empty: none."""
    return personal_of(rule, read_kept(rule, version, kept))


def personal_of(rule: Strategy, kept: Slots) -> dict[str, Array]:
    """The layers that stay on the device, of what it has kept: others may have stayed before."""
    return {name: array for name, array in kept.get(PERSONAL, {}).items() if rule.stays(name)}


def slots_of(file: Path | None) -> dict[str, dict[str, Array]]:
    """The slots of a file, in memory; none where there is no file."""
    if file is None:
        return {}
    with open_weights(file) as opened:
        _, slots = apart(opened)
        return {slot: dict(held) for slot, held in slots.items()}


def _series(rule: Strategy, version: Path) -> dict[str, str]:
    """What slots belong to: the strategy's name, and the version at which it was chosen."""
    metadata = _metadata(version)
    is_first = metadata.get("strategy") != rule.name
    return {"strategy": rule.name, "began": metadata.get("version" if is_first else "began", "")}


def _metadata(file: Path) -> Mapping[str, str]:
    """Of a file of any dtypes: an update may be packed."""
    with open_arrays(file) as opened:
        return opened.metadata
