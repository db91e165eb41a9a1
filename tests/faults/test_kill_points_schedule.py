"""kill -9 before and after each write of a device that trains and sends by itself, asynchronously.

It goes on from kill to kill with what it has kept, and makes the versions of one that nobody kills.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.device.client.house import weights
from tests.faults.kill_points import Trap, walk
from tests.federation import TASKS, Federation
from tests.server import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

#: So many versions are a start, a training and its update, from wherever it was killed.
VERSIONS = 2
#: About so many writes are in that. A start takes long, so none is spent on counting.
WRITES = 12
WAIT_SECONDS = 180
ASYNC_TASKS = TASKS + '    mode = "async"\n    keep = { last = 1000 }\n'


@pytest.fixture
def federations(tmp_path: Path) -> Iterator[tuple[Federation, Federation]]:
    """Two that are alike, each of a main server and a device, which has never run."""
    names = ("killed", "undisturbed")
    killed, undisturbed = (
        Federation(tmp_path / name, ASYNC_TASKS, devices=("device1",)) for name in names
    )
    try:
        for federation in (killed, undisturbed):
            federation.write_pictures()
            federation.devices["device1"].environment["SCHEDULE"] = "continuous"
            federation.main.start()
        yield killed, undisturbed
    finally:
        killed.close()
        undisturbed.close()


def newest(federation: Federation) -> int:
    """The newest version; -1 while there is none."""
    return max(federation.versions(), default=-1)


def made(federation: Federation, until: int) -> list[dict[str, bytes]]:
    """The numbers of the versions up to one."""
    return [
        weights(federation.main, number, federation.directory, "shades")
        for number in range(until + 1)
    ]


def test_killed_while_it_trains_and_sends_by_itself(
    federations: tuple[Federation, Federation], tmp_path: Path
) -> None:
    killed, undisturbed = federations
    device, other = (each.devices["device1"] for each in federations)
    trap = Trap(device, tmp_path / "trap")
    for point in walk("device1 by itself", 1, of=WRITES):
        enough = newest(killed) + VERSIONS
        trap.spring_at_start(point, lambda: newest(killed) >= enough, ("_beat", "report"))  # noqa: B023
        if not point.reached:
            device.stop()
    if newest(killed) < VERSIONS:
        device.start()
        wait_until(lambda: newest(killed) >= VERSIONS, WAIT_SECONDS)
        device.stop()
    until = newest(killed)
    other.start()
    wait_until(lambda: newest(undisturbed) >= until, WAIT_SECONDS)
    assert made(killed, until) == made(undisturbed, until)
    assert "Traceback" not in device.log.read_text()
