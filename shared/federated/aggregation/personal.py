"""What FedBN and FedPer share: some layers stay on their device."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, StringConstraints

from shared.federated.aggregation.fedavg import FedAvg
from shared.federated.aggregation.strategy import NothingStays
from shared.federated.weights import Schema

#: Names of arrays, where * stands for anything.
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\s:]+$")]
Patterns = Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=50)]


#: So many names are told of those that there are.
_TOLD = 12


class Personal(FedAvg):
    """FedAvg of all arrays but those that stay on their device.

    What stays is in no update. A version has it as it was when the strategy was chosen: that is
    what the global model is measured with, and what a new device begins with.
    """

    kind = "personal"
    keeps = "its own numbers of the layers that stay"
    layers: Patterns

    def check_network(self, schema: Schema) -> None:
        """See :meth:`Strategy.check_network`."""
        super().check_network(schema)
        names = [name for name, _ in schema.shapes]
        if not any(map(self.stays, names)):
            raise NothingStays(
                f"{self.title} would be FedAvg: no array is named like {_few(self.layers)}. "
                f"There are {_few(names)}. Choose other layers, or let the task train more "
                "(trainable)."
            )

    def stays(self, array: str) -> bool:
        """See :meth:`Strategy.stays`."""
        return any(fnmatchcase(array, pattern) for pattern in self.layers)


def _few(names: Sequence[str]) -> str:
    """The first ones, in a sentence."""
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return f"{', '.join(names[:_TOLD])}{more}"
