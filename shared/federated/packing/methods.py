"""All packings, by name."""

from collections.abc import Mapping

from shared.federated.packing.float16 import Float16
from shared.federated.packing.int8 import Int8
from shared.federated.packing.packing import Packing
from shared.federated.packing.top_k import TopK
from shared.federated.update import PackingName

#: By the name that a header gives as its ``packing``, and a task as its ``compression.method``.
PACKINGS: Mapping[PackingName, Packing] = {
    packing.name: packing for packing in (Float16(), Int8(), TopK())
}
