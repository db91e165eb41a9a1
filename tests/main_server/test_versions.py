"""Versions: statistics of their weights, and going back to one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from safetensors import safe_open
from safetensors.numpy import load
from sqlalchemy import select

from main_server.rounds import ABANDONED, AGGREGATED, DISTRIBUTED
from shared.federated.weights import Array
from shared.web.events import Event
from shared.web.locks import exclusive

from .conftest import BACKBONE, ThinDevice, initial_weights, snapshot

FORM = {"Accept": "text/html"}


def filled(number: float) -> dict[str, Array]:
    return {name: np.full_like(array, number) for name, array in initial_weights().items()}


def weights(client: FlaskClient, version: int | str) -> dict[str, Any]:
    return load(client.get(f"/models/{version}", buffered=True).data)


def close_round(device: ThinDevice, number: float, base_version: int) -> None:
    """A round whose version has ``number`` everywhere; no device is there to install it."""
    assert device.send(device.update(filled(number), base_version=base_version)).status_code == 200
    assert device.client.post("/aggregate_models").status_code == 200


@pytest.fixture
def grown(device: ThinDevice) -> ThinDevice:
    """Its task has the versions 0, 1 and 2; it has installed that."""
    close_round(device, 1.0, 0)
    close_round(device, 2.0, 1)
    device.status(tasks={"digits": {"num_samples": 10, "version": 2}})
    return device


def events(client: FlaskClient, kind: str) -> list[str]:
    """The messages of all events of one kind, oldest first."""
    store = client.application.extensions["fedbell"]
    with store.database.read() as session:
        return [
            *session.scalars(select(Event.message).where(Event.kind == kind).order_by(Event.id))
        ]


def test_statistics_of_a_version(device: ThinDevice) -> None:
    told = device.client.get("/models/0/statistics").json
    assert told["version"] == 0
    bias, kernel = told["layers"]
    assert (bias["name"], bias["shape"], bias["size"]) == ("head/bias", [2], 2)
    assert (kernel["name"], kernel["shape"], kernel["size"]) == ("head/kernel", [3, 2], 6)
    assert (kernel["mean"], kernel["median"]) == (2.5, 2.5)
    assert (kernel["minimum"], kernel["maximum"]) == (0, 5)
    assert kernel["standard_deviation"] == pytest.approx(np.std(range(6)))
    everything = told["all"]
    assert (everything["size"], everything["median"]) == (8, 1.5)
    assert sum(everything["histogram"]["counts"]) == 8
    assert len(everything["histogram"]["edges"]) == len(everything["histogram"]["counts"]) + 1


def test_the_change_between_two_versions(grown: ThinDevice) -> None:
    told = grown.client.get("/models/2/change?since=0").json
    assert (told["version"], told["since"]) == (2, 0)
    bias, kernel = told["layers"]
    assert (bias["minimum"], bias["maximum"]) == (2, 2)
    assert (kernel["minimum"], kernel["maximum"]) == (-3, 2)
    assert told["all"]["norm"] == pytest.approx(np.linalg.norm([2, 1, 0, -1, -2, -3, 2, 2]))
    back = grown.client.get("/models/0/change?since=2").json
    assert back["all"]["mean"] == -told["all"]["mean"]


@pytest.mark.parametrize("path", ["/models/1/statistics", "/models/2/change?since=1"])
def test_what_never_changes_is_sent_once(grown: ThinDevice, path: str) -> None:
    first = grown.client.get(path)
    assert first.status_code == 200
    again = grown.client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    other = grown.client.get(path.replace("1", "0"))
    assert other.headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/models/7/statistics", 404, "There is no version 7 of task digits"),
        ("/models/0/change?since=7", 404, "There is no version 7 of task digits"),
        ("/models/99999999999999999999/statistics", 404, "There is no version"),
        ("/models/0/statistics?task=nothing", 404, "There is no task nothing"),
        ("/models/0/statistics?task=parcels", 404, "There is no version 0 of task parcels"),
        ("/models/0/change", 400, "since: Field required"),
        ("/models/0/change?since=-1", 400, "since"),
    ],
)
def test_what_is_not_there(device: ThinDevice, path: str, status: int, told: str) -> None:
    answer = device.client.get(path)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert told in answer.json["detail"]


def test_promoted_an_older_version_is_the_newest(grown: ThinDevice) -> None:
    client = grown.client
    answer = client.post("/models/1/promote")
    assert answer.status_code == 200, answer.text
    assert answer.json == {"task": "digits", "version": 3, "promoted_from": 1}
    for name, array in weights(client, "latest").items():
        np.testing.assert_array_equal(array, weights(client, 1)[name])
    for older in (0, 1, 2):
        assert weights(client, older)  # no version is lost
    listed = client.get("/models").json["versions"]
    assert (listed[0]["version"], listed[0]["released"]) == (3, True)
    assert listed[0]["fingerprint"] == listed[1]["fingerprint"]
    assert events(client, "version_promoted") == ["version 3: the weights of version 1 again"]


def test_devices_learn_of_it_by_their_heartbeat_and_measure_it(grown: ThinDevice) -> None:
    client = grown.client
    evaluation = {"version": 1, "accuracy": 0.5, "loss": 1.0, "num_samples": 4}
    grown.status(tasks={"digits": {"num_samples": 10, "evaluation": evaluation}})
    client.post("/models/1/promote")
    told = grown.status().json["tasks"]["digits"]
    assert (told["version"], told["distributed_version"]) == (3, 3)
    store = client.application.extensions["fedbell"]
    assert store.rounds.evaluations("digits", [3]) == {}  # it is measured, not copied
    grown.status(tasks={"digits": {"num_samples": 10, "evaluation": evaluation | {"version": 3}}})
    assert store.rounds.evaluations("digits", [3])[3].accuracy == 0.5


def test_the_file_of_a_promoted_version_says_what_it_is(grown: ThinDevice, state: Path) -> None:
    client = grown.client
    client.post("/models/1/promote")
    (file,) = (state / "models" / "digits").glob("3-*.safetensors")
    with safe_open(file, framework="numpy") as opened:
        metadata = opened.metadata()
    assert metadata["version"] == "3"
    assert metadata["backbone"] == BACKBONE
    assert metadata["federation"] == client.application.extensions["fedbell"].federation


def test_the_open_round_is_abandoned(grown: ThinDevice, state: Path) -> None:
    client = grown.client
    body = grown.update(filled(9.0), base_version=2)
    grown.send(body)
    assert client.post("/models/0/promote").json["version"] == 3
    row = client.get("/rounds/3").json
    assert (row["status"], row["version"]) == (ABANDONED, None)
    assert row["seconds"] is not None
    assert not [path for path in (state / "updates").rglob("*") if path.is_file()]
    assert events(client, "version_promoted") == [
        "version 3: the weights of version 0 again; round 3 is abandoned, its 1 update does not "
        "count"
    ]
    late = grown.send(grown.update(filled(8.0), base_version=2))
    assert (late.status_code, late.json["type"]) == (409, "urn:fedbell:problem:stale-update")
    close_round(grown, 5.0, 3)
    row = client.get("/rounds/4").json
    assert (row["base_version"], row["version"]) == (3, 4)
    np.testing.assert_array_equal(weights(client, 4)["head/bias"], [5, 5])


def test_an_update_of_an_abandoned_round_sent_again_is_stale(grown: ThinDevice) -> None:
    """Its device must not think that it counts."""
    body = grown.update(filled(9.0), base_version=2)
    grown.send(body)
    grown.client.post("/models/0/promote")
    again = grown.send(body)
    assert (again.status_code, again.json["type"]) == (409, "urn:fedbell:problem:stale-update")


def test_a_round_that_was_not_sent_out_is_abandoned(grown: ThinDevice) -> None:
    """Its version is no longer the newest: nothing may wait for its being sent."""
    client = grown.client
    body = grown.update(filled(9.0), base_version=2)
    grown.send(body)
    client.post("/aggregate_models")
    client.post("/models/1/promote")
    row = client.get("/rounds/3").json
    assert (row["status"], row["version"]) == (ABANDONED, 3)
    assert events(client, "version_promoted") == [
        "version 4: the weights of version 1 again; round 3 is abandoned, its version 3 does not "
        "go out"
    ]
    assert grown.send(body).json["round"] == 3, "it has counted, in version 3"
    close_round(grown, 5.0, 4)
    assert client.get("/rounds/4").json["version"] == 5
    grown.status(tasks={"digits": {"num_samples": 10, "version": 5}})
    assert [row["status"] for row in client.get("/rounds").json["rounds"][:2]] == [
        DISTRIBUTED,
        ABANDONED,
    ]


def test_rounds_that_are_through_stay_as_they_are(grown: ThinDevice) -> None:
    before = grown.client.get("/rounds").json
    grown.client.post("/models/0/promote")
    assert grown.client.get("/rounds").json == before


def test_a_promoted_version_can_be_promoted_and_left_again(grown: ThinDevice) -> None:
    client = grown.client
    for sought, made in ((0, 3), (2, 4), (3, 5)):
        assert client.post(f"/models/{sought}/promote").json["version"] == made
    np.testing.assert_array_equal(
        weights(client, 5)["head/kernel"], initial_weights()["head/kernel"]
    )


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/models/2/promote", 409, "Version 2 is the newest one of digits"),
        ("/models/7/promote", 404, "There is no version 7 of task digits"),
        ("/models/99999999999999999999/promote", 404, "There is no version"),
        ("/models/0/promote?task=parcels", 409, "No device has offered version 0 of parcels"),
    ],
)
def test_what_cannot_be_promoted_changes_nothing(
    grown: ThinDevice, state: Path, path: str, status: int, told: str
) -> None:
    before = snapshot(state)
    answer = grown.client.post(path)
    assert answer.status_code == status
    assert told in answer.json["detail"]
    assert snapshot(state) == before


def test_while_a_step_runs_nothing_is_promoted(grown: ThinDevice, state: Path) -> None:
    before = snapshot(state)
    with exclusive(state / "locks" / "digits.lock", AssertionError()):
        answer = grown.client.post("/models/0/promote")
    assert (answer.status_code, answer.json["type"]) == (409, "urn:fedbell:problem:step-running")
    assert snapshot(state) == before
    assert grown.client.post("/models/0/promote").status_code == 200


def test_a_form_leads_back_to_the_page(grown: ThinDevice) -> None:
    answer = grown.client.post("/models/0/promote?task=digits", headers=FORM)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?task=digits")
    refused = grown.client.post("/models/3/promote?task=digits", headers=FORM)
    assert refused.status_code == 409
    assert "This is the newest version" in refused.text


def test_a_disk_that_is_full_changes_nothing(
    grown: ThinDevice, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown.send(grown.update(filled(9.0), base_version=2))
    before = snapshot(state)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("shared.federated.weights.durable.os.fsync", full)
        assert grown.client.post("/models/0/promote").status_code == 507
    assert snapshot(state) == before
    assert grown.client.post("/models/0/promote").status_code == 200


def test_another_process_goes_on_from_it(
    grown: ThinDevice, make_app: Callable[..., APIFlask]
) -> None:
    grown.client.post("/models/0/promote")
    other = ThinDevice(make_app().test_client(), "device1")
    close_round(other, 4.0, 3)
    assert grown.client.get("/rounds").json["rounds"][0]["base_version"] == 3
    rows = grown.client.get("/rounds").json["rounds"]
    assert [row["status"] for row in rows] == [AGGREGATED, DISTRIBUTED, AGGREGATED]


def test_what_was_read_once_is_kept(grown: ThinDevice, state: Path) -> None:
    paths = ("/models/1/statistics", "/models/2/change?since=1")
    first = [grown.client.get(path).json for path in paths]
    for file in (state / "models" / "digits").iterdir():
        file.unlink()
    assert [grown.client.get(path).json for path in paths] == first
