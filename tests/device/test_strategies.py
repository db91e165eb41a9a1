"""What strategies ask of devices, with real servers: each task of this federation has another one.

The tests of this module follow one another.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from shared.federated.aggregation import STRATEGIES as STRATEGY_CLASSES
from shared.federated.aggregation.fedbn import FedBN
from shared.federated.weights import open_weights, read_weights
from tests.federation import Federation, write_pictures
from tests.server import wait_until

ROUNDS = 3
#: The strategies of the tasks: with what they train, and their parameters.
STRATEGIES = {
    "fedprox": "mu = 0.1",
    "fednova": "",
    "scaffold": "",
    "feddyn": "alpha = 0.1",
    "q_ffl": "q = 0.5",
    "fedavgm": "momentum = 0.5",
    "fedadam": "server_learning_rate = 0.005",
    "median": "",
    "multi_krum": "",
    "fedper": 'layers = ["classes/*"]',
    "fedbn": "",
}
#: How their updates are packed; the others are not.
COMPRESSION = {
    "fedprox": 'method = "float16"',
    "scaffold": 'method = "int8"',
    "fedavgm": 'method = "top_k", fraction = 0.1',
}
#: What their networks are, of those that need another one.
NETWORKS = {"fedbn": 'trainable = "block"'}
TASK = """
[tasks.{name}]
classes = ["dark", "light"]
{network}
image_size = 32
strategy = "{name}"
strategy_parameters = {{ {parameters} }}
compression = {{ {compression} }}
training = {{ epochs = 2, batch_size = 4, learning_rate = 0.005, optimizer = "sgd" }}
"""


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    tasks = [
        TASK.format(
            name=name,
            parameters=each,
            compression=COMPRESSION.get(name, ""),
            network=NETWORKS.get(name, 'architecture = "catdog_cnn"'),
        )
        for name, each in STRATEGIES.items()
    ]
    federation = Federation(tmp_path_factory.mktemp("strategies"), "\n".join(tasks))
    for task in STRATEGIES:
        for seed, device in enumerate(federation.devices):
            each = {"train": 4 + 2 * seed, "valid": 1, "test": 4}
            write_pictures(federation.dataset(device, task), each, seed)
    for server in federation.servers:
        server.start(wait=False)
    for server in federation.servers:
        wait_until(server.is_ready)
    yield federation
    federation.close()


def run(federation: Federation, task: str, rounds: int) -> Any:
    answer = federation.main.http.post(f"/run_rounds?task={task}", json={"rounds": rounds})
    assert answer.status_code == 200, answer.text
    return answer.json()["rounds"]


def version_file(federation: Federation, task: str, version: int, kind: str = "") -> Path:
    folder = federation.main.state / "models" / task
    found = [
        file
        for file in folder.glob(f"{version}-*{kind}.safetensors")
        if (".slots." in file.name) == bool(kind)
    ]
    (file,) = found
    return file


def kept(federation: Federation, device: str, task: str) -> dict[str, Any]:
    """The slots that a device has kept of its last training."""
    files = (federation.devices[device].state / "updates").glob(f"{task}-*")
    every = [safetensors.numpy.load_file(file) for file in sorted(files, key=_changed)]
    return [each for each in every if all(":" in name for name in each)][-1]


def _changed(file: Path) -> int:
    return file.stat().st_mtime_ns


@pytest.mark.parametrize("task", STRATEGIES)
def test_rounds_of_each_make_versions_that_move(federation: Federation, task: str) -> None:
    rounds = run(federation, task, ROUNDS)
    assert [row["version"] for row in rounds] == [1, 2, 3]
    told = federation.rounds(task)
    assert {row["strategy"] for row in told} == {task}
    assert all(row["evaluation"]["num_samples"] == 16 for row in told)
    versions = [
        read_weights(version_file(federation, task, number)) for number in range(ROUNDS + 1)
    ]
    for before, after in pairwise(versions):
        assert before.keys() == after.keys()
        moved = [name for name in before if not np.array_equal(before[name], after[name])]
        stays = [name for name in before if STRATEGY_CLASSES[task]().stays(name)]
        if task != "fedavgm":  # of its arrays a tenth is sent
            assert set(moved) == set(before) - set(stays)
        assert moved
        assert all(np.isfinite(array).all() for array in after.values())


def test_scaffold_sends_its_control_variate_with_each_version(federation: Federation) -> None:
    version = version_file(federation, "scaffold", 3)
    with open_weights(version) as opened:
        assert opened.metadata["strategy"] == "scaffold"
        assert opened.metadata["began"] == "0"
        assert len(opened.metadata["sent"]) == 64
    slots = safetensors.numpy.load_file(version_file(federation, "scaffold", 3, ".slots"))
    answer = federation.main.http.get("/models/3/sent?task=scaffold")
    assert answer.status_code == 200
    sent = safetensors.numpy.load(answer.content)
    assert all(np.array_equal(sent[name], slots[name]) for name in slots)
    # c is the mean of all c_i, to the last digit: they follow from what was told, which is packed.
    newest = [kept(federation, device, "scaffold") for device in federation.devices]
    for name, array in slots.items():
        mean = (newest[0][name] + newest[1][name]) / 2
        np.testing.assert_allclose(array, mean, atol=np.abs(mean).max() * 1e-5)
    assert federation.main.http.get("/models/3/sent?task=fedprox").status_code == 404
    assert federation.main.http.get("/models/0/sent?task=scaffold").status_code == 404


def test_packed_updates_take_fewer_bytes(federation: Federation) -> None:
    whole = federation.rounds("feddyn")[-1]["bytes_received"]
    shares = {"fedprox": 0.55, "scaffold": 2 * 0.3, "fedavgm": 0.25}
    for task, share in shares.items():
        assert federation.rounds(task)[-1]["bytes_received"] < share * whole


def test_what_stays_on_a_device_is_in_no_update_and_is_measured(federation: Federation) -> None:
    first, newest = (read_weights(version_file(federation, "fedper", each)) for each in (0, 3))
    assert np.array_equal(first["classes/kernel"], newest["classes/kernel"])
    heads = []
    for device, server in federation.devices.items():
        personal = kept(federation, device, "fedper")
        heads.append(personal["personal:classes/kernel"])
        evaluation = server.get("/status")["tasks"]["fedper"]["evaluation"]
        assert 0 <= evaluation["personal_accuracy"] <= 1
        assert evaluation["personal_loss"] < evaluation["loss"]
    assert not np.array_equal(heads[0], heads[1])
    told = federation.rounds("fedper")[-1]["evaluation"]
    assert 0 <= told["personal_accuracy"] <= 1
    others = federation.rounds("fedprox")[-1]["evaluation"]
    assert "personal_accuracy" not in others
    page = federation.main.http.get("/?task=fedper").text
    assert "Personal accuracy" in page
    own = federation.devices["device1"].http.get("/?task=fedper").text
    assert "with its own layers" in own


def test_each_device_has_its_own_normalisation(federation: Federation) -> None:
    """Real networks with batch normalisation: its four arrays stay, and differ."""
    first, newest = (read_weights(version_file(federation, "fedbn", each)) for each in (0, 3))
    stays = [name for name in first if FedBN().stays(name)]
    assert {name.rpartition("/")[2] for name in stays} == {
        *("gamma", "beta", "moving_mean", "moving_variance")
    }
    own = [kept(federation, device, "fedbn") for device in federation.devices]
    for name in stays:
        assert np.array_equal(first[name], newest[name])
        assert not np.array_equal(own[0][f"personal:{name}"], first[name]), name
        assert not np.array_equal(own[0][f"personal:{name}"], own[1][f"personal:{name}"])
    for server in federation.devices.values():
        evaluation = server.get("/status")["tasks"]["fedbn"]["evaluation"]
        assert evaluation["personal_loss"] != evaluation["loss"]


def test_all_of_it_is_there_after_a_restart(federation: Federation) -> None:
    for server in federation.servers:
        server.kill()
    for server in federation.servers:
        server.start(wait=False)
    for server in federation.servers:
        wait_until(server.is_ready)
    for task in ("scaffold", "fedadam", "feddyn", "fedper"):
        before = version_file(
            federation, task, 3, "" if task == "fedper" else ".slots"
        ).read_bytes()
        (row,) = run(federation, task, 1)
        assert row["version"] == 4
        if task != "fedper":
            assert version_file(federation, task, 4, ".slots").read_bytes() != before
        with open_weights(version_file(federation, task, 4)) as opened:
            assert opened.metadata["began"] == "0"


def test_an_update_whose_answer_was_lost_counts_in_what_its_device_keeps(
    federation: Federation,
) -> None:
    """Its c_i went into c: the next training has to begin with it, not with the one before."""
    device = federation.devices["device1"]
    query = "SELECT kept, keeps, answer FROM pending_updates WHERE task = 'scaffold'"
    change = "UPDATE pending_updates SET answer = NULL, on_its_way = {} WHERE task = 'scaffold'"
    with closing(sqlite3.connect(device.state / "device.db")) as database:
        _, keeps, answer = database.execute(query).fetchone()
        assert answer is not None
        with database:  # as a device is that was killed before the answer came
            database.execute(change.format("TRUE"))
        run(federation, "scaffold", 1)
        kept, *_ = database.execute(query).fetchone()
        assert kept == keeps
        # One that never left this device, or was refused, counts nowhere, and is not sent now.
        with database:
            database.execute(change.format("FALSE"))
        run(federation, "scaffold", 1)
        assert database.execute(query).fetchone()[0] == kept
