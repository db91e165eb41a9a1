"""Rules that look at what all updates have at one place, in order of size: a median, say.

A table has a row for each update and a column for each place. It is read in long pieces, because
a call costs as much as thousands of numbers. What is sorted is a narrow part of it, turned, so
that it fits in the processor's cache and the numbers of one place lie one after the other.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from shared.federated.aggregation.blocks import BLOCK_NUMBERS
from shared.federated.weights import Array, StreamedWeights, Weights, streamed

#: A table that is read at a time; 8 MiB, less for few updates.
_TABLE_NUMBERS = 2 * 1024 * 1024
#: What is sorted of it at a time; 256 KiB, within a second-level cache.
_SORTED_NUMBERS = 64 * 1024
#: As many numbers as a line of the processor's cache has.
_LINE = 16

#: Of the numbers of some ranks, float32 (ranks, size), the smallest first, to (size,). It may
#: change them. Where columns begin must not matter to it.
RankRule = Callable[[Array], npt.NDArray[np.floating]]


def across_sorted(
    weights: Sequence[Weights], ranks: tuple[int, int], rule: RankRule
) -> StreamedWeights:
    """What a rule makes of the sorted numbers that all weights have at one place, place by place.

    Args:
        weights: at least one; all of one schema.
        ranks: which of the sorted numbers the rule is given: from the first on, which is 0 for
            the smallest, and up to the second, which is not among them.

    Returns:
        Weights of that schema, computed as they are read.

    Raises:
        SchemaMismatch
    """
    return _AcrossSorted([streamed(each) for each in weights], ranks, rule)


def columns_at_once(rows: int) -> int:
    """How many numbers of each of so many updates are read at a time: a power of 2."""
    return _power_of_two(_TABLE_NUMBERS // rows)


def empty_table(rows: int, columns: int) -> Array:
    """A table of zeros with at least so many columns, in whole cache lines.

    One row is an odd number of lines away from the next. A distance that is a power of 2 would
    put the numbers of a column into the same few places of the cache: turning a table then takes
    nine times as long.
    """
    lines = -(-columns // _LINE) | 1
    return np.zeros((rows, lines * _LINE), np.float32)


class _AcrossSorted(StreamedWeights):
    def __init__(
        self, sources: Sequence[StreamedWeights], ranks: tuple[int, int], rule: RankRule
    ) -> None:
        self.schema = sources[0].schema
        for source in sources:
            self.schema.check(source.schema)
        self._sources, self._ranks, self._rule = sources, slice(*ranks), rule

    def read(self, name: str, start: int, into: Array) -> None:
        columns = min(columns_at_once(len(self._sources)), max(into.size, 1))
        table = empty_table(len(self._sources), columns)
        for first in range(0, into.size, columns):
            goal = into[first : first + columns]
            for row, source in zip(table, self._sources, strict=True):
                source.read(name, start + first, row[: goal.size])
            self._combine(table, goal)

    def _combine(self, table: Array, goal: Array) -> None:
        """Apply the rule to as many columns of a table as ``goal`` has numbers."""
        rows = len(table)
        width = min(_power_of_two(_SORTED_NUMBERS // rows), _whole_lines(goal.size))
        turned = np.empty((width, rows), np.float32)
        table_of_ranks = empty_table(len(range(rows)[self._ranks]), width)
        for first in range(0, goal.size, width):
            size = min(width, goal.size - first)
            # Whole lines, the last with numbers that are used for nothing: numpy adds up the
            # rows of one column alone in another order than those of several.
            whole = _whole_lines(size)
            places = turned[:whole]
            places[:] = table[:, first : first + whole].T
            places.sort(axis=1)
            ranks = table_of_ranks[:, :whole]
            ranks[:] = places.T[self._ranks]
            goal[first : first + size] = self._rule(ranks)[:size]


def _whole_lines(size: int) -> int:
    return -(-size // _LINE) * _LINE


def _power_of_two(most: int) -> int:
    """The largest power of 2 up to ``most``, at least a line and at most a block."""
    return min(max(1 << max(most, 1).bit_length() - 1, _LINE), BLOCK_NUMBERS)
