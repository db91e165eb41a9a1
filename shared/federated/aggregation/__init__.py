"""How updates become the next version: one rule, one file."""

from collections.abc import Callable, Mapping, Sequence

from shared.federated.aggregation.fedavg import fedavg
from shared.federated.update import Update
from shared.federated.weights import StreamedWeights

Strategy = Callable[[Sequence[Update]], StreamedWeights]

#: By the name that a task gives as its ``strategy``.
STRATEGIES: Mapping[str, Strategy] = {"fedavg": fedavg}
