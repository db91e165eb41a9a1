"""Packed updates, for tests: written as a device does, and read as the main server does."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from shared.federated.packing import PackedUpdate, write_update
from shared.federated.policies import CompressionSettings
from shared.federated.update import PackingName, UpdateHeader
from shared.federated.weights import Array, Schema, Weights, open_arrays

HEADER = UpdateHeader(
    task="digits",
    device="device1",
    base_version=3,
    num_samples=10,
    metrics={"loss": 0.5},
    fingerprint="0" * 64,
)


def packed(
    weights: Weights,
    base: Weights,
    method: str,
    *,
    fraction: float = 0.5,
    seed: int = 1,
    residual: Weights | None = None,
    header: UpdateHeader = HEADER,
) -> tuple[bytes, dict[str, Array]]:
    """The body of an update, and what it owes."""
    settings = CompressionSettings.model_validate({"method": method, "fraction": fraction})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "update"
        owed = write_update(file, weights, base, header, settings, seed, residual or {})
        return file.read_bytes(), owed


@contextmanager
def opened(body: bytes, method: PackingName, schema: Schema) -> Iterator[PackedUpdate]:
    """A body, as the main server opens it; not checked yet."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "update"
        file.write_bytes(body)
        with open_arrays(file) as arrays:
            yield PackedUpdate(arrays, method, schema)


def unpacked(
    body: bytes, method: PackingName, base: Weights, schema: Schema | None = None
) -> dict[str, Array]:
    """What a body is once it is checked and unpacked, in memory; a copy."""
    with opened(body, method, schema or Schema.of(base)) as update:
        update.check()
        return dict(update.unpacked(base))


def body_of(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """A body of any arrays, as a stranger may write it."""
    return save(dict(arrays), HEADER.as_metadata())


def normal(*shape: int, seed: int = 1) -> Array:
    """Normally distributed numbers."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def zeros(weights: Weights) -> dict[str, Array]:
    """A base that is zero: then the weights are the change."""
    return {name: np.zeros_like(array) for name, array in weights.items()}


def f32(*numbers: float) -> Array:
    """These as float32 (n,)."""
    return np.array(numbers, np.float32)


def f16(*numbers: float) -> npt.NDArray[np.float16]:
    """These as float16 (n,)."""
    return np.array(numbers, np.float16)


def i8(*numbers: int) -> npt.NDArray[np.int8]:
    """These as int8 (n,)."""
    return np.array(numbers, np.int8)


def u32(*numbers: int) -> npt.NDArray[np.uint32]:
    """These as uint32 (n,)."""
    return np.array(numbers, np.uint32)
