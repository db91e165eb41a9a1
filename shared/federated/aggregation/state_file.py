"""The slots of a state in one file: with them a main server that starts again goes on as before."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from shared.federated.aggregation.state import ServerState
from shared.federated.weights import (
    SchemaMismatch,
    StreamedWeights,
    apart,
    open_weights,
    with_slots,
    write_weights,
)


def write_state(path: Path, state: ServerState) -> str:
    """Write the slots of a state as safetensors, durably; each array is named SLOT:ARRAY.

    Its weights are a version's file, and what it keeps is JSON. Equal slots give equal bytes.

    Returns:
        SHA-256 of the file's content, in hex.
    """
    return write_weights(path, with_slots({}, state.slots))


@contextmanager
def open_state(path: Path) -> Iterator[Mapping[str, StreamedWeights]]:
    """The slots in a file of :func:`write_state`, by name; read while it is open.

    Raises:
        UnreadableWeights: it is not safetensors, or truncated.
        SchemaMismatch: it has arrays that are of no slot, or not float32.
    """
    with open_weights(path) as opened:
        weights, slots = apart(opened)
        for name in weights:
            raise SchemaMismatch(f"{name} is of no slot: this is not the state of a strategy.")
        yield slots
