"""Valid safetensors bodies, made wrong: in their JSON header, their numbers, or just somewhere."""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as some

from tests.hostile.strange_values import (
    DTYPES,
    METADATA,
    NO_TEXT,
    OFFSETS,
    SHAPES,
)

_T = TypeVar("_T")

#: One way to make a body wrong, with its arguments chosen.
Mutation = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Mutated:
    """A body, how it came to be, and whether no server may take it."""

    body: bytes
    how: str
    must_be_refused: bool


def parts(body: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, read, and its numbers."""
    length = int.from_bytes(body[:8], "little")
    return json.loads(body[8 : 8 + length]), body[8 + length :]


def joined(header: bytes | str | dict[str, Any], data: bytes, length: int | None = None) -> bytes:
    """A file of a header, as it is, and numbers; ``length``: what it says of its header."""
    text = json.dumps(header) if isinstance(header, dict) else header
    raw = text.encode() if isinstance(text, str) else text
    told = len(raw) if length is None else length
    return (told % 2**64).to_bytes(8, "little") + raw + data


def _metadata(body: bytes, name: str, value: Any) -> bytes:
    header, data = parts(body)
    header["__metadata__"][name] = value
    return joined(header, data)


def _no_metadata(body: bytes, name: str | None, value: Any) -> bytes:
    header, data = parts(body)
    if name is None:
        header["__metadata__"] = value
    else:
        header["__metadata__"].pop(name, None)
    return joined(header, data)


def _described(body: bytes, which: int, member: str, value: Any) -> bytes:
    header, data = parts(body)
    names = sorted(header.keys() - {"__metadata__"})
    header[names[which % len(names)]][member] = value
    return joined(header, data)


def _arrays(body: bytes, change: str) -> bytes:
    header, data = parts(body)
    names = sorted(header.keys() - {"__metadata__"})
    first, last = header[names[0]], header[names[-1]]
    if change == "swapped":
        first["data_offsets"], last["data_offsets"] = last["data_offsets"], first["data_offsets"]
    elif change == "overlapping":
        last["data_offsets"] = first["data_offsets"]
    elif change == "missing":
        del header[names[0]]
    elif change == "renamed":
        header["../" + names[0]] = header.pop(names[0])
    elif change == "one more":
        header["more"] = {"dtype": "F32", "shape": [0], "data_offsets": [len(data), len(data)]}
    elif change == "many more":
        for number in range(8000):
            header[str(number)] = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    elif change == "hole":
        data += bytes(4)
        first["data_offsets"] = [end + 4 for end in first["data_offsets"]]
    elif change == "none":
        header = {"__metadata__": header["__metadata__"]}
    return joined(header, data)


def _twice(body: bytes, name: str) -> bytes:
    """A header that has a key twice, which JSON allows and readers read as they like."""
    header, data = parts(body)
    text = json.dumps(header)
    metadata = header["__metadata__"]
    named = sorted(header.keys() - {"__metadata__"})[0]
    again = {
        "metadata": f'{{"__metadata__": {json.dumps(metadata)}, ',
        "array": f'{{"{named}": {{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, ',
    }[name]
    return joined(again + text[1:], data)


def _header(body: bytes, what: str) -> bytes:
    header, data = parts(body)
    text = json.dumps(header)
    texts: dict[str, str | bytes] = {
        "deep": "[" * 200_000,
        "deep object": '{"a":' * 100_000,
        "deep metadata": '{"__metadata__": ' + "[" * 50_000 + "]" * 50_000 + "}",
        "huge": " " * (1024 * 1024 + 1) + text,
        "no object": "[]",
        "empty": "",
        "no text": b"\xff\xfe" + text.encode(),
        "utf-16": text.encode("utf-16"),
        "mark first": "\ufeff" + text,
        "nul": text.replace("task", "ta\x00sk"),
        "surrogate": text.replace("task", "ta\\ud800sk"),
        "comment": text + "// here",
        "twice": text + text,
    }
    return joined(texts[what], data)


_HEADERS = [
    "deep", "deep object", "deep metadata", "huge", "no object", "empty", "no text", "utf-16",
    "mark first", "nul", "surrogate", "comment", "twice",
]  # fmt: skip
_ARRAYS = [
    "swapped", "overlapping", "missing", "renamed", "one more", "many more", "hole", "none",
]  # fmt: skip


def _length(body: bytes, told: int) -> bytes:
    header, data = parts(body)
    text = json.dumps(header)
    return joined(text, data, told if abs(told) > 1000 else len(text) + told)


def _number(body: bytes, at: int, value: float) -> bytes:
    header, data = parts(body)
    place = at % (len(data) // 4) * 4
    return joined(header, data[:place] + struct.pack("<f", value) + data[place + 4 :])


def _bytes(body: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    changed = bytearray(body)
    for at, what in changes:
        place = at % len(body)
        changed[place : place + len(what)] = what
    return bytes(changed)


_NOT_FINITE = some.sampled_from([float("nan"), float("inf"), float("-inf")])
_FINITE = some.sampled_from([1e-45, -1e-45, 1e-38, 3.4e38, -3.4e38, 0.0, -0.0])
_PLACES = some.integers(0, 10**6)


def mutated(body: bytes, is_packed: bool = False) -> some.SearchStrategy[Mutated]:
    """Any of those ways, applied to ``body``. Of one that is packed, numbers need not be floats."""

    def way(
        how: str, refused: bool, act: Callable[..., bytes], *choices: some.SearchStrategy[Any]
    ) -> some.SearchStrategy[Mutated]:
        def made(chosen: tuple[Any, ...]) -> Mutated:
            return Mutated(act(body, *chosen), f"{how} {chosen!r:.80}", refused)

        return some.tuples(*choices).map(made)

    field = some.sampled_from(sorted(METADATA)).flatmap(
        lambda name: some.tuples(some.just(name), METADATA[name])
    )
    required = ["task", "device", "base_version", "num_samples", "metrics", "fingerprint"]
    which, length = some.integers(0, 1), len(body)
    lies = some.sampled_from([0, -1, 1, 7, -8, 8, 2**20 + 1, 2**31, 2**63, 2**64 - 1, 10**6])
    ways = [
        field.map(lambda told: Mutated(_metadata(body, *told), f"{told!r:.80}", False)),
        way("no text", True, _metadata, some.sampled_from(sorted(METADATA)), NO_TEXT),
        way("missing", True, _no_metadata, some.sampled_from([None, *required]), NO_TEXT),
        way("dtype", not is_packed, _described, which, some.just("dtype"), DTYPES),
        way("shape", False, _described, which, some.just("shape"), SHAPES),
        way("offsets", False, _described, which, some.just("data_offsets"), OFFSETS),
        way("arrays", True, _arrays, some.sampled_from(_ARRAYS)),
        way("twice", False, _twice, some.sampled_from(["metadata", "array"])),
        way("header", True, _header, some.sampled_from(_HEADERS)),
        way("length", False, _length, lies),
        way("not finite", not is_packed, _number, _PLACES, _NOT_FINITE),
        way("finite", False, _number, _PLACES, _FINITE),
        way("cut", True, lambda body, at: body[:at], some.integers(0, length - 1)),
        way("longer", True, lambda body, more: body + more, some.binary(min_size=1, max_size=99)),
        way("random", True, lambda _body, other: other, some.binary(max_size=2000)),
        way(
            "flipped",
            False,
            _bytes,
            some.lists(some.tuples(_PLACES, some.binary(min_size=1, max_size=9)), min_size=1),
        ),
    ]
    return some.one_of(ways)
