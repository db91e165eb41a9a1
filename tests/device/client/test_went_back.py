"""A client whose main server went back to a backup: it waits for nothing that will never come."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from shared.device.remote import RemoteProblem
from shared.federated.task import Task
from tests.device.client.memory_house import House

NOTHING = {"w": np.zeros(2, np.float32)}


def make_house(directory: Path, mode: str = "sync") -> House:
    return House(directory, Task(name="mnist", classes=("a", "b"), mode=mode))


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("is_restarted", [True, False])
def test_to_an_older_version(tmp_path: Path, mode: str, is_restarted: bool) -> None:
    house = make_house(tmp_path, mode)
    server = house.server
    if is_restarted:
        house.run(lambda: len(server.accepted) >= 4)
        server.go_back(2, 1)
    else:
        calls = itertools.count()

        def go_back_once(call: str) -> None:
            if call != "send" and len(server.accepted) == 4 and next(calls) == 0:
                server.go_back(2, 1)

        server.fails = go_back_once
    house.run(lambda: len(server.accepted) >= 3 and len(server.calls) > 14)
    assert [header.base_version for header in server.headers()][:3] == [0, 1, 2]


def test_to_before_its_first_version(tmp_path: Path) -> None:
    house = make_house(tmp_path)
    server = house.server
    house.run(lambda: len(server.accepted) >= 2)
    server.go_back(0, 0)
    house.run(lambda: len(server.accepted) >= 2)
    assert [header.base_version for header in server.headers()] == [0, 1]


def one_of_two(house: House) -> bytes:
    """A client whose update was acknowledged, and waits for that of another one."""
    house.server.needs = 2
    house.run(lambda: len(house.server.accepted) >= 1)
    return house.server.accepted[0]


@pytest.mark.parametrize("is_restarted", [True, False])
def test_to_the_same_version_without_the_update_of_its_round(
    tmp_path: Path, is_restarted: bool
) -> None:
    house = make_house(tmp_path)
    server = house.server
    server.needs = 2
    if is_restarted:
        one_of_two(house)
        server.go_back(1, 0)
    times = itertools.count()

    def another_one_comes(call: str) -> None:
        if call != "tell" or not server.waiting:
            return
        if not is_restarted and next(times) == 0:
            server.go_back(1, 0)
        elif len(server.calls) % 5 == 0:
            server.waiting.append(NOTHING)
            server.end_round()

    server.fails = another_one_comes
    house.run(lambda: len(server.accepted) >= 2)
    first, second = server.headers()
    assert (first.sequence, first.base_version) == (1, 0), "the very same update"
    assert (second.sequence, second.base_version) == (2, 1)


def test_pushed_again_it_is_trained_on_while_the_main_server_is_away(tmp_path: Path) -> None:
    """It counts nowhere, so its chunk is one of those that the next update tells."""
    house = make_house(tmp_path)
    one_of_two(house)
    server = house.server
    server.go_back(1, 0)
    fails = itertools.count()

    def push_fails(call: str) -> None:
        if call == "send" and next(fails) < house.settings.max_retries:
            raise RemoteProblem({"status": 503})

    server.fails = push_fails
    house.run(lambda: len(server.accepted) >= 1)
    (header,) = server.headers()
    assert (header.sequence, header.base_version, header.num_samples) == (2, 0, 20)


def test_to_another_version_of_the_same_number(tmp_path: Path) -> None:
    """Nothing that was learned from the lost one counts as if it came from this one."""
    house = make_house(tmp_path)
    one_of_two(house)
    server = house.server
    server.go_back(0, 0)
    server._make(NOTHING)
    house.run(lambda: len(server.accepted) >= 1)
    (header,) = server.headers()
    assert (header.sequence, header.base_version) == (2, 0)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_training_that_began_from_a_lost_version_does_not_count(
    tmp_path: Path, mode: str
) -> None:
    house = make_house(tmp_path, mode)
    server = house.server

    def dies_when_it_would_push(call: str) -> None:
        if call == "send":
            raise KeyboardInterrupt

    server.fails = dies_when_it_would_push
    with pytest.raises(KeyboardInterrupt):
        house.run(lambda: False)
    server.fails = lambda _call: None
    server.go_back(0, 0)
    server._make(NOTHING)
    house.run(lambda: len(server.accepted) >= 1)
    (header,) = server.headers()
    assert (header.sequence, header.base_version) == (2, 0)


def test_an_answer_that_was_on_its_way_is_not_taken_for_that(tmp_path: Path) -> None:
    """A heartbeat that began before the push knows neither the update nor what was pulled."""
    house = make_house(tmp_path)
    server = house.server
    server.needs = 2

    def late_answers(call: str) -> None:
        if call == "download" and server.calls.count("download") == 2:
            server._make(NOTHING)  # after the heartbeat: what is pulled is newer than it told
        if call == "send" and len(server.accepted) == 1:
            house.heartbeat.beat()  # before the update is here
        if call == "tell" and len(server.waiting) == 1 and server.calls.count("tell") % 4 == 0:
            server.waiting.append(NOTHING)
            server.end_round()

    server.fails = late_answers
    house.run(lambda: len(server.accepted) >= 3)
    assert [header.sequence for header in server.headers()] == [1, 2, 3]
    assert server.calls.count("send") == 3
