"""Federations to kill servers of."""

from collections.abc import Iterator

import pytest

from tests.federation import Federation


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A federation whose devices have version 0; it rests, to be copied."""
    federation = Federation(tmp_path_factory.mktemp("ready"))
    federation.write_pictures()
    try:
        federation.start()
        federation.stop()
        yield federation
    finally:
        federation.close()
