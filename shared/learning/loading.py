"""TensorFlow and Keras, loaded without what they only offer to work with.

Where scikit-learn and matplotlib are installed, Keras imports both, for wrappers and galleries that
nobody here asks for: a third of the time that loading takes (benchmarks/startup.py). So all of this
package has ``keras`` and ``tf`` from here.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """These cannot be imported meanwhile, as if they were not installed, and afterwards as ever.

    No other thread may import one of them meanwhile.
    """
    hidden = [name for name in names if name not in sys.modules]
    # A module that is None is one that cannot be imported.
    sys.modules.update(dict.fromkeys(hidden, cast(ModuleType, None)))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _without("matplotlib", "sklearn"):
    import keras
    import tensorflow as tf

__all__ = ["keras", "tf"]
