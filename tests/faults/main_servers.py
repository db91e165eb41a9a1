"""The main server of a test, by its store: alone with SQLite or PostgreSQL, or two behind one
address."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import httpx

from main_server.store.moving import move_store
from tests.proxy import RoundRobin
from tests.server import Server, wait_until

STORES = SQLITE, POSTGRESQL, TWO = ("sqlite", "postgresql", "two")

_ANSWER_SECONDS = 100


@dataclass(frozen=True)
class Store:
    """What a main server keeps its rows in.

    Attributes:
        name: one of the three above.
        database: the address of an empty PostgreSQL database; None: SQLite.
    """

    name: str
    database: str | None


class MainServers:
    """One main server, or two with one PostgreSQL and one state directory behind one address.

    Args:
        first: one that does not run; a second one is made like it, where there are two.
        store: what they keep their rows in.
    """

    def __init__(self, first: Server, store: Store) -> None:
        self.servers = [first]
        if store.database:
            first.environment["DATABASE_URL"] = store.database
        self.store_url = store.database or _sqlite(first.state)
        self.proxy: RoundRobin | None = None
        if store.name == TWO:
            directory = first.log.parent.with_name("second")
            directory.mkdir()
            second = Server("main_server.wsgi:app", directory, first.environment)
            second.state = first.state
            self.servers.append(second)
            self.proxy = RoundRobin([server.port for server in self.servers])
        self.url = self.proxy.url if self.proxy else first.url
        self.http = httpx.Client(
            base_url=self.url,
            timeout=_ANSWER_SECONDS,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def begin_from(self, state: Path) -> None:
        """Take a copy of the state of a main server with SQLite, which rests."""
        mine = self.servers[0].state
        shutil.rmtree(mine, ignore_errors=True)
        shutil.copytree(state, mine)
        if self.store_url != _sqlite(mine):
            move_store(_sqlite(mine), self.store_url)
            (mine / "main_server.db").unlink()

    def start(self) -> None:
        """Start those that do not run, and wait until all are ready."""
        for server in self.servers:
            if not server.runs:
                server.start(wait=False)
        for server in self.servers:
            wait_until(server.is_ready)

    def close(self) -> None:
        """Stop all, for good."""
        for server in self.servers:
            server.stop()
            server.http.close()
        self.http.close()
        if self.proxy:
            self.proxy.close()


def _sqlite(state: Path) -> str:
    return f"sqlite:///{state / 'main_server.db'}"
