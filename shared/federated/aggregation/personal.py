"""What FedBN and FedPer share: some layers stay on their device."""

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, StringConstraints

from shared.federated.aggregation.fedavg import FedAvg

#: Names of arrays, where * stands for anything.
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\s:]+$")]
Patterns = Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=50)]


class Personal(FedAvg):
    """FedAvg of all arrays but those that stay on their device.

    What stays is in no update. A version has it as it was when the strategy was chosen: that is
    what the global model is measured with, and what a new device begins with.
    """

    kind = "personal"
    keeps = "its own numbers of the layers that stay"
    layers: Patterns

    def stays(self, array: str) -> bool:
        """See :meth:`Strategy.stays`."""
        return any(fnmatchcase(array, pattern) for pattern in self.layers)
