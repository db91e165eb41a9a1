"""The client's loop with a main server in memory: killed at every moment, offline, refused."""

import itertools
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import safetensors.numpy
from tenacity import RetryCallState, Retrying

from shared.device.client import pulling, state
from shared.device.client.learner import training_seed
from shared.device.client.pauses import Pauses
from shared.device.client.state import ClientState
from shared.device.connection import MainServerAway, NoMainServer
from shared.device.remote import RemoteProblem
from shared.errors import ConfigurationError
from shared.federated.policies import AsynchronousSettings, RoundSettings
from shared.federated.task import Task
from shared.federated.weights import read_weights
from tests.device.client.fakes import CHUNK, Fate, Killed, away
from tests.device.client.memory_house import House
from tests.faults.kill_points import ALL

UPDATES = 4


def make_task(mode: str) -> Task:
    return Task(name="mnist", classes=("a", "b"), mode=mode)


@pytest.fixture(params=["sync", "async"])
def task(request: pytest.FixtureRequest) -> Task:
    return make_task(request.param)


def _weights(house: House) -> list[bytes]:
    return [read_weights(file)["w"].tobytes() for file in house.server.versions]


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> list[Fate]:
    """Writes are moments too, of the last of these."""
    fates = [Fate()]
    for module, name in ((state, "write_durably"), (pulling, "move_durably")):
        write = getattr(module, name)

        def guarded(*arguments: object, write: object = write) -> None:
            fates[-1].moment()
            write(*arguments)  # type: ignore[operator]
            fates[-1].moment()

        monkeypatch.setattr(module, name, guarded)
    return fates


def test_killed_at_any_moment_it_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, task: Task, mortal: list[Fate]
) -> None:
    def house(name: str) -> House:
        (tmp_path / name).mkdir()
        return House(tmp_path / name, task)

    undisturbed = house("undisturbed")
    undisturbed.run(lambda: len(undisturbed.server.accepted) >= UPDATES)
    expected = undisturbed.server.accepted[:UPDATES], _weights(undisturbed)[: UPDATES + 1]
    assert [header.sequence for header in undisturbed.server.headers()] == [1, 2, 3, 4]

    for moment in itertools.count(1, 1 if ALL else 5):
        disturbed = house(str(moment))
        fate = Fate(moment)
        mortal.append(fate)

        def is_enough(disturbed: House = disturbed) -> bool:
            return len(disturbed.server.accepted) >= UPDATES

        try:
            disturbed.run(is_enough, fate)
        except Killed:
            mortal.append(Fate())
            disturbed.run(is_enough)
        found = disturbed.server.accepted[:UPDATES], _weights(disturbed)[: UPDATES + 1]
        assert found == expected, f"killed at moment {moment}"
        if fate.moments < moment:
            break
    assert moment > 50
    kept = {path.name for path in (disturbed.state / "mnist").iterdir()}
    assert kept == {"state.json", f"version-{UPDATES - 1}-{UPDATES}.safetensors"} | {
        f"update-{UPDATES}.safetensors"
    }


def test_offline_it_trains_on_and_pushes_the_newest(tmp_path: Path) -> None:
    house = House(tmp_path, make_task("async"))
    server = house.server
    fails = 0

    def push_fails(call: str) -> None:
        nonlocal fails
        if call == "send" and len(server.accepted) == 1 and fails < 6:
            fails += 1
            raise away()

    server.fails = push_fails
    house.run(lambda: len(server.accepted) >= 3)
    first, second, third = server.headers()
    # Three times two tries: what was trained meanwhile is in the one that came through.
    assert (first.sequence, second.sequence, third.sequence) == (1, 5, 6)
    assert (first.num_samples, second.num_samples, third.num_samples) == (CHUNK, 3 * CHUNK, CHUNK)
    assert (second.base_version, third.base_version) == (1, 2)
    # While a push fails, nothing is pulled.
    begin = [at for at, call in enumerate(server.calls) if call == "send"][1]
    assert "download" not in server.calls[begin : begin + 7]


def test_a_pull_that_fails_stops_only_a_synchronous_task(tmp_path: Path, task: Task) -> None:
    house = House(tmp_path, task)
    server = house.server
    fails = 0

    def pull_fails(call: str) -> None:
        nonlocal fails
        if call == "download" and len(server.accepted) == 1 and fails < 2:
            fails += 1
            raise away()

    server.fails = pull_fails
    house.run(lambda: len(server.accepted) >= 3)
    assert fails == 2
    bases = [header.base_version for header in server.headers()]
    assert bases == ([0, 1, 2] if task.mode == "sync" else [0, 0, 2])


@pytest.mark.parametrize("rule", ["fedasync", "running_average", "fedbuff"])
def test_what_counts_already_is_not_added_again(tmp_path: Path, rule: str) -> None:
    """FedBuff adds changes: a change that goes on from an acknowledged one would hold that."""
    asynchronous = AsynchronousSettings(rule=rule)
    house = House(tmp_path, make_task("async").model_copy(update={"asynchronous": asynchronous}))
    server = house.server

    def pull_fails(call: str) -> None:
        if call == "download" and len(server.accepted) == 1:
            raise away()

    server.fails = pull_fails
    house.run(lambda: len(server.accepted) >= 2)
    first, second = server.headers()
    assert (first.base_version, second.base_version) == (0, 0)
    assert (first.num_samples, second.num_samples) == (CHUNK, CHUNK)
    version, learned, told = (
        safetensors.numpy.load(body)["w"]
        for body in (server.versions[0].read_bytes(), *server.accepted)
    )
    start = version if rule == "fedbuff" else learned
    chance = np.random.default_rng(training_seed(house.server.task, "alice", 2))
    expected = start / 2 + 3 + chance.random(2, np.float32)
    np.testing.assert_array_equal(told, expected)


def test_without_a_main_server_the_next_start_goes_on(tmp_path: Path) -> None:
    house = House(tmp_path, make_task("async"))
    server = house.server
    house.run(lambda: len(server.accepted) >= 1)

    begun = len(server.calls)

    def fail(_call: str) -> None:
        if len(server.calls) < begun + 8:
            raise away()

    server.fails = fail
    house.run(lambda: len(server.accepted) >= 2)
    first, second = server.headers()
    assert second.base_version == first.base_version == 0
    assert second.num_samples == CHUNK * min(3, (second.sequence or 0) - 1)


def test_a_stale_update_is_dropped(tmp_path: Path) -> None:
    house = House(tmp_path, make_task("sync"))
    server = house.server
    others = {"weights": np.zeros(2, np.float32)}

    def another_was_quicker(call: str) -> None:
        if call == "send" and len(server.versions) == 2:
            server._make({"w": others["weights"]})

    server.fails = another_was_quicker
    house.run(lambda: len(server.accepted) >= 2)
    assert [header.sequence for header in server.headers()] == [1, 3]
    assert [header.base_version for header in server.headers()] == [0, 2]


def test_who_was_not_asked_takes_part_when_it_is(tmp_path: Path) -> None:
    house = House(tmp_path, make_task("sync"))
    server = house.server

    def others_are_asked(call: str) -> None:
        server.asks = not 4 <= len(server.calls) < 12
        if call == "send" and not server.asks:
            raise RemoteProblem({"type": "not-asked", "status": 409, "detail": "Not asked."})

    server.fails = others_are_asked
    house.run(lambda: len(server.accepted) >= 1)
    (header,) = server.headers()
    assert header.base_version == 0
    assert (header.sequence or 0) > 1


def test_another_federation_is_begun_with(tmp_path: Path, task: Task) -> None:
    house = House(tmp_path, task)
    server = house.server
    house.run(lambda: len(server.accepted) >= 2)
    token = (house.state / "token").exists()
    server.federation, server.versions, server.accepted = "second", [], []
    house.run(lambda: len(server.accepted) >= 1)
    (header,) = server.headers()
    assert (header.sequence, header.base_version) == (1, 0)
    assert token == (house.state / "token").exists()


def test_what_a_person_has_to_put_right_ends_it(tmp_path: Path, task: Task) -> None:
    house = House(tmp_path, task)

    def revoked(call: str) -> None:
        if call == "send":
            problem = {"type": "token-revoked", "status": 403, "detail": "alice is locked out."}
            raise RemoteProblem(problem)

    house.server.fails = revoked
    with pytest.raises(RemoteProblem, match="locked out"):
        house.run(lambda: False)
    house.server.fails = lambda _call: None
    house.server.task = task.model_copy(update={"name": "other"})
    with pytest.raises(Exception, match=r"no task mnist\. Its tasks: other\."):
        house.run(lambda: False)


def test_one_process_has_a_state_directory(tmp_path: Path) -> None:
    first = ClientState(tmp_path, "mnist")
    assert (tmp_path / "token").exists() is False
    assert first.token() == first.token()
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigurationError, match="Another client works with"):
        ClientState(tmp_path, "mnist")
    first.close()
    (tmp_path / "mnist" / "state.json").write_text("{}x")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        ClientState(tmp_path, "mnist")


@pytest.mark.parametrize("late_updates", ["merge", "drop"])
def test_an_update_of_a_full_round_is_sent_again_where_late_ones_count(
    tmp_path: Path, late_updates: str
) -> None:
    rounds = RoundSettings(late_updates=late_updates)
    house = House(tmp_path, Task(name="mnist", classes=("a", "b"), rounds=rounds))
    server, bodies = house.server, []

    def send(_task: str, content: BinaryIO) -> dict[str, Any]:
        bodies.append(content.read())
        if len(bodies) == 1:
            server._make({"w": np.ones(2, np.float32)})  # of the others' updates
            members = {"type": "urn:fedbell:problem:round-full", "status": 409, "detail": "Full."}
            raise RemoteProblem(members)
        return {"round": 2}

    server.send = send  # type: ignore[method-assign]
    house.run(lambda: len(bodies) >= 2)
    assert (bodies[1] == bodies[0]) == (late_updates == "merge")


def test_an_address_of_something_else_is_told(tmp_path: Path) -> None:
    house = House(tmp_path, Task(name="mnist", classes=("a", "b")))

    def refuse(error: Exception) -> None:
        def fails(_call: str) -> None:
            raise error

        house.server.fails = fails
        with pytest.raises(ConfigurationError, match=r"--server http://127\.0\.0\.1:1: "):
            house.run(lambda: False)

    refuse(NoMainServer("It answered 404. Is the address right?"))
    refuse(MainServerAway("It cannot be reached ([SSL: CERTIFICATE_VERIFY_FAILED] self-signed)."))
    refuse(RemoteProblem({"type": "about:blank", "status": 404, "detail": "No such page."}))


def test_a_pause_is_as_long_as_the_main_server_asks_for() -> None:
    for asked, most, expected in ((30, 60, 30), (30, 7, 7)):
        pause = Pauses(most)
        state = RetryCallState(Retrying(), None, (), {})
        state.set_exception((RemoteProblem, RemoteProblem({"status": 503}, asked), None))
        assert pause(state) == expected
    state.set_exception((RemoteProblem, RemoteProblem({"status": 503}), None))
    pause.reset()
    assert pause(state) <= 1
