"""A store in which much has happened: for pages and lists that must stay quick.

Rows are written directly, as the main server would have written them over many rounds; there
are no files of weights.
"""

import hashlib
import itertools
import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy.orm import DeclarativeBase

from main_server.store.opening import open_store, sqlite_url
from main_server.store.tables import (
    Device,
    DeviceStep,
    DeviceTask,
    Evaluation,
    ReceivedUpdate,
    Round,
    Version,
)
from shared.federated.task import Task
from shared.web.events import Event
from shared.web.jobs import Job

_ROUND_SECONDS = 30.0
#: Devices were seen so far in the future, so that they are online for a test that takes a while.
_ONLINE_SECONDS = 3600.0
_CLASSES, _EPOCHS, _PICTURES, _TEST_PICTURES = 10, 3, 400, 100
_BYTES = 100_000
#: Devices of the same number by this train and measure alike.
_KINDS = 4

Row = dict[str, Any]


def fill(directory: Path, rounds: int = 1000, devices: int = 50, task: str = "digits") -> None:
    """Write a store of that many rounds and devices, all of them online for an hour.

    Args:
        directory: the main server's state directory, without a store.
        task: the name of a task of ten classes; tasks.toml has to know it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    open_store(sqlite_url(directory)).close()
    names = [f"device{number:02}" for number in range(1, devices + 1)]
    begun = time.time() - rounds * _ROUND_SECONDS
    tables: list[tuple[type[DeclarativeBase], Iterator[Row]]] = [
        (Device, _devices(names, begun)),
        (DeviceTask, _device_tasks(names, task, rounds)),
        (Version, _versions(task, rounds, begun)),
        (Round, _rounds(task, rounds, begun)),
        (ReceivedUpdate, _updates(names, rounds, begun)),
        (Evaluation, _evaluations(names, task, rounds)),
        (DeviceStep, _steps(names, task, rounds, begun)),
        (Event, _events(names, task, rounds, begun)),
        (Job, _jobs(task, rounds, begun)),
    ]
    connection = sqlite3.connect(directory / "main_server.db")
    with connection:
        for table, rows in tables:
            _insert(connection, table.__tablename__, rows)
    connection.close()


def _insert(connection: sqlite3.Connection, table: str, rows: Iterator[Row]) -> None:
    first = next(rows)
    places = ", ".join(f":{name}" for name in first)
    statement = f"INSERT INTO {table} ({', '.join(first)}) VALUES ({places})"  # noqa: S608
    connection.executemany(statement, itertools.chain([first], rows))


def accuracy(number: int, device: int = 0) -> float:
    """How well version ``number`` does on device number ``device``."""
    return 0.95 - 0.8 * math.exp(-number / 100) - 0.0005 * device


def _devices(names: list[str], begun: float) -> Iterator[Row]:
    for index, name in enumerate(names):
        yield {
            "name": name,
            "url": f"http://127.0.0.1:{9001 + index}",
            "address": "127.0.0.1",
            "page_url": f"http://127.0.0.1:{9001 + index}",
            "token_hash": hashlib.sha256(name.encode()).hexdigest(),
            "enrolled": begun,
            "last_seen": time.time() + _ONLINE_SECONDS,
        }


def _device_tasks(names: list[str], task: str, rounds: int) -> Iterator[Row]:
    for name in names:
        yield {"device": name, "task": task, "num_samples": _PICTURES, "version": rounds}


def _versions(task: str, rounds: int, begun: float) -> Iterator[Row]:
    classes = [str(each) for each in range(_CLASSES)]
    network = Task(name=task, classes=tuple(classes), seed=7).network()
    for number in range(rounds + 1):
        yield {
            "task": task,
            "version": number,
            "sha256": hashlib.sha256(str(number).encode()).hexdigest(),
            "fingerprint": "f" * 64,
            "backbone": "b" * 64,
            "network": json.dumps(network),
            "bytes": _BYTES,
            "created": begun + number * _ROUND_SECONDS,
            "released": True,
        }


def _rounds(task: str, rounds: int, begun: float) -> Iterator[Row]:
    for number in range(1, rounds + 1):
        started = begun + (number - 1) * _ROUND_SECONDS
        yield {
            "id": number,
            "task": task,
            "number": number,
            "status": "distributed",
            "strategy": "fedavg",
            "base_version": number - 1,
            "version": number,
            "started": started,
            "finished": started + 0.9 * _ROUND_SECONDS,
        }


def _updates(names: list[str], rounds: int, begun: float) -> Iterator[Row]:
    for number in range(1, rounds + 1):
        for index, name in enumerate(names):
            yield {
                "round_id": number,
                "device": name,
                "sha256": hashlib.sha256(f"{number}/{name}".encode()).hexdigest(),
                "num_samples": _PICTURES,
                "metrics": _json(_metrics, number, index % _KINDS, _EPOCHS),
                "bytes": _BYTES,
                "received": begun + (number - 0.5) * _ROUND_SECONDS,
            }


def _evaluations(names: list[str], task: str, rounds: int) -> Iterator[Row]:
    for version in range(rounds + 1):
        for index, name in enumerate(names):
            right = round(accuracy(version, index % _KINDS) * _TEST_PICTURES / _CLASSES)
            yield {
                "task": task,
                "version": version,
                "device": name,
                "accuracy": right * _CLASSES / _TEST_PICTURES,
                "loss": 1.2 - accuracy(version, index % _KINDS),
                "num_samples": _TEST_PICTURES,
                "confusion": _json(_cells, right),
            }


def _steps(names: list[str], task: str, rounds: int, begun: float) -> Iterator[Row]:
    sent = json.dumps({"num_samples": _PICTURES, "bytes": _BYTES})
    for number in range(1, rounds + 1):
        started = begun + (number - 1) * _ROUND_SECONDS
        same = {"task": task, "round": number, "job": f"job{number}", "attempts": 1}
        made = {"version": number, "strategy": "fedavg", "updates": len(names), "seconds": 0.1}
        installed = json.dumps({"version": number, "evaluation": None, "skipped": 0})
        for index, name in enumerate(names):
            results = {
                "modeltrain": _json(_training, number, index % _KINDS),
                "sendmodel": sent,
                "send_model_clients": installed,
            }
            for step, (name_of_step, result) in enumerate(results.items()):
                failed = (number + index) % 97 == 0 and step == 0
                yield same | {
                    "step": name_of_step,
                    "device": name,
                    "state": "failed" if failed else "done",
                    "started": started + step * 10,
                    "finished": started + step * 10 + 5,
                    "result": None if failed else result,
                    "problem": json.dumps(_problem(name)) if failed else None,
                }
        yield same | {
            "step": "aggregate_models",
            "device": "",
            "state": "done",
            "started": started + 19,
            "finished": started + 19.1,
            "result": json.dumps(made),
            "problem": None,
        }


@lru_cache(4096)
def _json(make: Callable[..., Any], *arguments: int) -> str:
    """What ``make`` makes, as JSON: many rows have the same."""
    return json.dumps(make(*arguments))


def _cells(right: int) -> list[list[int]]:
    """A confusion: of each class ``right`` pictures answered rightly, the others all alike."""
    wrong = _TEST_PICTURES // _CLASSES - right
    pairs = ((each, (each, (each + 1) % _CLASSES)) for each in range(_CLASSES))
    return [
        [each, answered, right if answered == each else wrong]
        for each, answers in pairs
        for answered in sorted(answers)
        if (right if answered == each else wrong)
    ]


def _training(number: int, device: int) -> Row:
    epochs = [_metrics(number, device, epoch) for epoch in range(1, _EPOCHS + 1)]
    return {
        "base_version": number - 1,
        "epochs": _EPOCHS,
        "num_samples": _PICTURES,
        "history": {name: [each[name] for each in epochs] for name in epochs[0]},
        "evaluation": None,
        "seconds": 5.0,
        "metrics": epochs[-1],
        "skipped": 0,
    }


def _metrics(number: int, device: int, epoch: int) -> dict[str, float]:
    reached = accuracy(number, device) * epoch / _EPOCHS
    return {
        "loss": round(1.2 - reached, 4),
        "accuracy": round(reached, 4),
        "val_loss": round(1.25 - reached, 4),
        "val_accuracy": round(0.98 * reached, 4),
    }


def _problem(device: str) -> Row:
    return {
        "type": "urn:fedbell:problem:device-away",
        "title": "The step failed",
        "detail": f"{device} cannot be reached. Start it; it then fetches the versions it missed.",
    }


def _events(names: list[str], task: str, rounds: int, begun: float) -> Iterator[Row]:
    for number in range(1, rounds + 1):
        moment = begun + (number - 0.5) * _ROUND_SECONDS
        told: list[tuple[str, str | None, str]] = [
            ("round_opened", None, f"round {number} from version {number - 1}")
        ]
        for name in names:
            told.append(("device_trained", name, f"{name} trained 3 epochs on 400 pictures"))
            told.append(("update_received", name, f"update of {name}, 400 samples"))
        told.append(("version_made", None, f"round {number}: version {number}"))
        for kind, device, message in told:
            yield {"time": moment, "kind": kind, "task": task, "device": device, "message": message}


def _jobs(task: str, rounds: int, begun: float) -> Iterator[Row]:
    for number in range(1, rounds + 1):
        started = begun + (number - 1) * _ROUND_SECONDS
        yield {
            "id": f"job{number}",
            "kind": "run_rounds",
            "task": task,
            "status": "done",
            "process": "0-gone",
            "started": started,
            "finished": started + 0.9 * _ROUND_SECONDS,
            "cancel_requested": False,
            "result": json.dumps({"rounds": [{"round": number, "version": number, "errors": {}}]}),
        }
