"""No byte of a picture leaves its device: every byte between real servers is recorded.

Two wires for each device: one over which it calls the main server, one over which the main
server calls it. The tests follow one another.
"""

import base64
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.device.traces import Traces, picture, with_exif
from tests.device.wires import Wire, audited, connections
from tests.federation import TASKS, Federation
from tests.server import Server, wait_until

_PLACE = b"48.8584 N 2.2945 E, the blue door at the back of our house"
#: In a folder of the data set, of the splits that are read; no picture, so that it is told of.
_UNREADABLE = "patient-anna-left-knee.png"
_NAMES = ["dark.at-the-front-door.png", "light שלום visitor.jpg", "who-is-this-person.png"]


class Household:
    """A main server, and two devices behind wires."""

    def __init__(self, directory: Path) -> None:
        self.federation = Federation(directory, TASKS)
        self.federation.write_pictures()
        for split in ("train", "test"):
            unreadable = self.federation.dataset("device1") / split / "dark" / _UNREADABLE
            unreadable.write_bytes(b"no picture")
        self.main = self.federation.main
        self.wires: dict[str, tuple[Wire, Wire]] = {}
        for name, device in self.federation.devices.items():
            calls, called = Wire(self.main.port), Wire(device.port)
            self.wires[name] = calls, called
            device.environment |= {
                "MAIN_SERVER_URL": calls.url,
                "DEVICE_URL": called.url,
                "AUTO_TRAIN_QUIET_SECONDS": "0.3",
            } | audited(directory / "connections" / name)

    @property
    def devices(self) -> dict[str, Server]:
        """By name."""
        return self.federation.devices

    def sent(self) -> list[bytes]:
        """All that was said between the servers."""
        return [each for pair in self.wires.values() for wire in pair for each in wire.recorded()]

    def close(self) -> None:
        """Stop all."""
        self.federation.close()
        for pair in self.wires.values():
            for wire in pair:
                wire.close()


@pytest.fixture(scope="module")
def household(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    household = Household(tmp_path_factory.mktemp("household"))
    try:
        household.federation.start()
        yield household
    finally:
        household.close()


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Traces:
    return Traces(tmp_path_factory.mktemp("traces"))


def upload(device: Server, seed: int) -> list[bytes]:
    """Upload a picture of each kind; the files."""
    contents = [
        picture(seed),
        with_exif(picture(seed + 1, ".jpg"), _PLACE),
        picture(seed + 2),
    ]
    files = [("pictures", (name, each)) for name, each in zip(_NAMES, contents, strict=True)]
    answer = device.post("/pictures?task=shades", files=files)
    assert answer.json()["kept"] == len(files), answer.text
    return contents


def try_model(device: Server, seed: int) -> list[bytes]:
    """Try the model on two pictures, one of which is kept; the files."""
    contents = [picture(seed), picture(seed + 1, ".jpg")]
    for keep, content in enumerate(contents):
        answer = device.post(
            f"/predict?task=shades&keep={keep}", files={"picture": ("tried-at-night.jpg", content)}
        )
        assert answer.is_success, answer.text
    return contents


def test_whole_rounds_on_pictures_of_all_kinds(household: Household, traces: Traces) -> None:
    main, (device1, device2) = household.main, household.devices.values()
    uploaded: dict[str, list[bytes]] = {}
    for seed, (name, device) in enumerate(household.devices.items()):
        uploaded[name] = upload(device, 100 * seed) + try_model(device, 100 * seed + 50)
    device1.do("/auto_train?task=shades", {"on": True})
    wait_until(lambda: "Trained by itself" in device1.http.get("/events.txt").text)
    for step in ("modeltrain", "sendmodel", "aggregate_models", "send_model_clients"):
        main.do(f"/{step}?task=shades")
    steps = main.get("/rounds/1?task=shades")["steps"]
    assert steps["modeltrain"]["device1"]["result"]["skipped"] >= 1
    main.do("/run_rounds?task=shades", {"rounds": 1})
    household.federation.caught_up("device2", version=2)
    for device in (device1, device2):
        assert device.task("shades")["evaluation"]["version"] == 2
        main.get("/devices")

    for name, device in household.devices.items():
        contents = list(uploaded[name])
        for row in device.get("/pictures?task=shades")["pictures"]:
            address = f"/pictures/shades/{row['id']}"
            contents += [device.http.get(address).content]
            contents += [device.http.get(f"{address}/thumbnail").content]
        contents += [each.read_bytes() for each in device.state.glob("pictures/*/*.*")]
        contents += [
            each.read_bytes()
            for each in household.federation.dataset(name).rglob("*.png")
            if each.name != _UNREADABLE
        ]
        assert len(contents) > 15
        for content in contents:
            traces.add(content)
    for name in (*_NAMES, "tried-at-night.jpg", _UNREADABLE):
        traces.add_name(name)
    traces.add_name(_PLACE.decode())


def test_nothing_of_a_picture_was_sent(household: Household, traces: Traces) -> None:
    sent = household.sent()
    everything = b"".join(sent)
    for call in (b"POST /clientstatus", b"POST /cmodel", b"POST /modeltrain", b"GET /models/"):
        assert call in everything, "else nothing was recorded"
    assert traces.leaked(sent) == []


def test_devices_connect_to_the_main_server_alone(household: Household) -> None:
    for name, device in household.devices.items():
        calls, _ = household.wires[name]
        assert connections(device.environment) == {("127.0.0.1", calls.port)}


def _as_it_is(content: bytes) -> dict[str, Any]:
    return {"content": content}


def _as_base64(content: bytes) -> dict[str, Any]:
    return {"json": {"device": base64.b64encode(b"x" + content).decode()}}


def _packed(content: bytes) -> dict[str, Any]:
    return {"content": gzip.compress(content)}


def _a_part(content: bytes) -> dict[str, Any]:
    return {"content": content[2000:2030]}


def _a_name(_content: bytes) -> dict[str, Any]:
    return {"json": {"device": _NAMES[1]}}


@pytest.mark.parametrize("body", [_as_it_is, _as_base64, _packed, _a_part, _a_name])
def test_this_test_would_notice(household: Household, traces: Traces, body: Any) -> None:
    calls, _ = household.wires["device1"]
    before = len(traces.leaked(calls.recorded()))
    httpx.post(f"{calls.url}/clientstatus", trust_env=False, **body(picture(0)))
    assert len(traces.leaked(calls.recorded())) > before
