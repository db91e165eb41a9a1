import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    for launcher in house.launchers:
        if launcher.poll() is None:
            launcher.send_signal(signal.SIGTERM)
        launcher.communicate(timeout=30)
