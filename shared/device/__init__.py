"""The device server: its calls, its page, its trainer, and what it keeps."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from apiflask import APIFlask

#: Gunicorn takes it as "the application cannot be loaded" and stops, instead of trying again.
_CANNOT_LOAD = 4


def create_app(device_toml: Path) -> "APIFlask":
    """The device's application, its trainer and heartbeat started; for one Gunicorn worker.

    Args:
        device_toml: the device's settings; the environment wins over it.

    Raises:
        SystemExit: the configuration is wrong; one line on standard error says what.
    """
    # Imported here: the trainer is a module of this package too, and needs no Flask.
    from shared.device.app import build

    try:
        return build(device_toml)
    except ConfigurationError as error:
        sys.stderr.write(f"{error.title}: {error.detail}\n")
        sys.exit(_CANNOT_LOAD)
