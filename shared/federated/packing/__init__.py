"""Updates that take fewer bytes: a step of its own, which any strategy can have.

What is packed is the change, update - base: its numbers are small and alike, so that a few bits say
much of them. The header of an update says how it was packed; the main server unpacks it when it
comes, and nothing after that knows of it. One packing, one file:

- float16: half of the bytes, rounded;
- int8: a quarter, rounded up or down at random, so that the mean over many is right;
- top_k: the largest changes alone; what is not sent is added to the next change.

In the file of a packed update arrays have their names; what else belongs to one is named
ARRAY@WHAT. Statistics (:func:`~shared.federated.names.is_trained`) are written as they are, as
float32: they are few, and a variance that is rounded below zero would make the network say NaN.
"""

from shared.federated.packing.methods import PACKINGS
from shared.federated.packing.packed_update import PackedUpdate, read_update
from shared.federated.packing.packing import PackedChange, Packing
from shared.federated.packing.writing import write_update

__all__ = [
    "PACKINGS",
    "PackedChange",
    "PackedUpdate",
    "Packing",
    "read_update",
    "write_update",
]
