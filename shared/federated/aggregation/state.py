"""What a rule that goes on from version to version is given, and what it gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.federated.update import Update
from shared.federated.weights import Weights


@dataclass(frozen=True)
class ServerState:
    """The global model at one version, and all that the next one needs of it.

    Attributes:
        weights: of that version; computed as they are read where a rule has just made them.
        kept: what the rule keeps besides weights: small, and ready for JSON.
    """

    weights: Weights
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Arrival:
    """An update, and what it started from.

    Attributes:
        update: its ``weight`` is the factor for its staleness.
        base: the weights of the version that its training started from.
    """

    update: Update
    base: Weights
