"""kill -9 before and after each write of ``fedbell client``, while it pulls, trains and pushes.

One client goes on from kill to kill with what it has kept, another one is never killed; each has a
main server of its own. Both push the same updates in the same order, byte for byte, and the main
servers make the same versions of them.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.device.client.house import (
    ASYNC_TASKS,
    TASKS,
    ClientProcess,
    main_server,
    pushed,
    versions,
    weights,
    write_mnist,
)
from tests.device.processes import Connection
from tests.faults.kill_points import ALL, Point, Trap, walk
from tests.server import Server, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

#: So many updates bring a client once through everything, from wherever it was killed.
UPDATES = 2
#: About so many writes are in that. Each start loads TensorFlow, so none is spent on counting.
WRITES = 20
KILLED = -9
FEDBUFF_TASKS = ASYNC_TASKS + 'asynchronous = { rule = "fedbuff", buffer_size = 2 }\n'


class Lane:
    """A client, its main server, and the connection between both, which keeps what went through."""

    def __init__(self, directory: Path, tasks: str, data: Path) -> None:
        self.directory = directory
        self.server: Server = main_server(directory / "main_server", tasks)
        self.connection = Connection()
        self.client = ClientProcess(directory / "client", self.connection.url, data)

    def start(self) -> None:
        """The main server."""
        self.server.start()
        self.connection.connect(self.server.url)

    def close(self) -> None:
        self.client.kill()
        self.connection.cut()
        self.server.stop()
        self.server.http.close()

    def made(self, updates: int, newest: int) -> tuple[list[str], list[dict[str, bytes]]]:
        """The first updates that were pushed, and the numbers of the versions made of them."""
        wait_until(lambda: newest in versions(self.server))
        made = [weights(self.server, number, self.directory) for number in range(newest + 1)]
        return pushed(self.connection)[:updates], made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mnist(tmp_path_factory.mktemp("mnist"))


@pytest.fixture
def lanes(tasks: str, data: Path, tmp_path: Path) -> Iterator[tuple[Lane, Lane]]:
    both = Lane(tmp_path / "killed", tasks, data), Lane(tmp_path / "undisturbed", tasks, data)
    try:
        for lane in both:
            lane.start()
        yield both
    finally:
        for lane in both:
            lane.close()


@pytest.mark.parametrize(
    ("tasks", "updates_of_a_version", "chosen"),
    [
        pytest.param(TASKS, 1, 2, id="sync"),
        pytest.param(ASYNC_TASKS, 1, 1, id="fedasync"),
        *([pytest.param(FEDBUFF_TASKS, 2, 0, id="fedbuff")] if ALL else []),
    ],
)
def test_client_killed(
    lanes: tuple[Lane, Lane],
    tmp_path: Path,
    updates_of_a_version: int,
    chosen: int,
    request: pytest.FixtureRequest,
) -> None:
    killed, undisturbed = lanes
    trap = Trap(killed.client, tmp_path / "trap")
    for point in walk(f"client {request.node.callspec.id}", chosen, of=WRITES):
        run_into_trap(killed.client, trap, point)
    while max(versions(killed.server), default=0) == 0:
        assert killed.client.run(rounds=UPDATES) == 0, killed.client.output
    updates = len(pushed(killed.connection))
    # What a kill left unanswered is pushed, or is pending.
    assert undisturbed.client.run(rounds=updates) == 0, undisturbed.client.output
    newest = updates // updates_of_a_version
    assert killed.made(updates, newest) == undisturbed.made(updates, newest)
    assert "Traceback" not in killed.client.output


def run_into_trap(client: ClientProcess, trap: Trap, point: Point) -> None:
    """Start the client again, to be killed at that write, or to push a few updates."""
    trap.arm(point.number, point.how)
    status = client.run(rounds=UPDATES)
    trap.disarm()
    point.writes = trap.writes
    assert status == (KILLED if point.reached else 0), f"{point.story()}\n{client.output}"
