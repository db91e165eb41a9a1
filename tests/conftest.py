"""A database server for the tests that want one; and what the tests of kills add up to."""

from collections.abc import Iterator

import pytest

from tests.faults.counting import KillPointCount
from tests.lacking import skip_or_fail
from tests.postgresql import PostgreSQL, binaries


def pytest_configure(config: pytest.Config) -> None:
    """Count kill points."""
    config.pluginmanager.register(KillPointCount(config), "kill-points")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL that many tests share, each with databases of its own."""
    programs = binaries()
    if programs is None:
        skip_or_fail("no PostgreSQL is installed (Debian's package postgresql)")
    server = PostgreSQL(programs)
    yield server
    server.close()


@pytest.fixture
def empty_postgresql(postgresql: PostgreSQL) -> Iterator[str]:
    """The address of an empty database of it."""
    with postgresql.database() as url:
        yield url
