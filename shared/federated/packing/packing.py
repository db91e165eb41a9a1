"""What every packing is: what it writes of a change, and how that is read again."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy.typing as npt

from shared.federated.policies import CompressionSettings
from shared.federated.update import PackingName
from shared.federated.weights import Array, ArraysFile, Schema, StreamedWeights, Weights

#: What a file has, by name: the dtype, a name of DTYPES, and the shape. None: any length.
Layout = Mapping[str, tuple[str, tuple[int | None, ...]]]


@dataclass(frozen=True)
class Packed:
    """What a packing makes of a change.

    Attributes:
        arrays: to be written, by name; each of one of DTYPES.
        residual: of each array, what these do not tell, and the next packing is to: the change
            that went in is what unpacking gives, and this. Empty where nothing is owed.
    """

    arrays: Mapping[str, npt.NDArray[Any]]
    residual: Mapping[str, Array] = field(default_factory=dict)


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
    """One way to write a change with fewer bytes."""

    name: ClassVar[PackingName]

    @abstractmethod
    def pack(self, change: Weights, settings: CompressionSettings, seed: int) -> Packed:
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
