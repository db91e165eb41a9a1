"""The launcher with real Gunicorn processes and real signals."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from tests.command_line.house import House, is_running, wait_until
from tests.server import ROOT, free_port

pytestmark = [pytest.mark.faults, pytest.mark.timeout(90)]


def fetch(port: int) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return str(answer.read().decode())


def read_line(launcher: subprocess.Popen[str]) -> str:
    assert launcher.stdout is not None
    return launcher.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_and_leaves_nothing(house: House, number: signal.Signals) -> None:
    launcher = house.launch_until_ready()
    assert fetch(house.device_port) == f"http://127.0.0.1:{house.port}"
    processes = house.processes()
    assert len(processes) >= 4
    launcher.send_signal(number)
    output, errors = launcher.communicate(timeout=30)
    assert (launcher.returncode, output, errors) == (0, "", "")
    wait_until(lambda: not any(map(is_running, processes)))


def test_one_server_alone(house: House) -> None:
    launcher = house.launch("--only=device1")
    assert read_line(launcher) == f"device1 is ready: http://localhost:{house.device_port}/\n"
    assert fetch(house.device_port) == ""  # its main server is wherever its settings say
    assert [path.parent.name for path in house.root.glob("state/*/server.log")] == ["device1"]
    with pytest.raises(urllib.error.URLError):
        fetch(house.port)


def test_two_servers_of_three(house: House) -> None:
    house.add("device2", f"http://127.0.0.1:{free_port()}")
    house.launch_until_ready("--only=device2", "--only=main_server")
    assert sorted(path.parent.name for path in house.root.glob("state/*/server.log")) == [
        "device2",
        "main_server",
    ]


def test_a_server_that_there_is_not(house: House) -> None:
    _, errors = (launcher := house.launch("--only=device7")).communicate(timeout=30)
    assert launcher.returncode == 1
    assert f"There is no server device7 in {house.root}. There are: main_server, device1" in errors


def test_the_main_server_listens_where_bind_says(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("BIND", f"0.0.0.0:{port}")
    monkeypatch.setenv("ALLOW_PUBLIC_WITHOUT_TOKENS", "1")
    launcher = house.launch()
    assert read_line(launcher) == f"Fedbell is ready: http://localhost:{port}/\n"
    assert fetch(port) == ""
    assert fetch(house.device_port) == f"http://127.0.0.1:{port}"


def test_a_bad_bind_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIND", "everywhere")
    _, errors = (launcher := house.launch()).communicate(timeout=30)
    assert launcher.returncode == 1
    assert "BIND is 'everywhere'" in errors


def test_a_killed_launcher_takes_its_servers_along(house: House) -> None:
    launcher = house.launch_until_ready()
    processes = house.processes()
    launcher.kill()
    launcher.communicate(timeout=30)
    wait_until(lambda: not any(map(is_running, processes)))


def test_a_taken_port_is_named_and_nothing_starts(house: House) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", house.device_port))
        other.listen()
        _, errors = (launcher := house.launch()).communicate(timeout=30)
    assert launcher.returncode == 1
    assert re.search(rf"Port {house.device_port} .*device1, is taken by another program", errors)
    assert "change device_url in device1/device.toml" in errors
    assert not house.processes()


def test_two_servers_with_one_port_are_named(house: House) -> None:
    house.add("device2", f"http://127.0.0.1:{house.device_port}")
    _, errors = (launcher := house.launch()).communicate(timeout=30)
    assert launcher.returncode == 1
    assert f"device1 and device2 both want port {house.device_port}" in errors


@pytest.mark.parametrize("line", ["device_url = 8001", "name = 1", "device_url =", 'device_url=""'])
def test_a_bad_device_file_is_named(house: House, line: str) -> None:
    (house.root / "device1" / "device.toml").write_text(line)
    _, errors = (launcher := house.launch()).communicate(timeout=30)
    assert launcher.returncode == 1
    assert "device1/device.toml" in errors


def test_a_server_that_dies_at_start_shows_its_last_lines(house: House) -> None:
    house.add("device1", app="raise RuntimeError('the camera is on fire')")
    output, errors = (launcher := house.launch()).communicate(timeout=60)
    assert launcher.returncode == 1
    assert output == ""
    assert "device1 stopped with status" in errors
    assert "the camera is on fire" in errors
    wait_until(lambda: not any(map(is_running, house.processes())))


def test_a_server_that_is_never_ready_is_named(house: House) -> None:
    house.add(
        "device1",
        app="def app(environ, start):\n    start('503 No', [])\n    return [b'']\n",
    )
    _, errors = (launcher := house.launch("--timeout=3")).communicate(timeout=60)
    assert launcher.returncode == 1
    assert "device1 was not ready within 3 s (GET /readyz: 503)" in errors
    wait_until(lambda: not any(map(is_running, house.processes())))


def test_a_server_that_dies_later_is_reported_and_the_others_go_on(house: House) -> None:
    house.add("device2", f"http://127.0.0.1:{free_port()}")
    launcher = house.launch_until_ready()
    os.kill(house.master("device2"), signal.SIGKILL)
    assert read_line(launcher).startswith("device2 stopped with status -9. The others go on.")
    assert fetch(house.device_port)
    assert fetch(house.port) == ""


def test_it_ends_when_no_server_is_left(house: House) -> None:
    launcher = house.launch_until_ready()
    for name in ("device1", "main_server"):
        os.kill(house.master(name), signal.SIGKILL)
    output, _ = launcher.communicate(timeout=30)
    assert launcher.returncode == 1
    assert "No server is left" in output


def test_another_folder_is_refused(house: House) -> None:
    (house.root / "gunicorn.conf.py").unlink()
    _, errors = (launcher := house.launch()).communicate(timeout=30)
    assert launcher.returncode == 1
    assert "is not Fedbell's folder" in errors


def test_the_last_log_is_kept(house: House) -> None:
    for _ in range(2):
        launcher = house.launch_until_ready()
        launcher.terminate()
        launcher.communicate(timeout=30)
    logs = sorted(path.name for path in (house.root / "state" / "device1").glob("server.log*"))
    assert logs == ["server.log", "server.log.1"]


def test_the_command_needs_no_opencv() -> None:
    script = "import sys, shared.command_line; sys.exit('cv2' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_a_wrong_configuration_is_told_in_one_line(house: House) -> None:
    told = "The configuration is wrong: tasks.toml: there is no key image_sise."
    house.add("main_server", app=f"import sys; print({told!r}, flush=True); sys.exit(4)")
    _, errors = (launcher := house.launch()).communicate(timeout=60)
    assert launcher.returncode == 1
    assert errors == f"Error: main_server did not start. {told}\n"


@pytest.mark.parametrize(
    "line", ['device_name = "device1"', 'dataset_directory = "dataset/device1"']
)
def test_two_devices_that_say_they_are_one(house: House, line: str) -> None:
    for name in ("device1", "device3"):
        house.add(name, f"http://127.0.0.1:{free_port()}", toml=line)
    _, errors = (launcher := house.launch()).communicate(timeout=60)
    assert launcher.returncode == 1
    assert "device3/device.toml both say" in errors
    assert not house.processes()


def test_state_is_not_forgotten_under_running_servers(house: House) -> None:
    def clean_state() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "shared.command_line", "clean-state"],
            cwd=house.root,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    launcher = house.launch_until_ready()
    refused = clean_state()
    assert refused.returncode == 1
    assert "The servers run; their state was not touched." in refused.stderr
    assert (house.root / "state" / "device1").exists()
    launcher.terminate()
    launcher.communicate(timeout=30)
    assert clean_state().returncode == 0
    assert not (house.root / "state").exists()
    assert clean_state().returncode == 0
