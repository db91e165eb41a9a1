"""Which versions keep their file, and what is said of those that do not."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from main_server.store.pruning import LOOK_EVERY, superfluous
from shared.federated.policies import KeepSettings
from shared.federated.task import Task

from .asynchronous import enrolled, kernel, make_app, newest, push
from .conftest import ThinDevice, store_of

__all__ = ["make_app"]

PAGE = {"Accept": "text/html"}


def test_by_hand() -> None:
    keep = KeepSettings(checkpoint_every=2, last=2, every=6)
    gone = superfluous(range(16), keep, best=4, needed=[9])
    # Kept: 0, the newest (15), two newest checkpoints (12, 14), the best (4), 6 and 12, and 9.
    assert gone == [1, 2, 3, 5, 7, 8, 10, 11, 13]
    assert superfluous(range(16), KeepSettings(), best=None, needed=()) == []
    assert superfluous([], keep, best=None, needed=()) == []


def test_without_the_best() -> None:
    keep = KeepSettings(last=1, best=False)
    assert superfluous(range(4), keep, best=1, needed=()) == [1, 2]


@given(
    st.sets(st.integers(0, 300), min_size=1),
    st.integers(1, 5),
    st.none() | st.integers(1, 20),
    st.none() | st.integers(1, 4),
    st.sets(st.integers(0, 300)),
)
def test_what_must_stay_stays(
    present: set[int], spacing: int, last: int | None, times: int | None, needed: set[int]
) -> None:
    every = None if times is None else times * spacing
    keep = KeepSettings(checkpoint_every=spacing, last=last, every=every)
    gone = set(superfluous(present, keep, best=None, needed=needed))
    assert gone <= present
    assert not gone & (needed | {0, max(present)})
    # What went goes on to be superfluous, and what stayed stays.
    assert not superfluous(present - gone, keep, best=None, needed=needed)


def test_defaults() -> None:
    told = Task(name="a", classes=("x", "y"))
    assert told.keep == KeepSettings()
    many = Task(name="a", classes=("x", "y"), mode="async", keep={"checkpoint_every": 5})
    assert (many.keep.last, many.keep.every) == (20, 500)
    said = Task(name="a", classes=("x", "y"), mode="async", keep={"last": 7, "every": 9})
    assert (said.keep.last, said.keep.every) == (7, 9)
    assert Task.model_validate(many.model_dump(mode="json")) == many


def test_an_asynchronous_task_aggregates_nothing_by_itself() -> None:
    with pytest.raises(ValueError, match="makes its versions by itself; leave it out"):
        Task(name="a", classes=("x", "y"), mode="async", auto_aggregate=True)


@pytest.fixture
def device(client: FlaskClient) -> ThinDevice:
    """Of an asynchronous task, after a look for what can go."""
    device = enrolled(client, "fedasync")
    for number in range(2 * LOOK_EVERY + 2):
        push(device, float(number), base=number)
        # The best is the one with which devices answer best: with their own layers.
        own = {"personal_accuracy": 0.9, "personal_loss": 0.1}
        if told := {5: {"accuracy": 0.2} | own, 11: {"accuracy": 0.6}}.get(number):
            told |= {"version": number + 1, "loss": 0.1, "num_samples": 4}
            tasks = {"fedasync": {"num_samples": 10, "version": number + 1, "evaluation": told}}
            assert device.status(tasks=tasks).status_code == 200
    return device


def files(state: Path, task: str = "fedasync") -> set[int]:
    return {int(file.name.partition("-")[0]) for file in (state / "models" / task).iterdir()}


def test_old_versions_go(device: ThinDevice, state: Path) -> None:
    # Of 32 when it was looked: the first, the best, the three that updates may start from, 32;
    # what came later has not been looked at.
    assert files(state) == {0, 6, 29, 30, 31, 32, 33, 34}
    kernel(device, 0)
    kernel(device, 29)
    told = {row["version"] for row in device.client.get("/models?task=fedasync").json["versions"]}
    assert told == set(range(35))  # all keep their row
    assert len(device.client.get("/rounds?task=fedasync").json["rounds"]) == 34


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/models/7?task=fedasync"),
        ("GET", "/models/7/statistics?task=fedasync"),
        ("GET", "/models/34/change?task=fedasync&since=7"),
        ("POST", "/models/7/promote?task=fedasync"),
    ],
)
def test_what_is_gone_is_told(device: ThinDevice, method: str, path: str) -> None:
    answer = device.client.open(path, method=method)
    assert answer.status_code == 410
    assert answer.json["type"] == "urn:fedbell:problem:version-pruned"
    assert "The weights of version 7 of fedasync are not kept any more" in answer.json["detail"]
    assert newest(device) == 34


@pytest.mark.one_database
def test_pages_go_on(device: ThinDevice) -> None:
    client = device.client
    page = client.get("/weights?task=fedasync&version=7", headers=PAGE)
    assert page.status_code == 410
    assert "are not kept any more" in page.text
    for path in ("/", "/weights", "/compare", "/compare?left=7&right=8"):
        mark = "&" if "?" in path else "?"
        assert client.get(f"{path}{mark}task=fedasync", headers=PAGE).status_code == 200, path


@pytest.mark.one_database
def test_who_reads_it_reads_it_to_its_end(device: ThinDevice) -> None:
    """A version that is pruned while it is sent."""
    client = device.client
    answer = client.get("/models/34?task=fedasync")  # not read yet
    for number in range(34, 34 + LOOK_EVERY):
        push(device, 0.0, base=number)
    assert client.get("/models/34?task=fedasync").status_code == 410
    assert len(answer.data) == int(answer.headers["Content-Length"])
    answer.close()


@pytest.mark.one_database
def test_a_file_that_goes_between_looking_and_opening(device: ThinDevice, state: Path) -> None:
    for file in (state / "models" / "fedasync").glob("33-*"):
        file.unlink()
    for path in ("/models/33", "/models/33/statistics"):
        answer = device.client.get(f"{path}?task=fedasync")
        assert (answer.status_code, answer.json["title"]) == (410, "The version's weights are gone")


def test_a_look_that_a_kill_came_before_is_taken_at_the_next_start(
    client: FlaskClient,
    state: Path,
    make_app: Callable[..., APIFlask],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = enrolled(client, "fedasync")
    with monkeypatch.context() as killed:
        killed.setattr("main_server.store.pruning.Pruning.prune", lambda *_: [])
        for number in range(LOOK_EVERY):
            push(device, float(number), base=number)
    assert files(state) == set(range(LOOK_EVERY + 1))
    make_app()
    assert files(state) == {0, *range(LOOK_EVERY - 3, LOOK_EVERY + 1)}
    push(device, 0.0, base=LOOK_EVERY)
    make_app()  # no look is due
    assert files(state) == {0, *range(LOOK_EVERY - 3, LOOK_EVERY + 2)}


@pytest.mark.usefixtures("device")
def test_what_a_kill_left_goes_at_the_next_start(
    state: Path, make_app: Callable[..., APIFlask]
) -> None:
    folder = state / "models" / "fedasync"
    query = text("SELECT sha256 FROM versions WHERE task = 'fedasync' AND version = 7")
    with store_of(state) as connection:
        sha256 = connection.execute(query).scalar_one()
    left = folder / f"7-{sha256[:16]}.safetensors"
    left.write_bytes(b"pruned, and not deleted")
    made = folder / "35-0123456789abcdef.safetensors"
    made.write_bytes(b"of another process, which is about to say so")
    make_app()
    assert files(state) == {0, 6, 29, 30, 31, 32, 33, 34, 35}
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(made, (long_ago, long_ago))
    make_app()
    assert 35 not in files(state)


def test_a_synchronous_task_keeps_what_it_is_told(client: FlaskClient, state: Path) -> None:
    device = enrolled(client, "sync")
    for number in range(5):
        push(device, float(number), base=number)
        assert client.post("/aggregate_models?task=sync").status_code == 200
    assert files(state, "sync") == {0, 4, 5}
    assert client.post("/models/4/promote?task=sync").json["version"] == 6
