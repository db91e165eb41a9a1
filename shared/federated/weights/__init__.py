"""Named arrays: their schema and fingerprint, and safetensors files of them.

A file is written whole or not at all, and read piece by piece. Nothing here trusts
a file: names, shapes, dtypes and places are compared before a number is used.
"""

from shared.federated.weights.arrays import (
    DTYPES,
    MOST_HEADER_BYTES,
    ArraysFile,
    Stored,
    UnreadableWeights,
    in_file_order,
    open_arrays,
    write_arrays,
)
from shared.federated.weights.durable import (
    EarlyStoring,
    move_durably,
    open_durably,
    write_durably,
)
from shared.federated.weights.files import (
    WeightsFile,
    open_weights,
    read_weights,
    write_weights,
)
from shared.federated.weights.schema import (
    Array,
    NotFinite,
    Schema,
    SchemaMismatch,
    StreamedWeights,
    Weights,
)
from shared.federated.weights.views import (
    apart,
    constant,
    joined,
    part,
    slot_of,
    streamed,
    with_slots,
)

__all__ = [
    "DTYPES",
    "MOST_HEADER_BYTES",
    "Array",
    "ArraysFile",
    "EarlyStoring",
    "NotFinite",
    "Schema",
    "SchemaMismatch",
    "Stored",
    "StreamedWeights",
    "UnreadableWeights",
    "Weights",
    "WeightsFile",
    "apart",
    "constant",
    "in_file_order",
    "joined",
    "move_durably",
    "open_arrays",
    "open_durably",
    "open_weights",
    "part",
    "read_weights",
    "slot_of",
    "streamed",
    "with_slots",
    "write_arrays",
    "write_durably",
    "write_weights",
]
