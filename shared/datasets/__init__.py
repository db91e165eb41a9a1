"""Pictures on disk: class folders, decoding, the built-in digits, imports. No Flask, no Keras.

What opens pictures is imported when it is first asked for: a device's web side counts
pictures, and starts sooner and smaller without OpenCV.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from shared.datasets.class_folders import (
    EmptySplit,
    Picture,
    UnknownClassFolder,
    UnreadableFolder,
    count_pictures,
    read_split,
)

if TYPE_CHECKING:
    from shared.datasets.decoding import RECIPE, decode
    from shared.datasets.digits import DigitsChanged, write_digits
    from shared.datasets.importer import ImportRefused, ImportReport, import_reference

__all__ = [
    "RECIPE",
    "DigitsChanged",
    "EmptySplit",
    "ImportRefused",
    "ImportReport",
    "Picture",
    "UnknownClassFolder",
    "UnreadableFolder",
    "count_pictures",
    "decode",
    "import_reference",
    "read_split",
    "write_digits",
]

_WITH_OPENCV = {
    "RECIPE": "decoding",
    "decode": "decoding",
    "DigitsChanged": "digits",
    "write_digits": "digits",
    "ImportRefused": "importer",
    "ImportReport": "importer",
    "import_reference": "importer",
}


def __getattr__(name: str) -> Any:
    if name not in _WITH_OPENCV:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WITH_OPENCV[name]}"), name)
