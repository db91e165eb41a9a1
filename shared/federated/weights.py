"""Named arrays: their schema and fingerprint, and safetensors files of them.

A file is written whole or not at all, and read memory-mapped. Nothing here
trusts a file: names, shapes and dtypes are compared before a number is used.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from shared.errors import FedbellError

Array = npt.NDArray[np.float32]

#: From name (the Keras variable path) to float32 array.
Weights = Mapping[str, Array]

_DTYPE = "F32"

#: A safetensors file starts with the length of its JSON header, a little-endian number.
_LENGTH_BYTES = 8

#: A header this long describes thousands of arrays; reading a longer one costs memory.
MOST_HEADER_BYTES = 1024 * 1024


class UnreadableWeights(FedbellError):
    """Not a safetensors file, or a truncated one."""

    status = 422
    title = "The weights cannot be read"


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
        for name, array in weights.items():
            if array.dtype != np.float32:
                raise SchemaMismatch(f"{name} is {array.dtype}; weights are float32.")
        return cls(tuple(sorted((name, array.shape) for name, array in weights.items())))

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


class WeightsFile(Mapping[str, Array]):
    """A safetensors file, opened: schema and metadata at once, arrays one at a time.

    Use :func:`open_weights`; arrays are mapped from the file while it is open.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.metadata: dict[str, str] = handle.metadata() or {}
        shapes = []
        for name in handle.keys():  # noqa: SIM118 - the handle is no mapping
            piece = handle.get_slice(name)
            if piece.get_dtype() != _DTYPE:
                raise SchemaMismatch(f"{name} is {piece.get_dtype()}; weights are float32.")
            shapes.append((name, tuple(piece.get_shape())))
        self.schema = Schema(tuple(sorted(shapes)))

    def __getitem__(self, name: str) -> Array:
        array: Array = self._handle.get_tensor(name)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(name for name, _ in self.schema.shapes)

    def __len__(self) -> int:
        return len(self.schema.shapes)

    def check_finite(self) -> None:
        """Raise NotFinite, naming the first array that holds NaN or infinity."""
        for name in self:
            if not np.isfinite(self[name]).all():
                raise NotFinite(
                    f"{name} holds NaN or infinity. The training diverged: "
                    "train again with a lower learning rate."
                )


@contextmanager
def open_weights(path: Path) -> Iterator[WeightsFile]:
    """Open a safetensors file of float32 arrays, memory-mapped.

    Raises:
        UnreadableWeights: it is not safetensors, or truncated.
        SchemaMismatch: an array is not float32.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > MOST_HEADER_BYTES:
        raise UnreadableWeights(
            f"This is not a whole safetensors file: it announces a header of {length} bytes."
        )
    try:
        handle = safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise UnreadableWeights(f"This is not a whole safetensors file: {error}.") from error
    with handle as opened:
        yield WeightsFile(opened)


def read_weights(path: Path) -> dict[str, Array]:
    """All arrays of a file, in memory. Raises as :func:`open_weights`."""
    with open_weights(path) as opened:
        return {name: np.array(opened[name]) for name in opened}


def write_weights(path: Path, weights: Weights, metadata: Mapping[str, str] | None = None) -> str:
    """Write weights as safetensors: durable, and under ``path`` whole or not at all.

    Equal weights with equal metadata give equal bytes, in every process.

    Returns:
        SHA-256 of the file's content, in hex.
    """
    Schema.of(weights)
    contiguous = {name: np.asarray(weights[name], order="C") for name in sorted(weights)}
    content = _with_sorted_metadata(to_safetensors(contiguous, dict(metadata or {})))
    write_durably(path, content)
    return hashlib.sha256(content).hexdigest()


def _with_sorted_metadata(content: bytes) -> bytes:
    """The same safetensors file with its metadata in order of name.

    The library writes them in an order that differs from call to call, so that what
    is made again after a kill would have another hash than the first time.
    """
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = json.loads(content[_LENGTH_BYTES:start])
    if metadata := header.pop("__metadata__", None):
        header = {"__metadata__": dict(sorted(metadata.items()))} | header
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)  # the arrays stay aligned
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text + content[start:]


def write_durably(path: Path, content: bytes) -> None:
    """Write ``content`` to a temporary file beside ``path``, fsync it, and rename it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        move_durably(Path(temporary), path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def move_durably(source: Path, target: Path) -> None:
    """Rename a file that is already fsynced, and fsync the folder, so that it stays renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
