"""kill -9 in rounds of SCAFFOLD: slots on the main server and on devices stay what they should be.

Versions are equal, byte for byte, to those of a federation that nobody kills; so are the control
variates then, for each version depends on all of them.
"""

from collections.abc import Iterator

import pytest

from tests.faults.checks import Undisturbed
from tests.faults.main_servers import SQLITE
from tests.faults.test_kill_points import (
    Killed,
    federation,
    kill_device,
    kill_main_server,
    undisturbed,
)
from tests.federation import TASKS, Federation

__all__ = ["federation", "undisturbed"]

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(3600),
    pytest.mark.parametrize("store", [SQLITE], indirect=True),
]

SCAFFOLD = TASKS + '    strategy = "scaffold"\n'


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A federation whose devices have version 0; it rests, to be copied."""
    rests = Federation(tmp_path_factory.mktemp("ready"), SCAFFOLD)
    rests.write_pictures()
    try:
        rests.start()
        rests.stop()
        yield rests
    finally:
        rests.close()


def test_main_server_killed_as_it_aggregates(
    federation: Killed,
    undisturbed: Undisturbed,
) -> None:
    kill_main_server(federation, undisturbed, "scaffold aggregate_models", "aggregate_models", 4)


@pytest.mark.parametrize("step", ["modeltrain", "send_model_clients"])
def test_device_killed_in_a_step(
    federation: Killed,
    undisturbed: Undisturbed,
    step: str,
) -> None:
    kill_device(federation, undisturbed, f"scaffold device1 {step}", step, 3)
