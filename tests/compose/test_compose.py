"""The three real containers: how they are locked up, two rounds, and what may go wrong."""

import json

import pytest

from tests.compose.federation import PORTS, Federation

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1200)]

DEVICES = ("device1", "device2")

#: Prints the hashes of all pictures below some folders.
HASHES = """
import hashlib, json, pathlib
print(json.dumps([
    hashlib.sha256(path.read_bytes()).hexdigest()
    for folder in ("/dataset", "/built-in-dataset")
    for path in pathlib.Path(folder).rglob("*.png")
]))
"""

#: Prints what this process may do.
RIGHTS = """
import json, os, pathlib
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines()
              if line.startswith(("Cap", "NoNewPrivs")))
def can_write(path):
    try:
        pathlib.Path(path, "probe").touch()
        return True
    except OSError:
        return False
print(json.dumps({
    "user": os.getuid(), "group": os.getgid(), "status": status,
    "writable": [path for path in ("/", "/app", "/opt/venv", "/etc", "/dataset", "/state", "/tmp")
                 if can_write(path)],
}))
"""


def steps(federation: Federation) -> dict[str, dict[str, object]]:
    """The four steps of a round; each one's answer."""
    return {
        name: federation.post(f"/{name}")
        for name in ("modeltrain", "sendmodel", "aggregate_models", "send_model_clients")
    }


def test_the_servers_image_is_small_and_without_tensorflow(federation: Federation) -> None:
    image = federation.inspect("main_server")["Image"]
    size = int(federation.docker("image", "inspect", "--format={{.Size}}", image))
    assert size <= 320_000_000  # 138 of them are the base, 13 the driver of PostgreSQL
    absent = "tensorflow keras cv2 sklearn matplotlib shared.learning shared.datasets"
    script = f"""
import importlib.util
print([name for name in {absent.split()} if importlib.util.find_spec(name)])
"""
    assert federation.python("main_server", script) == "[]"


@pytest.mark.parametrize("server", PORTS)
def test_code_is_compiled(federation: Federation, server: str) -> None:
    script = """
import importlib.util, pathlib, shared.errors, flask.app
print(all(pathlib.Path(module.__cached__).exists() for module in (shared.errors, flask.app)))
"""
    assert federation.python(server, script) == "True"


@pytest.mark.parametrize("server", PORTS)
def test_a_server_has_no_rights(federation: Federation, server: str) -> None:
    rights = json.loads(federation.python(server, RIGHTS))
    assert rights["user"] != 0
    assert rights["group"] != 0
    assert rights["writable"] == ["/state", "/tmp"]  # noqa: S108
    for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(rights["status"][name], 16) == 0
    assert rights["status"]["NoNewPrivs"] == "1"
    told = federation.inspect(server)
    assert told["HostConfig"]["ReadonlyRootfs"]
    assert told["Config"]["StopTimeout"] > 10
    published = [each for port in told["NetworkSettings"]["Ports"].values() for each in port or []]
    assert [each["HostIp"] for each in published] == ["127.0.0.1"]


def test_no_device_sees_anothers_pictures(federation: Federation) -> None:
    seen = [set(json.loads(federation.python(device, HASHES))) for device in DEVICES]
    assert min(map(len, seen)) > 800
    assert not seen[0] & seen[1]
    assert federation.python("main_server", "import os; print(os.path.exists('/dataset'))") == (
        "False"
    )


def test_two_rounds(federation: Federation) -> None:
    before = federation.newest_version()
    answers = steps(federation)
    for name in ("modeltrain", "sendmodel"):
        devices = answers[name]["devices"]
        assert isinstance(devices, dict)
        assert sorted(devices) == list(DEVICES)
        assert not any("error" in told for told in devices.values()), devices
    assert answers["aggregate_models"]["version"] == before + 1
    assert answers["aggregate_models"]["updates"] == 2
    assert answers["send_model_clients"]["version"] == before + 1
    first = answers["send_model_clients"]["evaluation"]
    assert isinstance(first, dict)
    ran = federation.post("/run_rounds", {"rounds": 1})["rounds"]
    assert [(each["version"], each["errors"]) for each in ran] == [(before + 2, {})]
    newest = federation.get("/rounds")["rounds"][0]
    assert newest["evaluation"]["num_samples"] == first["num_samples"] > 300
    # Ten digits, of which a device alone has seen five: about half would be luck.
    assert newest["evaluation"]["accuracy"] > 0.6
    assert newest["evaluation"]["loss"] < first["loss"]
    federation.wait_for_devices(*DEVICES)


def test_a_users_own_task_needs_no_rebuild(federation: Federation) -> None:
    answer = federation.post("/modeltrain?task=colours")
    assert answer["devices"]["device1"]["num_samples"] == 16
    assert list(answer["devices"]) == ["device1"]
    assert list(answer["left_out"]) == ["device2"]


@pytest.mark.parametrize("killed", PORTS)
def test_a_killed_server_forgets_nothing(federation: Federation, killed: str) -> None:
    before = federation.newest_version()
    trained = federation.post("/modeltrain")["devices"]
    federation.compose("kill", "--signal=KILL", killed)
    federation.compose("up", "--detach", "--wait", "--wait-timeout=120")
    federation.wait_for_devices(*DEVICES)
    assert federation.newest_version() == before
    sent = federation.post("/sendmodel")["devices"]
    assert {name: told["num_samples"] for name, told in sent.items()} == {
        name: told["num_samples"] for name, told in trained.items()
    }
    assert federation.post("/aggregate_models")["version"] == before + 1
    assert federation.post("/send_model_clients")["evaluation"]["num_samples"] > 300


def test_a_device_without_network_catches_up(federation: Federation) -> None:
    before = federation.newest_version()
    network, container = f"{federation.project}_default", federation.container("device2")
    # So the main server holds an open connection to device2, which nobody closes.
    federation.post("/modeltrain")
    federation.docker("network", "disconnect", network, container)
    answers = steps(federation)
    devices = answers["modeltrain"]["devices"]
    assert isinstance(devices, dict)
    assert "error" not in devices["device1"]
    assert "device2" in devices["device2"]["error"]["detail"]
    assert answers["aggregate_models"]["updates"] == 1
    assert answers["send_model_clients"]["version"] == before + 1
    federation.docker("network", "connect", "--alias=device2", network, container)
    federation.wait_for_devices(*DEVICES)
    ran = federation.post("/run_rounds", {"rounds": 1})["rounds"]
    assert [(each["version"], each["updates"], each["errors"]) for each in ran] == [
        (before + 2, 2, {})
    ]


def test_stopping_is_graceful(federation: Federation) -> None:
    federation.compose("stop")
    for server in PORTS:
        assert federation.inspect(server)["State"]["ExitCode"] == 0
    federation.compose("up", "--detach", "--wait", "--wait-timeout=120")
    federation.wait_for_devices(*DEVICES)
