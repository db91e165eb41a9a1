"""Named float32 arrays, and what two sets of them must have in common."""

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from shared.errors import FedbellError

Array = npt.NDArray[np.float32]

#: From name (the Keras variable path) to float32 array.
Weights = Mapping[str, Array]

_CHECKED_AT_ONCE = 64 * 1024


class SchemaMismatch(FedbellError):
    """Weights of other names, shapes or dtypes than expected."""

    status = 422
    title = "The weights do not fit this task"


class NotFinite(FedbellError):
    """Weights that hold NaN or infinity."""

    status = 422
    title = "The weights are not all numbers"


@dataclass(frozen=True)
class Schema:
    """Names and shapes of a set of float32 arrays, in order of name."""

    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def of(cls, weights: Weights) -> Self:
        """The schema of ``weights``.

        Raises:
            SchemaMismatch: an array is not float32.
        """
        if isinstance(weights, StreamedWeights):
            return cls(weights.schema.shapes)
        for name, array in weights.items():
            if array.dtype != np.float32:
                raise SchemaMismatch(f"{name} is {array.dtype}; weights are float32.")
        return cls(tuple(sorted((name, array.shape) for name, array in weights.items())))

    @property
    def sizes(self) -> dict[str, int]:
        """How many numbers each array holds, in order of name."""
        return {name: math.prod(shape) for name, shape in self.shapes}

    def pieces(self, most: int) -> Iterator[tuple[str, int, int]]:
        """All numbers, in order of name and in C order, in pieces of at most ``most``.

        Returns:
            Of each piece the array's name, where in it the piece begins, and how long it is.
        """
        for name, size in self.sizes.items():
            for start in range(0, size, most):
                yield name, start, min(most, size - start)

    def fingerprint(self, backbone: str) -> str:
        """SHA-256, in hex, over this schema and the backbone's own SHA-256.

        Two devices whose tails fit but whose backbones differ would average
        nonsense; the fingerprint tells them apart.
        """
        text = json.dumps([backbone, self.shapes], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def check(self, other: Self) -> None:
        """Raise SchemaMismatch, naming the first difference, unless ``other`` equals this."""
        ours, theirs = dict(self.shapes), dict(other.shapes)
        for name in sorted(ours.keys() | theirs.keys()):
            if name not in theirs:
                raise SchemaMismatch(f"{name} is missing.")
            if name not in ours:
                raise SchemaMismatch(f"{name} is not part of this task's network.")
            if ours[name] != theirs[name]:
                raise SchemaMismatch(f"{name} has shape {theirs[name]}; expected {ours[name]}.")


class StreamedWeights(Mapping[str, Array], ABC):
    """Weights that are read, or computed, piece by piece: memory need not hold one whole array.

    As a mapping it makes an array whole, anew each time it is asked for.

    Attributes:
        schema: of all arrays; known before any number is.
    """

    schema: Schema

    @abstractmethod
    def read(self, name: str, start: int, into: Array) -> None:
        """Fill ``into`` with the numbers of one array from ``start`` on.

        May be called from several threads at once.

        Args:
            start: counted in numbers, in C order.
            into: contiguous, of one dimension; ends within the array.
        """

    def __getitem__(self, name: str) -> Array:
        array: Array = np.empty(dict(self.schema.shapes)[name], np.float32)
        self.read(name, 0, array.reshape(-1))
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(name for name, _ in self.schema.shapes)

    def __contains__(self, name: object) -> bool:
        return any(name == each for each, _ in self.schema.shapes)

    def __len__(self) -> int:
        return len(self.schema.shapes)

    def check_finite(self) -> None:
        """Raise NotFinite, naming the first array that holds NaN or infinity."""
        block: Array = np.empty(_CHECKED_AT_ONCE, np.float32)
        for name, start, size in self.schema.pieces(block.size):
            part = block[:size]
            self.read(name, start, part)
            if not np.isfinite(part).all():
                raise NotFinite(
                    f"{name} holds NaN or infinity. The training diverged: "
                    "train again with a lower learning rate."
                )
