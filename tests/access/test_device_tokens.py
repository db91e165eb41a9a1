"""A device's token: revoked for good, changed without locking the device out, proved to it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apiflask import APIFlask
from flask import Request
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, TestResponse

from shared.device.remote import RemoteProblem
from shared.device.store import Store
from shared.device.token_rotation import OwnTokens, hash_of
from shared.device.used_calls import UsedCalls
from shared.errors import FedbellError
from shared.web.access import call_proof
from tests.main_server.conftest import ThinDevice

from .conftest import ADMIN

_ADMIN = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def client(app: APIFlask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def device(client: FlaskClient) -> ThinDevice:
    """Enrolled."""
    thin = ThinDevice(client, "device1")
    assert thin.status().status_code == 200
    return thin


def changed(client: FlaskClient, token: str, new: str) -> TestResponse:
    headers = {"Authorization": f"Bearer {token}"}
    return client.post("/devices/token", json={"token_hash": hash_of(new)}, headers=headers)


def test_a_revoked_token_is_worth_nothing(device: ThinDevice, client: FlaskClient) -> None:
    assert device.offer().status_code == 201
    assert client.post("/devices/device1/revoke", headers=_ADMIN).json == {
        "device": "device1",
        "revoked": True,
    }
    with client.get("/models/latest?task=digits", headers=device.headers) as refused:
        assert refused.status_code == 401
    for call in (device.status, device.offer, device.send):
        refused = call()
        assert refused.status_code == 401
        assert refused.json["type"] == "urn:fedbell:problem:token-revoked"
        assert "JOIN_TOKEN" in refused.json["detail"]
    told = client.get("/devices", headers=_ADMIN).json["devices"][0]
    assert told["revoked"] <= time.time()
    assert told["tasks"] == {}  # it takes no part any more
    assert client.post("/devices/device1/rotate", headers=_ADMIN).status_code == 401
    # Forgotten at once, although it was seen just now; but its token stays what it is.
    assert client.delete("/devices/device1", headers=_ADMIN).status_code == 200
    assert device.status().status_code == 401
    device.token = "another-token-of-the-device".ljust(40, "-")
    assert device.status().status_code == 200


def test_a_token_is_changed_when_the_operator_asks(device: ThinDevice, client: FlaskClient) -> None:
    new = "the-new-token".ljust(40, "-")
    assert changed(client, device.token, new).status_code == 409  # nobody asked
    assert device.status().json["rotate_token"] is False
    assert client.post("/devices/device1/rotate", headers=_ADMIN).status_code == 200
    assert device.status().json["rotate_token"] is True
    assert changed(client, "wrong".ljust(40, "-"), new).status_code == 401
    other = ThinDevice(client, "device2")
    other.status()
    assert changed(client, device.token, other.token).status_code == 401
    old = device.token
    assert changed(client, old, new).json == {"device": "device1", "rotated": True}
    assert device.status().status_code == 401
    device.token = new
    assert device.status().json["rotate_token"] is False
    assert changed(client, new, new).status_code == 200  # its answer was lost
    assert changed(client, old, new).status_code == 401


@pytest.mark.parametrize("name", ["operator", "viewer", "anonymous"])
def test_no_device_is_called_what_people_are(client: FlaskClient, name: str) -> None:
    refused = ThinDevice(client, name).status()
    assert refused.status_code == 422
    assert "device_name" in refused.json["detail"]


class Killed(Exception):
    """As by kill -9: nothing after it happens."""


@pytest.mark.parametrize("killed_at", ["before", "after the server took it", "never"])
def test_killed_while_it_changes_a_device_is_not_locked_out(
    device: ThinDevice, client: FlaskClient, tmp_path: Path, killed_at: str
) -> None:
    directory = tmp_path / "device"
    directory.mkdir()
    (directory / "token").write_text(device.token)
    client.post("/devices/device1/rotate", headers=_ADMIN)

    def change(kill: str) -> Callable[[str, str], None]:
        def call(token: str, new_hash: str) -> None:
            if kill == "before":
                raise Killed
            headers = {"Authorization": f"Bearer {token}"}
            told = client.post("/devices/token", json={"token_hash": new_hash}, headers=headers)
            if told.status_code != 200:
                raise RemoteProblem({"status": told.status_code})
            if kill == "after the server took it":
                raise Killed

        return call

    own = OwnTokens(directory)
    if killed_at == "never":
        assert own.rotate(change(killed_at))
    else:
        with pytest.raises(Killed):
            own.rotate(change(killed_at))
        assert len(own.hashes()) == 2
        again = OwnTokens(directory)  # it is started again
        if killed_at == "before":
            assert again.finish(change("never")) is None
            assert again.rotate(change("never"))
        else:
            assert again.finish(change("never"))
    kept = (directory / "token").read_text()
    assert kept != device.token
    assert (directory / "token").stat().st_mode & 0o777 == 0o600
    assert not (directory / "token.next").exists()
    device.token = kept
    assert device.status().json["rotate_token"] is False


def test_a_refused_change_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")

    def refuse(_token: str, _hash: str) -> None:
        raise FedbellError("No.")

    own = OwnTokens(tmp_path)
    assert own.rotate(refuse) is None
    assert (tmp_path / "token").read_text() == "old"
    first = (tmp_path / "token.next").read_text()
    assert own.rotate(refuse) is None
    assert (tmp_path / "token.next").read_text() == first  # it may have been taken


def change_of(client: FlaskClient, loses: list[str]) -> Callable[[str, str], None]:
    """Tells the main server of a new token; the answer to each of ``loses`` is lost, once."""

    def change(token: str, new_hash: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        told = client.post("/devices/token", json={"token_hash": new_hash}, headers=headers)
        if told.status_code != 200:
            raise RemoteProblem(told.get_json())
        if token in loses:
            loses.remove(token)
            raise Killed

    return change


@pytest.mark.parametrize("was_taken", [True, False])
@pytest.mark.parametrize("deletes_token", [True, False])
def test_revoked_while_it_changes_its_token_a_device_comes_back_and_can_change_it(
    device: ThinDevice, client: FlaskClient, tmp_path: Path, was_taken: bool, deletes_token: bool
) -> None:
    (tmp_path / "token").write_text(device.token)
    client.post("/devices/device1/rotate", headers=_ADMIN)
    if was_taken:
        with pytest.raises(Killed):
            OwnTokens(tmp_path).rotate(change_of(client, [device.token]))
    else:
        OwnTokens(tmp_path).rotate(refused_by_nobody)
    former_next = (tmp_path / "token.next").read_text()
    client.post("/devices/device1/revoke", headers=_ADMIN)

    own, change = OwnTokens(tmp_path), change_of(client, [])
    if was_taken:  # what is refused is told as what it is
        assert device.status().json["type"] == "urn:fedbell:problem:wrong-token"
        with pytest.raises(RemoteProblem, match="was revoked"):
            own.finish(change)
    else:
        assert device.status().json["type"] == "urn:fedbell:problem:token-revoked"

    # As docs/security.md says: forgotten, without its token, started again.
    client.delete("/devices/device1", headers=_ADMIN)
    if deletes_token or not was_taken:
        device.token = "enrolled-anew".ljust(40, "-")
        (tmp_path / "token").write_text(device.token)
    assert device.status().status_code == 200
    own = OwnTokens(tmp_path)
    client.post("/devices/device1/rotate", headers=_ADMIN)
    beats = 0
    while device.status().json["rotate_token"]:
        beats += 1
        assert beats <= 2, "every heartbeat tries in vain"
        if new := own.rotate(change):
            device.token = new
    assert (tmp_path / "token").read_text() == device.token
    assert not (tmp_path / "token.next").exists()
    assert (device.token == former_next) is not was_taken


def test_a_next_token_that_is_another_devices_is_made_anew(
    device: ThinDevice, client: FlaskClient, tmp_path: Path
) -> None:
    """A state directory was copied, and only its token deleted."""
    (tmp_path / "token").write_text(device.token)
    other = ThinDevice(client, "device2")
    other.status()
    (tmp_path / "token.next").write_text(other.token)
    client.post("/devices/device1/rotate", headers=_ADMIN)
    own, change = OwnTokens(tmp_path), change_of(client, [])
    assert own.rotate(change) is None
    assert own.rotate(change) not in (None, other.token)
    assert other.status().status_code == 200


def test_a_next_token_that_may_count_stays(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")
    (tmp_path / "token.next").write_text("next")

    def unknown(_token: str, _hash: str) -> None:
        raise RemoteProblem({"type": "urn:fedbell:problem:wrong-token", "status": 401})

    own = OwnTokens(tmp_path)
    assert own.rotate(unknown) is None
    assert own.finish(unknown) is None
    assert (tmp_path / "token.next").read_text() == "next"


def refused_by_nobody(_token: str, _hash: str) -> None:
    """The main server is away."""
    raise FedbellError("Nobody answers.")


def call(
    proof: str = "",
    body: bytes = b'{"round":1}',
    query: str = "task=digits",
    path: str = "/sendmodel",
) -> Request:
    told = EnvironBuilder(
        path, method="POST", query_string=query, data=body, headers=[("Fedbell-Call", proof)]
    )
    return Request(told.get_environ())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Callable[[str, float], bool]]]:
    """Starts a device's process on one state directory; what remembers its calls."""
    stores: list[Store] = []

    def begin() -> Callable[[str, float], bool]:
        for store in stores:
            store.database.close()
        stores.append(Store(tmp_path / "device", "device1"))
        return UsedCalls(stores[-1].database).use

    yield begin
    for store in stores:
        store.database.close()


def test_a_proof_counts_for_its_call_once(
    start: Callable[[], Callable[[str, float], bool]],
) -> None:
    key = hash_of("token")
    proofs = call_proof.Proofs(lambda: [hash_of("next"), key], start())

    def made(with_key: str = key) -> str:
        return call_proof.prove(with_key, "POST", "/sendmodel", b"task=digits", b'{"round":1}')

    assert not proofs(call())
    proof = made()
    for other in (
        call(proof, body=b'{"round":2}'),
        call(proof, query="task=parcels"),
        call(proof, path="/modeltrain"),
        call(made(hash_of("another device"))),
        call("x" * 1000),
        call("..."),
        call(f"²{proof[1:]}"),
    ):
        assert not proofs(other)
    assert proofs(call(proof))
    assert not proofs(call(proof)), "it was used before"
    assert proofs(call(made(hash_of("next"))))
    fresh = made()
    restarted = call_proof.Proofs(lambda: [key], start())
    assert not restarted(call(proof)), "it was used before the restart"
    assert restarted(call(fresh))


def test_used_numbers_are_forgotten_when_their_proofs_are_too_old(
    start: Callable[[], Callable[[str, float], bool]],
) -> None:
    use, now = start(), 1e9
    assert use("number", now)
    assert not use("number", now + 599)
    assert use("another", now + 601)
    assert use("number", now + 601)


def test_a_proof_gets_old(monkeypatch: pytest.MonkeyPatch) -> None:
    key = hash_of("token")
    proof = call_proof.prove(key, "POST", "/sendmodel", b"task=digits", b'{"round":1}')
    later = time.time() + 302
    monkeypatch.setattr(time, "time", lambda: later)
    assert not call_proof.Proofs(lambda: [key], lambda _number, _now: True)(call(proof))


def test_a_call_that_was_refused_amid_a_rotation_is_made_again_with_the_new_token(
    tmp_path: Path,
) -> None:
    """One thread has changed the token, another one still called by the old one."""
    own = OwnTokens(tmp_path)
    (tmp_path / "token").write_text("old")
    new = own.rotate(lambda _token, _hash: None)
    assert new
    assert own.finish(refused_by_nobody) == new
