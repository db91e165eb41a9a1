"""One device with its main server for all of these tests: its start takes longest."""

from collections.abc import Iterator

import pytest

from tests.federation import TASKS, Federation


@pytest.fixture(scope="package")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A device with few pictures, which knows its task's first version."""
    made = Federation(tmp_path_factory.mktemp("federation"), TASKS, devices=("device1",))
    made.write_pictures()
    made.devices["device1"].environment |= {"ARRIVAL_SECONDS": "8", "PATIENCE_SECONDS": "6"}
    made.start()
    yield made
    made.close()
