"""What every packing is: what it writes of a change, and how that is read again."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy.typing as npt

from shared.federated.policies import CompressionSettings
from shared.federated.update import PackingName
from shared.federated.weights import ArraysFile, Schema, StreamedWeights, Weights

#: What a file has, by name: the dtype, a name of DTYPES, and the shape. None: any length.
Layout = Mapping[str, tuple[str, tuple[int | None, ...]]]

#: What is written, by name; each of one of DTYPES.
Arrays = Mapping[str, npt.NDArray[Any]]


class PackedChange(StreamedWeights):
    """The change that a file holds, unpacked as it is read."""

    @abstractmethod
    def check(self) -> None:
        """Read all of it once, block by block.

        Raises:
            NotFinite: it holds NaN or infinity.
            UnreadableWeights, SchemaMismatch: it holds what no packing writes.
        """


class Packing(ABC):
    """One way to write a change with fewer bytes.

    Attributes:
        owes: what a packed change does not tell of weights is to be added to the next one.
    """

    name: ClassVar[PackingName]
    owes: ClassVar[bool] = False

    @abstractmethod
    def pack(self, change: Weights, settings: CompressionSettings, seed: int) -> Arrays:
        """What to write of a change.

        Args:
            change: finite; float32, of any shapes. Arrays of slots are named SLOT:ARRAY.
            seed: of what is left to chance. Equal seeds give equal bytes.
        """

    @abstractmethod
    def layout(self, schema: Schema) -> Layout:
        """What a file has of a change of some schema."""

    @abstractmethod
    def opened(self, file: ArraysFile, schema: Schema) -> PackedChange:
        """The change in a file of that layout. Raises SchemaMismatch: lengths do not fit."""
