"""Pictures on disk: class folders, decoding, the built-in digits, imports. No Flask, no Keras."""

from shared.datasets.class_folders import (
    EmptySplit,
    Picture,
    UnknownClassFolder,
    UnreadableFolder,
    count_pictures,
    read_split,
)
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
