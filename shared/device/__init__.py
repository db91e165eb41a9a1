"""The device server: its calls, its page, its trainer, and what it keeps."""

from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import configuration_error_ends_the_server

if TYPE_CHECKING:
    from apiflask import APIFlask


def create_app(device_toml: Path) -> "APIFlask":
    """The device's application, its trainer and heartbeat started; for one Gunicorn worker.

    Args:
        device_toml: the device's settings; the environment wins over it.

    Raises:
        SystemExit: the configuration is wrong; one line on standard error says what.
    """
    # Imported here: the trainer is a module of this package too, and needs no Flask.
    from shared.device.app import build

    with configuration_error_ends_the_server():
        return build(device_toml)
