"""Writing an update, packed as its task wants it."""

from pathlib import Path

import numpy as np

from shared.federated.names import is_trained
from shared.federated.packing.methods import PACKINGS
from shared.federated.packing.packed_update import check_names
from shared.federated.policies import CompressionSettings
from shared.federated.update import UpdateHeader
from shared.federated.weights import (
    DTYPES,
    Array,
    NotFinite,
    Schema,
    Stored,
    Weights,
    in_file_order,
    open_arrays,
    slot_of,
    write_arrays,
    write_weights,
)

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def write_update(
    path: Path,
    weights: Weights,
    base: Weights,
    header: UpdateHeader,
    settings: CompressionSettings,
    seed: int,
    residual: Weights,
) -> dict[str, Array]:
    """Write an update, packed: durable, and under ``path`` whole or not at all.

    Equal arguments give equal bytes. Memory holds a few times the weights.

    Args:
        weights: all that the update has; its slots are named SLOT:ARRAY, see
            :func:`~shared.federated.weights.with_slots`.
        base: the weights of the version that the header names, also where the training went on
            from others; it may have further arrays, and needs none of slots.
        header: what the file is to say of it; ``packing`` is set here.
        settings: the task's ``compression``.
        seed: of what a packing leaves to chance; another one for each update of each device.
        residual: what this function returned when it wrote the device's last update, at first
            nothing. It is added to the change. One that cannot belong to these weights, because
            its arrays are others or not finite, is ignored.

    Returns:
        What this update does not tell of weights: by name an array for each that was packed,
        float32; the change is what unpacking gives, and this. Of slots nothing is owed: what keeps
        them knows what was told. Empty where a packing rounds alone, and with "none".
        It goes with the file: it takes the place of ``residual`` once the main server has this
        update, or where a training goes on from what
        :func:`~shared.federated.packing.read_update` gives. An update that is thrown away has told
        nothing: then ``residual`` is still owed.

    Raises:
        SchemaMismatch: an array is missing in ``base``, or has another shape, or a name that
            cannot be.
        NotFinite: the change is beyond the numbers of float32.
    """
    if settings.method == "none":
        told = header.model_copy(update={"packing": None})
        write_weights(path, weights, told.as_metadata())
        return {}
    check_names(Schema.of(weights))
    change = _change(weights, base, residual)
    packing = PACKINGS[settings.method]
    arrays = dict(packing.pack(change, settings, seed))
    arrays |= {name: weights[name] for name in weights if not is_trained(name)}
    stored = {name: Stored(_NAMES[array.dtype], array.shape) for name, array in arrays.items()}
    pieces = (np.asarray(arrays[name], order="C").reshape(-1) for name in in_file_order(stored))
    told = header.model_copy(update={"packing": settings.method})
    write_arrays(path, stored, pieces, told.as_metadata())
    if not packing.owes:
        return {}
    with open_arrays(path) as file:
        tells = dict(packing.opened(file, Schema.of(change)))
    return {name: change[name] - tells[name] for name in change if not slot_of(name)}


def _change(weights: Weights, base: Weights, residual: Weights) -> dict[str, Array]:
    """What trained arrays have changed, and what an earlier update owes."""
    names = [name for name in sorted(weights) if is_trained(name)]
    moved = [name for name in names if not slot_of(name)]
    before = {name: base[name] for name in base if name in moved}
    change = {name: weights[name] for name in names}
    Schema.of({name: change[name] for name in moved}).check(Schema.of(before))
    with np.errstate(over="ignore", invalid="ignore"):
        change |= {name: np.asarray(change[name] - before[name]) for name in moved}
        if _fits(residual, {name: change[name] for name in moved}):
            change |= {name: np.asarray(change[name] + residual[name]) for name in moved}
    for name, array in change.items():
        if not np.isfinite(array).all():
            raise NotFinite(
                f"{name} has changed by more than there are numbers. The training diverged: train "
                "again with a lower learning rate."
            )
    return change


def _fits(residual: Weights, change: Weights) -> bool:
    return Schema.of(residual) == Schema.of(change) and all(
        np.isfinite(residual[name]).all() for name in residual
    )
