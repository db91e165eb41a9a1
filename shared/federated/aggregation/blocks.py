"""The walk that every rule shares: block by block, one block of every update at a time.

A block fits in the processor's cache, and its place is used again for the next update and
the next block. So memory grows neither with the updates nor with the network.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.federated.update import Update
from shared.federated.weights import Array, Schema, StreamedWeights, Weights

#: 128 KiB of float32: with two such blocks of float64 beside it, within a second-level cache.
BLOCK_NUMBERS = 32 * 1024


@dataclass(frozen=True)
class Blocks:
    """One block of each update, in order of device name.

    Attributes:
        sources: of each update in that order, its number of samples and its weights.
        name: of the array that the block is part of.
        start: where in that array it begins, counted in numbers in C order.
        size: how many numbers it has, at most BLOCK_NUMBERS.
    """

    sources: Sequence[tuple[int, StreamedWeights]]
    name: str
    start: int
    size: int

    def __iter__(self) -> Iterator[tuple[int, Array]]:
        """The number of samples and the block, float32 (size,), of one update after the other.

        The block's place is used again: a rule copies what it keeps.
        """
        place: Array = np.empty(self.size, np.float32)
        for num_samples, weights in self.sources:
            weights.read(self.name, self.start, place)
            yield num_samples, place


#: Combines one block, number by number: where blocks begin must not matter. Returns (size,).
Rule = Callable[[Blocks], npt.NDArray[np.floating]]


class Combined(StreamedWeights):
    """What a rule makes of updates, computed as it is read.

    Args:
        updates: at least one; all of one schema; unchanged as long as this is read.
        rule: sees them in order of device name, so the order in which they arrived
            changes no bit.

    Raises:
        SchemaMismatch: an update has another schema than the first.
    """

    def __init__(self, updates: Sequence[Update], rule: Rule) -> None:
        ordered = sorted(updates, key=lambda update: update.device)
        self._sources = [(update.num_samples, _streamed(update.weights)) for update in ordered]
        self._rule = rule
        self.schema = self._sources[0][1].schema
        for _, weights in self._sources:
            self.schema.check(weights.schema)

    def read(self, name: str, start: int, into: Array) -> None:
        """Compute a part of one array, see :class:`StreamedWeights`."""
        for first in range(0, into.size, BLOCK_NUMBERS):
            part = into[first : first + BLOCK_NUMBERS]
            part[:] = self._rule(Blocks(self._sources, name, start + first, part.size))


class _InMemory(StreamedWeights):
    """Arrays that are in memory, seen as the others are."""

    def __init__(self, weights: Weights) -> None:
        self.schema = Schema.of(weights)
        self._arrays = {name: np.asarray(weights[name], order="C").reshape(-1) for name in weights}

    def read(self, name: str, start: int, into: Array) -> None:
        into[:] = self._arrays[name][start : start + into.size]


def _streamed(weights: Weights) -> StreamedWeights:
    return weights if isinstance(weights, StreamedWeights) else _InMemory(weights)
