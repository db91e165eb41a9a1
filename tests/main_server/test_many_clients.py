"""Clients, up to 64, push and pull at once, on a real main server of two workers.

What was acknowledged counts exactly once, versions only grow, and the recorded order of updates
gives the same weights again, to the last bit. ``FEDBELL_LONG=1`` lets them work for two minutes.
"""

import json
import os
import time
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load
from sqlalchemy import create_engine, text

from main_server.store.opening import sqlite_url
from shared.federated.aggregation import (
    ASYNCHRONOUS_STRATEGIES,
    NUM_SAMPLES,
    Arrival,
    ServerState,
)
from shared.federated.policies import AsynchronousSettings
from shared.federated.update import Update
from shared.federated.weights import Array
from shared.web.engines import parse_url
from tests.server import Server, wait_until

from .many_clients import Client, Pushed, first_weights, let_work, served

LONG = os.environ.get("FEDBELL_LONG") == "1"
BUFFERED_CLIENTS = 8
#: Of each client, where it is not two minutes.
UPDATES = 4
SETTINGS = {
    "average": AsynchronousSettings(rule="running_average"),
    "buffered": AsynchronousSettings(rule="fedbuff", buffer_size=5),
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("number", "kills", "database"),
    [(64, 0, "sqlite"), (64, 0, "postgresql"), (64 if LONG else 16, 2, "sqlite")],
)
def test_many_clients_at_once(
    request: pytest.FixtureRequest, tmp_path: Path, number: int, kills: int, database: str
) -> None:
    url = request.getfixturevalue("empty_postgresql") if database == "postgresql" else ""
    with served(tmp_path, url) as server:
        clients = [Client(server, f"client{index}", "average") for index in range(number)]
        clients += [
            Client(server, f"buffering{index}", "buffered") for index in range(BUFFERED_CLIENTS)
        ]
        for client in clients:
            client.join()
        end = time.monotonic() + 120

        def goes_on(done: int) -> bool:
            return time.monotonic() < end if LONG else done < UPDATES

        def kill_it() -> None:
            expected = UPDATES * len(clients)
            for part in range(1, kills + 1):
                wait_until(partial(_have_sent, clients, part * expected / 4), 300)
                server.kill()
                server.start()

        let_work(clients, goes_on, kill_it)
        assert [wrong for client in clients for wrong in client.wrong] == []
        assert '" 500 ' not in server.log.read_text(errors="replace")
        for task, settings in SETTINGS.items():
            check(server, task, settings, [each for each in clients if each.task == task])


def _have_sent(clients: Sequence[Client], updates: float) -> bool:
    done = (each.round is not None for client in clients for each in [*client.pushed.values()])
    return sum(done) > updates


def check(
    server: Server, task: str, settings: AsynchronousSettings, clients: Sequence[Client]
) -> None:
    sent = {sha256: each for client in clients for sha256, each in client.pushed.items()}
    counted = {sha256: each for sha256, each in sent.items() if each.round is not None}
    rows = recorded(server, task)
    # Every acknowledged update, exactly once and in the round that was told; and no other.
    assert len(rows) == len(counted)
    assert {row["sha256"]: row["round"] for row in rows} == {
        sha256: each.round for sha256, each in counted.items()
    }
    newest = server.http.get(f"/models/latest?task={task}")
    assert int(newest.headers["Fedbell-Version"]) == max(row["version"] or 0 for row in rows)
    for client in clients:
        assert all(before < after for before, after in pairwise(client.seen))
    versions, kept = replayed(rows, sent, settings)
    assert kept[NUM_SAMPLES] == sum(
        row["num_samples"] for row in rows if row["version"] is not None
    )
    assert state_of(server, task, max(versions)) == kept
    for number in sorted(versions)[-10:]:
        made = load(server.http.get(f"/models/{number}?task={task}").content)
        assert {name: made[name].tobytes() for name in made} == {
            name: versions[number][name].tobytes() for name in made
        }, f"version {number}"


def recorded(server: Server, task: str) -> list[dict[str, Any]]:
    """The updates as they were counted, in order."""
    query = """
        SELECT rounds.number AS round, rounds.version, updates.number, updates.sha256,
               updates.device, updates.num_samples, updates.base_version, updates.weight
        FROM updates JOIN rounds ON rounds.id = updates.round_id
        WHERE rounds.task = :task ORDER BY rounds.number, updates.number
    """
    return read(server, query, task=task)


def state_of(server: Server, task: str, version: int) -> Any:
    query = "SELECT CAST(state AS TEXT) AS told FROM versions WHERE task = :task AND version = :n"
    (row,) = read(server, query, task=task, n=version)
    return json.loads(row["told"])


def read(server: Server, query: str, **values: Any) -> list[dict[str, Any]]:
    """Rows of its store, wherever that is."""
    engine = create_engine(
        parse_url(server.environment.get("DATABASE_URL") or sqlite_url(server.state))
    )
    try:
        with engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]
    finally:
        engine.dispose()


def replayed(
    rows: Sequence[dict[str, Any]], sent: dict[str, Pushed], settings: AsynchronousSettings
) -> tuple[dict[int, dict[str, Array]], dict[str, Any]]:
    """All versions, by applying the recorded updates again in the recorded order."""
    strategy = ASYNCHRONOUS_STRATEGIES[settings.rule]
    versions, number = {0: first_weights()}, 0
    kept: dict[str, Any] = {}
    rounds: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if row["version"] is not None:
            rounds.setdefault(row["version"], []).append(row)
    for version in sorted(rounds):
        assert version == number + 1
        arrivals = [
            Arrival(
                Update(
                    row["device"], row["num_samples"], sent[row["sha256"]].weights, row["weight"]
                ),
                versions[row["base_version"]],
            )
            for row in rounds[version]
        ]
        made = strategy.next(ServerState(versions[number], kept), arrivals, settings)
        number, kept = version, dict(made.kept)
        versions[number] = {name: made.weights[name] for name in made.weights}
    return versions, kept
