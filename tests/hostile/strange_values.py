"""What a safetensors header may hold and should not: strange, but each of them JSON."""

from typing import Any

from hypothesis import strategies as some

# What stands in a header's metadata, where everything is text.
NUMBERS = some.sampled_from(
    [
        "-1",
        "-0",
        "0",
        "1.5",
        "1e3",
        "",
        " 7",
        "7 ",
        "+7",
        "0x7",
        "٣",
        "²",
        "9" * 400,
        "nan",
        "inf",
        str(2**31),
        str(2**31 + 1),
        str(2**53 + 1),
        str(2**63),
        str(2**64),
        "True",
        "null",
        "_1_0",
    ]
)
NAMES = some.sampled_from(
    [
        "",
        "x" * 65,
        "x" * 100_000,
        "../../etc/passwd",
        "DIGITS",
        "parcels",
        "device2",
        "a\x00b",
        "\ud83d\ude00",
        "é",
        "a b",
        "a/b",
        "\n",
        "digits\n",
        "' OR 1=1 --",
        "{{7*7}}",
        "%00",
        "nul",
    ]
)
OBJECTS = some.sampled_from(
    [
        "",
        "[]",
        "null",
        "1",
        "{",
        '{"loss": NaN}',
        '{"loss": Infinity}',
        '{"loss": 1e999}',
        '{"loss": "x"}',
        '{"loss": null}',
        '{"unknown": 1}',
        '{"loss": [1]}',
        "[" * 400,
        '{"loss": 1' + "0" * 400 + "}",
        '{"loss":' * 50,
        "\ufeff{}",
        '{"loss": -1e308}',
        "[" * 100_000,
        '{"loss": [' + "1," * 200 + "1]}",
        '{"loss": [' + "[" * 2000 + "]}",
    ]
)
FINGERPRINTS = some.sampled_from(["", "0" * 64, "A" * 64, "0" * 63, "0" * 65, "g" * 64, "é" * 64])
PACKINGS = some.sampled_from(
    ["", "none", "float16", "int8", "top_k", "zip", "INT8", "int8 ", "None", "x" * 100_000]
)
METADATA = {
    "task": NAMES,
    "device": NAMES,
    "base_version": NUMBERS,
    "num_samples": NUMBERS,
    "sequence": NUMBERS,
    "metrics": OBJECTS,
    "history": OBJECTS,
    "fingerprint": FINGERPRINTS,
    "backbone": FINGERPRINTS,
    "packing": PACKINGS,
    "unknown": NAMES,
}
NO_TEXT = some.sampled_from([1, -1, 1.5, None, True, [], {}, [1], {"a": "b"}, 10**400])

SIZES: some.SearchStrategy[Any] = some.sampled_from(
    [-1, 0, 1, 2**31, 2**32, 2**62, 2**63, 2**64, 1.5, "3", None, [], True]
)
SHAPES = some.one_of(
    some.lists(SIZES, max_size=3),
    some.sampled_from(
        [None, 6, "6", {}, [1] * 5000, [2**32, 2**32], [2**63, 2], [3, 2, 1], [2, 3], [6]]
    ),
)
OFFSETS = some.one_of(
    some.lists(SIZES, max_size=3),
    some.tuples(some.integers(-8, 80), some.integers(-8, 80)).map(list),
)
DTYPES: some.SearchStrategy[Any] = some.sampled_from(
    ["F16", "F64", "BF16", "I32", "U8", "BOOL", "F8_E4M3", "f32", "", "X" * 9999, 32, None, []]
)
