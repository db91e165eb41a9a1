"""Where the main servers of a test have their stores; and what ends them when the test ends."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from apiflask import APIFlask

from tests.postgresql import PostgreSQL


class Stores:
    """Of one test after the other: a file in each state directory, or a database for each."""

    def __init__(self) -> None:
        self._server: PostgreSQL | None = None
        self._addresses: dict[Path, str] = {}
        self._ends: ExitStack | None = None

    @contextmanager
    def of_a_test(self) -> Iterator[None]:
        """Until the test ends; then its servers end first, and their databases after them."""
        with ExitStack() as self._ends:
            yield
        self._server, self._addresses, self._ends = None, {}, None

    def lie_in(self, server: PostgreSQL) -> None:
        """From now on, and for this test, stores are databases of ``server``."""
        self._server = server

    def address(self, state: Path) -> str:
        """Of the store of a state directory; empty for a file in it."""
        if self._server is None or self._ends is None:
            return ""
        if state not in self._addresses:
            self._addresses[state] = self._ends.enter_context(self._server.database())
        return self._addresses[state]

    def end_with_the_test(self, app: APIFlask) -> APIFlask:
        """The same app: a thread of it that looked at the store later would find another one's,
        or none, and what it does would count for another test."""
        if self._ends is not None:
            self._ends.callback(app.extensions["fedbell"].database.close)
        return app


STORES = Stores()
