"""The walk that every rule shares: block by block, one block of every source at a time.

A block fits in the processor's cache, and its place is used again for the next source and
the next block. So memory grows neither with the updates nor with the network.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.federated.weights import Array, StreamedWeights, Weights, streamed

#: 128 KiB of float32: with two such blocks of float64 beside it, within a second-level cache.
BLOCK_NUMBERS = 32 * 1024

#: Weights, and by how much they count.
Source = tuple[float, Weights]


@dataclass(frozen=True)
class Blocks:
    """One block of each source, in their order.

    Attributes:
        sources: by how much each counts, and its weights.
        name: of the array that the block is part of.
        start: where in that array it begins, counted in numbers in C order.
        size: how many numbers it has, at most BLOCK_NUMBERS.
    """

    sources: Sequence[tuple[float, StreamedWeights]]
    name: str
    start: int
    size: int

    def __iter__(self) -> Iterator[tuple[float, Array]]:
        """By how much a source counts, and its block, float32 (size,); one after the other.

        The block's place is used again: a rule copies what it keeps.
        """
        place: Array = np.empty(self.size, np.float32)
        for share, weights in self.sources:
            weights.read(self.name, self.start, place)
            yield share, place


#: Combines one block, number by number: where blocks begin must not matter. Returns (size,).
Rule = Callable[[Blocks], npt.NDArray[np.floating]]


class Combined(StreamedWeights):
    """What a rule makes of weights, computed as it is read.

    Args:
        sources: at least one; all of one schema; unchanged as long as this is read. The rule
            sees them in this order.

    Raises:
        SchemaMismatch: a source has another schema than the first.
    """

    def __init__(self, sources: Sequence[Source], rule: Rule) -> None:
        self._sources = [(share, streamed(weights)) for share, weights in sources]
        self._rule = rule
        self.schema = self._sources[0][1].schema
        for _, weights in self._sources:
            self.schema.check(weights.schema)

    def read(self, name: str, start: int, into: Array) -> None:
        """Compute a part of one array, see :class:`StreamedWeights`."""
        for first in range(0, into.size, BLOCK_NUMBERS):
            part = into[first : first + BLOCK_NUMBERS]
            part[:] = self._rule(Blocks(self._sources, name, start + first, part.size))


def weighted_mean(blocks: Blocks) -> npt.NDArray[np.float64]:
    """The mean of all sources, each counting by its share. Sums are float64."""
    weighted_sum = np.full(blocks.size, -0.0)  # what added to any number, -0 too, changes no bit
    product = np.empty(blocks.size, np.float64)
    total = 0.0
    for share, block in blocks:
        # Copying to float64 first is faster than a product that converts as it goes.
        np.copyto(product, block)
        product *= share
        weighted_sum += product
        total += share
    weighted_sum /= total
    return weighted_sum
