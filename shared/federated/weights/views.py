"""Weights seen otherwise: some of their arrays, under other names, or several as one."""

from collections.abc import Collection, Mapping

import numpy as np

from shared.federated.names import SLOT
from shared.federated.weights.schema import Array, Schema, StreamedWeights, Weights


def streamed(weights: Weights) -> StreamedWeights:
    """Weights that can be read piece by piece, also where they are arrays in memory."""
    return weights if isinstance(weights, StreamedWeights) else _InMemory(weights)


def part(weights: Weights, names: Collection[str]) -> StreamedWeights:
    """Some of the arrays. Raises KeyError where there is none of a name."""
    return _Renamed(streamed(weights), {name: name for name in names})


def joined(*parts: Weights) -> StreamedWeights:
    """Weights of different names as one."""
    return _Joined([streamed(each) for each in parts])


def constant(schema: Schema, value: float) -> StreamedWeights:
    """Weights that are everywhere the same number."""
    return _Constant(schema, value)


def with_slots(weights: Weights, slots: Mapping[str, Weights]) -> StreamedWeights:
    """Weights and what goes with them in one file: each slot's arrays are named SLOT:ARRAY."""
    renamed = [
        _Renamed(streamed(held), {f"{slot}{SLOT}{name}": name for name in held})
        for slot, held in slots.items()
    ]
    return joined(weights, *renamed)


def slot_of(array: str) -> str:
    """The slot that an array is of, by its name in one file with all; empty: it is a weight."""
    slot, sign, _ = array.partition(SLOT)
    return slot if sign else ""


def apart(weights: Weights) -> tuple[StreamedWeights, dict[str, StreamedWeights]]:
    """What :func:`with_slots` has put together: the weights, and each slot."""
    every = streamed(weights)
    plain: dict[str, str] = {}
    slots: dict[str, dict[str, str]] = {}
    for name in every:
        slot, sign, array = name.partition(SLOT)
        if sign:
            slots.setdefault(slot, {})[array] = name
        else:
            plain[name] = name
    return _Renamed(every, plain), {slot: _Renamed(every, names) for slot, names in slots.items()}


class _InMemory(StreamedWeights):
    """Arrays that are in memory, seen as the others are."""

    def __init__(self, weights: Weights) -> None:
        self.schema = Schema.of(weights)
        self._arrays = {name: np.asarray(weights[name], order="C").reshape(-1) for name in weights}

    def read(self, name: str, start: int, into: Array) -> None:
        into[:] = self._arrays[name][start : start + into.size]


class _Renamed(StreamedWeights):
    """Arrays of others, each under a name of its own.

    Args:
        names: from the new name to the one there.
    """

    def __init__(self, weights: StreamedWeights, names: Mapping[str, str]) -> None:
        shapes = dict(weights.schema.shapes)
        self.schema = Schema(tuple(sorted((new, shapes[old]) for new, old in names.items())))
        self._weights, self._names = weights, names

    def read(self, name: str, start: int, into: Array) -> None:
        self._weights.read(self._names[name], start, into)


class _Joined(StreamedWeights):
    def __init__(self, parts: Collection[StreamedWeights]) -> None:
        self._of = {name: each for each in parts for name, _ in each.schema.shapes}
        self.schema = Schema(tuple(sorted(shape for each in parts for shape in each.schema.shapes)))

    def read(self, name: str, start: int, into: Array) -> None:
        self._of[name].read(name, start, into)


class _Constant(StreamedWeights):
    def __init__(self, schema: Schema, value: float) -> None:
        self.schema = schema
        self._value = value

    def read(self, name: str, start: int, into: Array) -> None:
        into[:] = self._value
