"""How far updates are from one another, in one pass over them."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shared.federated.aggregation.across import columns_at_once, empty_table
from shared.federated.side_by_side import side_by_side
from shared.federated.weights import Array, StreamedWeights, Weights, streamed

#: (n, n), a row and a column for each update.
Square = npt.NDArray[np.float64]

#: What one thread does at a time.
_PIECE_NUMBERS = 256 * 1024
#: So many products are added up in float32, before their sums are in float64.
_ADDED_NUMBERS = 2048
#: Rows with squares beyond these are scaled: products of float32 would be too large, or too small
#: to be told from 0.
_LEAST, _MOST = 1e-15, 1e30


def squared_distances(weights: Sequence[Weights], centre: Weights) -> Square:
    """‖x_i - x_j‖² of all pairs, over all numbers of all arrays; see :func:`inner_products`."""
    products = inner_products(weights, centre)
    norms = np.diagonal(products)
    distances: Square = np.maximum(norms[:, None] + norms - 2 * products, 0)
    np.fill_diagonal(distances, 0)
    return distances


def inner_products(weights: Sequence[Weights], centre: Weights) -> Square:
    """⟨x_i - c, x_j - c⟩ of all pairs, over all numbers of all arrays.

    Taken from a centre near the updates, because distances are differences of these products. The
    centre should be weights that no update decides: around a bad one that is far away, all others
    would seem to be at the same place.

    A few thousand products at a time are added up in float32, and these sums in float64. So it is
    right to about 1e-7 of ‖x_i - c‖·‖x_j - c‖, as good as float32 weights are themselves; products
    of float64 take 1.7 times as long. The order of sums does not depend on the number of threads.

    Args:
        weights: at least one; all of the schema of ``centre``.

    Raises:
        SchemaMismatch
    """
    middle, sources = streamed(centre), [streamed(each) for each in weights]
    for source in sources:
        middle.schema.check(source.schema)

    def of_piece(name: str, start: int, size: int) -> Square:
        return _of_piece(sources, middle, name, start, size)

    total = np.zeros((len(sources), len(sources)))
    for part in side_by_side(of_piece, middle.schema.pieces(_PIECE_NUMBERS)):
        total += part
    return total


def _of_piece(
    sources: Sequence[StreamedWeights], centre: StreamedWeights, name: str, start: int, size: int
) -> Square:
    """The inner products over a part of one array."""
    rows, columns = len(sources), min(columns_at_once(len(sources)), size)
    table, middle = empty_table(rows, columns), empty_table(1, columns)[0]
    total = np.zeros((rows, rows))
    for first in range(0, size, columns):
        width = min(columns, size - first)
        centre.read(name, start + first, middle[:width])
        for row, source in zip(table[:, :width], sources, strict=True):
            source.read(name, start + first, row)
            row -= middle[:width]
        total += _of_table(table[:, :width])
    return total


def _of_table(table: Array) -> Square:
    """The inner products of rows, which are scaled, in place, where float32 has not their squares.

    Looking at the squares costs less than looking for the largest number of each row.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # to be seen in the squares
        products = _added(table)
    squares = np.diagonal(products)
    odd = [
        row for row in np.flatnonzero(~((squares > _LEAST) & (squares < _MOST))) if table[row].any()
    ]
    if not odd:
        return products
    scales = np.ones(len(table))
    for row in odd:
        exponent = math.frexp(float(np.abs(table[row]).max()))[1]
        table[row] = np.ldexp(table[row], -exponent)
        scales[row] = math.ldexp(1, exponent)
    return _added(table) * scales * scales[:, None]


def _added(table: Array) -> Square:
    """The inner products, a few thousand numbers at a time in float32."""
    total = np.zeros((len(table), len(table)))
    for first in range(0, table.shape[1], _ADDED_NUMBERS):
        part = table[:, first : first + _ADDED_NUMBERS]
        total += part @ part.T
    return total
