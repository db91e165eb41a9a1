"""Federations to kill servers of."""

from collections.abc import Callable, Iterator

import pytest

from tests.faults import kill_points
from tests.faults.counting import PROPERTY
from tests.faults.main_servers import SQLITE, Store
from tests.federation import Federation
from tests.postgresql import PostgreSQL


@pytest.fixture(autouse=True)
def tell_where_it_was_killed(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Put the kill points that a test reaches into its report."""
    kill_points.killed_at.clear()
    yield
    record_property(PROPERTY, list(kill_points.killed_at))


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


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """The store that a test names, by one of the names in main_servers.py; it is empty."""
    if request.param == SQLITE:
        yield Store(SQLITE, None)
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.database() as url:
        yield Store(request.param, url)
