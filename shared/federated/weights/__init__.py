"""Named arrays: their schema and fingerprint, and safetensors files of them.

A file is written whole or not at all, and read piece by piece. Nothing here trusts
a file: names, shapes, dtypes and places are compared before a number is used.
"""

from shared.federated.weights.durable import (
    EarlyStoring,
    move_durably,
    open_durably,
    write_durably,
)
from shared.federated.weights.files import (
    MOST_HEADER_BYTES,
    UnreadableWeights,
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
from shared.federated.weights.views import apart, constant, joined, part, streamed, with_slots

__all__ = [
    "MOST_HEADER_BYTES",
    "Array",
    "EarlyStoring",
    "NotFinite",
    "Schema",
    "SchemaMismatch",
    "StreamedWeights",
    "UnreadableWeights",
    "Weights",
    "WeightsFile",
    "apart",
    "constant",
    "joined",
    "move_durably",
    "open_durably",
    "open_weights",
    "part",
    "read_weights",
    "streamed",
    "with_slots",
    "write_durably",
    "write_weights",
]
