"""What every strategy's device part is: how it bends the training, and what it keeps of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from shared.federated.weights import Array

#: What is kept or sent beside weights, by the name of the slot; each array has its name.
Slots = Mapping[str, Mapping[str, Array]]


@dataclass(frozen=True)
class Correction:
    """What is added to each gradient: offset + mu · (weights - anchor).

    Attributes:
        offset: by name of the trained array; none where there is nothing to add.
        mu: at least 0.
        anchor: the trained arrays at the base, by name.
    """

    anchor: Mapping[str, Array]
    offset: Mapping[str, Array] = field(default_factory=dict)
    mu: float = 0.0


@dataclass(frozen=True)
class Begun:
    """What a device knows when a training begins.

    Attributes:
        base: the trained arrays of the global version, by name.
        kept: what the training before it has kept; empty at first.
        sent: what came with the version; empty at first.
    """

    base: Mapping[str, Array]
    kept: Slots
    sent: Slots


@dataclass(frozen=True)
class Ended:
    """What a training came to.

    Attributes:
        weights: the trained arrays after it, by name.
        mean_gradient: of all steps, without what was added to them.
    """

    weights: Mapping[str, Array]
    mean_gradient: Mapping[str, Array]


@dataclass(frozen=True)
class Told:
    """What an update tells, as the main server has it: packing may have left something out.

    Attributes:
        weights: the trained arrays, by name.
        carried: what it brings besides.
    """

    weights: Mapping[str, Array]
    carried: Slots


class LocalPart:
    """A device's part of a strategy: of most, to train as ever and to keep nothing."""

    def correction(self, begun: Begun) -> Correction | None:
        """How each step is to be bent; None: not at all."""
        return None

    def carried(self, begun: Begun, ended: Ended) -> Slots:
        """What an update brings besides weights."""
        return {}

    def kept(self, begun: Begun, told: Told) -> Slots:
        """What is kept for the next training, once ``told`` counts.

        Where the main server adds up what devices keep, this follows from what they told, not from
        what they meant: or the two would be ever further apart.
        """
        return {}


def slot(slots: Slots, name: str, like: Mapping[str, Array]) -> Mapping[str, Array]:
    """A slot; zeros like other arrays where there is none yet, or one of another network."""
    found = slots.get(name, {})
    shapes = {each: array.shape for each, array in like.items()}
    if {each: array.shape for each, array in found.items()} == shapes:
        return found
    return {each: np.zeros(shape, np.float32) for each, shape in shapes.items()}
