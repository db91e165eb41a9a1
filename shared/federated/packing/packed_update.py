"""Reading packed updates: nothing in the file is trusted."""

from pathlib import Path

import numpy as np

from shared.federated.names import MARK, is_trained
from shared.federated.packing.methods import PACKINGS
from shared.federated.packing.packing import Layout
from shared.federated.update import PackingName, UpdateHeader
from shared.federated.weights import (
    Array,
    ArraysFile,
    Schema,
    SchemaMismatch,
    StreamedWeights,
    Weights,
    WeightsFile,
    joined,
    open_arrays,
    slot_of,
    streamed,
)


class PackedUpdate:
    """The open file of an update that is packed. Memory holds blocks of it, however large it is.

    Args:
        file: as long as this is read.
        packing: as the update's header says.
        schema: what the update has once it is unpacked; its slots are named SLOT:ARRAY.

    Raises:
        SchemaMismatch: names, dtypes or shapes are others than that schema packed so.
    """

    def __init__(self, file: ArraysFile, packing: PackingName, schema: Schema) -> None:
        check_names(schema)
        changed = Schema(tuple(each for each in schema.shapes if is_trained(each[0])))
        whole = {name: shape for name, shape in schema.shapes if not is_trained(name)}
        layout = PACKINGS[packing].layout(changed)
        _check_layout(file, packing, {**layout, **{name: ("F32", whole[name]) for name in whole}})
        self._change = PACKINGS[packing].opened(file, changed)
        self._whole = WeightsFile(file, whole)

    def check(self) -> None:
        """Read it once, block by block, without the weights it started from.

        Raises:
            NotFinite, UnreadableWeights, SchemaMismatch: no packing writes what it holds.
        """
        self._change.check()
        self._whole.check_finite()

    def unpacked(self, base: Weights) -> StreamedWeights:
        """The update, computed as it is read: base + change, float32. Of slots the change alone.

        Args:
            base: the weights that the training started from; it may have further arrays.

        Raises:
            SchemaMismatch: it lacks an array, or has it with another shape.
        """
        return joined(_Moved(self._change, streamed(base)), self._whole)


def read_update(path: Path, base: Weights, schema: Schema) -> dict[str, Array]:
    """An update, unpacked, in memory: for the device that wrote it, and trains on from it.

    Args:
        base: the weights of the version that its header names.
        schema: as :class:`PackedUpdate`; of an update that is not packed too.

    Raises:
        BadHeader, UnreadableWeights, SchemaMismatch, NotFinite: no device writes what it holds.
    """
    with open_arrays(path) as file:
        packing = UpdateHeader.parse(file.metadata).packing
        if packing is None:
            plain = WeightsFile(file)
            schema.check(plain.schema)
            return dict(plain)
        update = PackedUpdate(file, packing, schema)
        update.check()
        return dict(update.unpacked(base))


class _Moved(StreamedWeights):
    """base + change."""

    def __init__(self, change: StreamedWeights, base: StreamedWeights) -> None:
        self.schema = change.schema
        moved = {name: shape for name, shape in change.schema.shapes if not slot_of(name)}
        there = tuple(each for each in base.schema.shapes if each[0] in moved)
        Schema(tuple(moved.items())).check(Schema(there))
        self._change, self._base = change, base

    def read(self, name: str, start: int, into: Array) -> None:
        self._change.read(name, start, into)
        if slot_of(name):
            return
        before = np.empty_like(into)
        self._base.read(name, start, before)
        with np.errstate(over="ignore"):  # who reads it looks whether it is finite
            into += before


def check_names(schema: Schema) -> None:
    """Raise SchemaMismatch where an array has a name that those of packed ones are made with."""
    for name, _ in schema.shapes:
        if MARK in name:
            raise SchemaMismatch(f"An update with an array named {name} cannot be packed.")


def _check_layout(file: ArraysFile, packing: PackingName, layout: Layout) -> None:
    for name in sorted(layout.keys() | file.stored.keys()):
        if name not in file.stored:
            raise SchemaMismatch(f"{name} is missing.")
        if name not in layout:
            raise SchemaMismatch(f"{name} is not part of this task's network, packed as {packing}.")
        stored, (dtype, shape) = file.stored[name], layout[name]
        if stored.dtype != dtype:
            raise SchemaMismatch(f"{name} is {stored.dtype}; packed as {packing} it is {dtype}.")
        fits = len(shape) == len(stored.shape) and all(
            due in {None, there} for due, there in zip(shape, stored.shape, strict=True)
        )
        if not fits:
            due = tuple("any" if each is None else each for each in shape)
            raise SchemaMismatch(f"{name} has shape {stored.shape}; expected {due}.")
