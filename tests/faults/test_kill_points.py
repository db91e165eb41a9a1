"""kill -9 before and after each write of each step of a round.

One federation goes on from kill to kill, a round each, beside one that nobody kills:
their versions are equal, byte for byte. The one that is killed keeps its rows in SQLite or
PostgreSQL, or has two main servers behind one address; the other one's are always in SQLite.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.checks import Ledger, Undisturbed, check_device, check_main_server
from tests.faults.kill_points import ALL, Trap, walk
from tests.faults.main_servers import POSTGRESQL, SQLITE, STORES, TWO, MainServers, Store
from tests.federation import Federation
from tests.server import Server, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

STEPS = ("modeltrain", "sendmodel", "aggregate_models", "send_model_clients")

#: Heartbeats come when they like, and so does progress: they are no writes of a step.
ON_MAIN, ON_DEVICE = ("clientstatus",), ("_beat", "report")


@pytest.fixture(scope="module")
def undisturbed(
    ready: Federation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Undisturbed]:
    federation = Federation(tmp_path_factory.mktemp("undisturbed"), ready.tasks)
    try:
        ready.copy_to(federation)
        federation.start()
        yield Undisturbed(federation)
    finally:
        federation.close()


class Killed(Federation):
    """A federation with a trap in its main server, or its two, and one in its first device."""

    def __init__(self, directory: Path, store: Store, tasks: str) -> None:
        super().__init__(directory, tasks)
        self.main_servers = MainServers(self.main, store)
        for device in self.devices.values():
            # A call that a server took with it is made again soon.
            more = {"MAIN_SERVER_URL": self.main_servers.url, "ANSWER_SECONDS": "3"}
            device.environment |= more if store.name == TWO else {}
        self.first = self.devices["device1"]
        main, device1 = (directory / f"trap-{server.name}" for server in (self.main, self.first))
        self.traps = {
            "main_server": Trap(self.main_servers.servers, main),
            "device1": Trap(self.first, device1),
        }

    def start(self) -> None:
        self.main_servers.start()
        super().start()

    def close(self) -> None:
        self.main_servers.close()
        super().close()

    def post(self, path: str, body: Any = None) -> httpx.Response:
        """A call to the address of the main servers."""
        return self.main_servers.http.post(path, json=body)

    def go_on(self, before: Ledger) -> None:
        """After a kill of a main server, start it; or if there are two, ask the other one only.

        All that was acknowledged is there, and no job runs any more.
        """
        if not any(server.runs for server in self.main_servers.servers):
            self.main_servers.start()
        self.main = next(server for server in self.main_servers.servers if server.runs)
        for device in self.devices.values():  # what the killed server had asked for ends first
            wait_until(partial(is_idle, device))
        check_after(self.main, self, before)


def is_idle(device: Server) -> bool:
    return not device.get("/status")["tasks"]["shades"]["job"]


@pytest.fixture(scope="module")
def federation(
    ready: Federation, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Killed]:
    federation = Killed(tmp_path_factory.mktemp("killed"), store, ready.tasks)
    try:
        ready.copy_to(federation)
        federation.main_servers.begin_from(ready.main.state)
        federation.start()
        yield federation
    finally:
        federation.close()


def check_after(server: Server, federation: Federation, before: Ledger) -> None:
    """Whether all that was acknowledged before a kill is there, and no job runs any more."""
    before.check_kept(Ledger(federation))
    for job in server.get("/jobs")["jobs"]:
        # A device that is back may be fetching what it missed.
        assert job["status"] != "running" or job["kind"] == "aggmodel", job
        if job["status"] == "failed" and job["problem"]["type"].endswith("job-lost"):
            assert f"Run {job['kind']} again" in job["problem"]["detail"]


@pytest.mark.parametrize("store", [SQLITE], indirect=True)
@pytest.mark.parametrize(
    ("step", "chosen"),
    [
        ("modeltrain", 2),
        ("sendmodel", 3),
        ("aggregate_models", 4),
        ("send_model_clients", 3),
    ],
)
def test_main_server_killed_in_a_step(
    federation: Killed, undisturbed: Undisturbed, store: Store, step: str, chosen: int
) -> None:
    kill_main_server(federation, undisturbed, f"{store.name} {step}", step, chosen)


@pytest.mark.parametrize("store", [POSTGRESQL, TWO], indirect=True)
@pytest.mark.parametrize("step", STEPS if ALL else ("sendmodel", "aggregate_models"))
def test_main_server_killed_in_a_step_with_postgresql(
    federation: Killed, undisturbed: Undisturbed, store: Store, step: str
) -> None:
    kill_main_server(federation, undisturbed, f"{store.name} {step}", step, 1)


def kill_main_server(
    federation: Killed, undisturbed: Undisturbed, name: str, step: str, chosen: int
) -> None:
    """Walk over a step of a round, and each time finish the round."""
    for point in walk(name, chosen):
        try:
            for each in STEPS:
                if each == step:
                    before = Ledger(federation)
                    call = partial(federation.post, f"/{step}")
                    federation.traps["main_server"].spring(point, call, ON_MAIN)
                    if point.reached:
                        federation.go_on(before)
                answer = federation.post(f"/{each}")
                if each == "aggregate_models" and step == each:
                    # Done before the kill, or just now: then there is nothing to aggregate.
                    assert answer.status_code in {200, 409}, answer.text
                else:
                    check_done(answer)
                federation.main_servers.start()
            check_round(federation, undisturbed)
        except BaseException as error:
            error.add_note(point.story())
            raise


@pytest.mark.parametrize("store", [SQLITE], indirect=True)
@pytest.mark.parametrize("step", ["modeltrain", "sendmodel", "send_model_clients"])
def test_device_killed_in_a_step(federation: Killed, undisturbed: Undisturbed, step: str) -> None:
    kill_device(federation, undisturbed, f"device1 {step}", step, 2)


def kill_device(
    federation: Killed, undisturbed: Undisturbed, name: str, step: str, chosen: int
) -> None:
    """Walk over a step of a round on a device, and each time finish the round."""
    for point in walk(name, chosen):
        try:
            for each in STEPS:
                if each == step:
                    before = Ledger(federation)
                    call = partial(federation.post, f"/{step}")
                    answer = federation.traps["device1"].spring(point, call, ON_DEVICE)
                    if point.reached:
                        assert answer is not None
                        told = answer.json()["devices"]
                        assert "device1 cannot be reached" in told["device1"]["error"]["detail"]
                        assert "error" not in told["device2"]
                        federation.first.start()
                        check_after(federation.first, federation, before)
                check_done(federation.post(f"/{each}"))
            check_round(federation, undisturbed)
        except BaseException as error:
            error.add_note(point.story())
            raise


def check_done(answer: httpx.Response) -> None:
    """Whether a step went well on every device."""
    assert answer.is_success, answer.text
    for told in answer.json().get("devices", {}).values():
        assert "error" not in told


def check_round(federation: Killed, undisturbed: Undisturbed) -> None:
    """Whether the newest round came to its end, and all is as if nobody had been killed."""
    check_main_server(federation, undisturbed)
    check_device(federation.first, federation)
    newest = federation.rounds()[-1]
    assert (newest["status"], newest["version"]) == ("distributed", newest["number"])
    assert newest["evaluation"]["num_samples"] == 6 + 8


@pytest.mark.parametrize("store", STORES if ALL else [SQLITE], indirect=True)
def test_killed_in_run_rounds(federation: Killed, undisturbed: Undisturbed, store: Store) -> None:
    for point in walk(f"{store.name} run_rounds", 3):
        before = Ledger(federation)
        call = partial(federation.post, "/run_rounds", {"rounds": 1})
        federation.traps["main_server"].spring(point, call, ON_MAIN)
        try:
            if point.reached:
                federation.go_on(before)
            answer = federation.post("/run_rounds", {"rounds": 1})
            assert answer.is_success, answer.text
            (told,) = answer.json()["rounds"]
            assert (told["updates"], told["errors"]) == (2, {})
            federation.main_servers.start()
            check_main_server(federation, undisturbed)
            assert federation.rounds()[-1]["status"] == "distributed"
        except BaseException as error:
            error.add_note(point.story())
            raise
