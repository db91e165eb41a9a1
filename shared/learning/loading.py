"""Loads TensorFlow and Keras, and nothing that they only offer to work with.

Where scikit-learn and matplotlib are installed, Keras imports both, for wrappers and galleries that
nobody here asks for: a third of the time that loading takes (benchmarks/startup.py).
"""

import sys
from types import ModuleType
from typing import cast

_LEFT_OUT = ("matplotlib", "sklearn")


def load_tensorflow() -> None:
    """Import TensorFlow and Keras. What is left out can be imported as ever afterwards.

    No other thread may import it meanwhile: for the moment it is as if it were not installed.
    """
    hidden = [name for name in _LEFT_OUT if name not in sys.modules]
    # A module that is None is one that cannot be imported.
    sys.modules.update(dict.fromkeys(hidden, cast(ModuleType, None)))
    try:
        import keras  # noqa: F401
        import tensorflow as tf  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]
