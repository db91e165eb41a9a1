"""Rounds of devices that come by themselves: nobody presses a button, and nobody is waited for."""

import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from main_server.selection import ranking
from tests.server import wait_until

from .conftest import ThinDevice, store_of
from .deadlines import open_server

pytestmark = pytest.mark.usefixtures("database_url")

NAMES = tuple(f"client{number}" for number in range(5))
#: Some seconds that no test lasts.
LONG = 1000.0


class Clients:
    """Devices without an address."""

    def __init__(self, client: FlaskClient, directory: Path) -> None:
        self.http, self.state = client, directory / "state"
        self.devices = {name: ThinDevice(client, name) for name in NAMES}

    def move_to(self, client: FlaskClient) -> None:
        """They go on with another process of the main server."""
        self.http = client
        for device in self.devices.values():
            device.client = client

    def start(self) -> None:
        """All are there, and the first one offers version 0."""
        self.all_beat()
        assert self.devices[NAMES[0]].offer().status_code == 201

    def all_beat(self, *names: str) -> None:
        for name in names or NAMES:
            self.beat(name)

    def beat(self, name: str, **told: Any) -> dict[str, Any]:
        tasks = {"digits": {"num_samples": 10} | told}
        answer = self.devices[name].status(url=None, tasks=tasks).json
        found: dict[str, Any] = answer["tasks"]["digits"]["round"]
        return found

    def lose(self, *names: str) -> None:
        """They have not been heard for long."""
        for name in names:
            self.sql("UPDATE devices SET last_seen = 0 WHERE name = :name", name=name)

    def past_the_deadline(self, seconds: float = 1.0) -> None:
        """Let ``seconds`` have passed since the deadline of the open round."""
        (row,) = self.sql("SELECT deadline FROM rounds WHERE status = 'open'")
        back = row.deadline - time.time() + seconds
        self.sql(
            "UPDATE rounds SET started = started - :back, deadline = deadline - :back "
            "WHERE status = 'open'",
            back=back,
        )

    def sql(self, statement: str, **values: Any) -> list[Any]:
        with store_of(self.state) as connection:
            found = connection.execute(text(statement), values)
            return [*found] if found.returns_rows else []

    def row(self, number: int = 1) -> dict[str, Any]:
        told: Any = self.http.get(f"/rounds/{number}").json
        return dict(told)

    def asked(self, *names: str) -> list[str]:
        return [name for name in names or NAMES if self.beat(name)["asked"]]


def test_a_round_opens_when_its_devices_are_told_that_they_are_asked(tmp_path: Path) -> None:
    clients = Clients(open_server(tmp_path, "number = 2\ndeadline_seconds = 1000"), tmp_path)
    clients.start()
    begun = time.time()
    told = {name: clients.beat(name) for name in NAMES}
    row = clients.row()
    assert row["status"] == "open"
    assert begun + LONG <= row["deadline"] <= time.time() + LONG
    assert {each["deadline"] for each in told.values()} == {row["deadline"]}
    assert row["selected"] == sorted(ranking(NAMES, 7, 1)[:2])
    assert [name for name in NAMES if told[name]["asked"]] == row["selected"]


def test_a_heartbeat_of_a_device_that_can_be_called_opens_nothing(tmp_path: Path) -> None:
    client = open_server(tmp_path, "deadline_seconds = 1000")
    device = ThinDevice(client, "device1")
    device.status()
    device.offer()
    device.status()
    assert client.get("/rounds").json["rounds"] == []


def test_the_first_round_waits_for_those_that_are_just_starting(tmp_path: Path) -> None:
    """As many as it is to ask; but three heartbeats at the most."""
    clients = Clients(open_server(tmp_path, "number = 2\nover_selection = 1"), tmp_path)
    first, second, third, *_ = NAMES
    clients.beat(first)
    clients.devices[first].offer()
    clients.all_beat(first, second)
    assert clients.http.get("/rounds").json["rounds"] == []
    clients.sql("UPDATE versions SET created = 0")
    again = Clients(open_server(tmp_path, "number = 2\nover_selection = 1"), tmp_path)
    again.beat(second)
    assert again.row()["selected"] == [first, second]
    assert again.beat(third)["asked"] is False


def test_others_stand_in_for_lost_ones_whichever_process_hears_them(tmp_path: Path) -> None:
    rounds = "number = 2\ndeadline_seconds = 1000"
    clients = Clients(open_server(tmp_path, rounds), tmp_path)
    clients.start()
    clients.all_beat()
    chosen = clients.row()["selected"]
    lost, there = chosen
    others = [name for name in NAMES if name not in chosen]
    (stand_in,) = ranking(others, 7, 1)[:1]
    early = clients.devices[stand_in].send()
    assert (early.status_code, early.json["type"]) == (409, "urn:fedbell:problem:not-asked")
    clients.lose(lost)
    other = open_server(tmp_path, rounds)
    clients.move_to(other)
    assert clients.asked(*others) == [stand_in]
    assert clients.row()["selected"] == sorted([*chosen, stand_in])
    # Whoever starts next finds it in the store: nobody else is asked.
    clients.move_to(open_server(tmp_path, rounds))
    assert clients.asked(*others) == [stand_in]
    for name in (stand_in, there):
        assert clients.devices[name].send().status_code == 200
    full = clients.devices[lost].send()
    assert full.json["type"] == "urn:fedbell:problem:round-full"
    assert "asks " + stand_in in clients.http.get("/events.txt").text


def test_an_update_of_a_stand_in_counts_before_its_next_heartbeat(tmp_path: Path) -> None:
    clients = Clients(open_server(tmp_path, "number = 1\ndeadline_seconds = 1000"), tmp_path)
    clients.start()
    clients.all_beat()
    (chosen,) = clients.row()["selected"]
    clients.lose(chosen)
    others = [name for name in NAMES if name != chosen]
    first, second, *_ = ranking(others, 7, 1)
    assert clients.devices[second].send().json["type"] == "urn:fedbell:problem:not-asked"
    assert clients.devices[first].send().status_code == 200
    assert clients.row()["selected"] == sorted([chosen, first])


def test_past_the_deadline_others_are_asked_until_enough_have_sent(tmp_path: Path) -> None:
    """Those that were chosen are there, and push nothing."""
    rounds = "number = 1\ndeadline_seconds = 1000\nrest_after = 1"
    clients = Clients(open_server(tmp_path, rounds), tmp_path)
    clients.start()
    clients.all_beat()
    asked = clients.row()["selected"]
    for _ in range(2):
        others = [name for name in NAMES if name not in asked]
        expected = ranking(others, 7, 1)[0]
        clients.past_the_deadline()
        clients.move_to(open_server(tmp_path, rounds))
        assert clients.asked(*others) == [expected]
        asked = sorted([*asked, expected])
        assert clients.row()["selected"] == asked
        clients.move_to(open_server(tmp_path, rounds))
        assert clients.asked() == asked, "it has as long as the round was to last"
        clients.sql("UPDATE rounds SET stand_ins = NULL")  # that time is over
    clients.past_the_deadline()
    assert clients.devices[expected].send().status_code == 200
    made = wait_until(lambda: clients.row() if clients.row()["version"] else None)
    assert made["updates"].keys() == {expected}


def test_who_stood_in_and_is_there_has_not_failed(tmp_path: Path) -> None:
    rounds = "number = 1\ndeadline_seconds = 1000"
    clients = Clients(open_server(tmp_path, rounds), tmp_path)
    clients.start()
    clients.all_beat()
    (chosen,) = clients.row()["selected"]
    clients.lose(chosen)
    clients.move_to(open_server(tmp_path, rounds))
    (stand_in,) = clients.asked(*(name for name in NAMES if name != chosen))
    assert clients.devices[chosen].send().status_code == 200, "it is back, and quicker"
    assert clients.http.post("/aggregate_models").status_code == 200
    failures = {
        each["name"]: each["tasks"]["digits"]["failures"]
        for each in clients.http.get("/devices").json["devices"]
    }
    assert failures[stand_in] == 0
