import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.device.settings import DeviceSettings
from shared.errors import ConfigurationError
from tests.server import ROOT, Server

GOOD = """
device_name = "door"
device_url = "http://door:8001/"
main_server_url = "http://main-server:8000"
dataset_directory = "dataset/door"
"""


def write(directory: Path, text: str) -> Path:
    file = directory / "device.toml"
    file.write_text(text)
    return file


def test_defaults(tmp_path: Path) -> None:
    settings = DeviceSettings.load(write(tmp_path, GOOD))
    assert settings.state_directory == Path("state/door")
    assert settings.device_url == "http://door:8001"
    assert settings.hosts == ["localhost", "127.0.0.1", "door"]


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIN_SERVER_URL", "https://elsewhere:9000")
    monkeypatch.setenv("STATE_DIRECTORY", "/state")
    settings = DeviceSettings.load(write(tmp_path, GOOD))
    assert settings.main_server_url == "https://elsewhere:9000"
    assert settings.state_directory == Path("/state")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('colour = "red"', "colour"),
        ('feature_store_bytes = "much"', "feature_store_bytes"),
        ("attempts = 0", "attempts"),
        ("device_name =", "device.toml"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, name: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        DeviceSettings.load(write(tmp_path, GOOD + line))
    assert name in error.value.detail
    assert "\n" not in error.value.detail


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ('device_url = ""', "device_url: it is missing"),
        ('schedule = "daily"', "schedule_window"),
        ('schedule_window = "22:00-06:00"', "schedule_window"),
        ('schedule = "daily"\nschedule_window = "10 to 6"', "is no window"),
        ('schedule = "interval"', "schedule_interval_seconds"),
        ('schedule = "hourly"', "schedule"),
    ],
)
def test_a_schedule_that_cannot_be_is_told(tmp_path: Path, lines: str, name: str) -> None:
    text = GOOD.replace('device_url = "http://door:8001/"\n', "") if "device_url" in lines else GOOD
    with pytest.raises(ConfigurationError) as error:
        DeviceSettings.load(write(tmp_path, text + lines))
    assert name in error.value.detail
    assert "\n" not in error.value.detail


def test_with_a_schedule_a_device_needs_no_address(tmp_path: Path) -> None:
    text = GOOD.replace('device_url = "http://door:8001/"', 'schedule = "continuous"')
    settings = DeviceSettings.load(write(tmp_path, text))
    assert settings.device_url is None
    assert settings.hosts == ["localhost", "127.0.0.1"]
    assert str(settings.schedule_rule) == "continuous"


@pytest.mark.parametrize(
    ("good", "bad", "name"),
    [
        ("http://main-server:8000", "http://main_server:8000", "underscore"),
        ("http://main-server:8000", "main-server:8000", "main_server_url"),
        ('"door"', '"Front Door"', "device_name"),
        ("dataset_directory", "dataset", "dataset"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, good: str, bad: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        DeviceSettings.load(write(tmp_path, GOOD.replace(good, bad)))


def test_a_wrong_setting_stops_the_start_with_one_line(tmp_path: Path) -> None:
    settings = {"TRAINER_THREADS": "none", "DATASET_DIRECTORY": "x"}
    server = Server("device1.wsgi:app", tmp_path, settings)
    server.start(wait=False)
    assert server.exit_status() != 0
    lines = [line for line in server.log.read_text().splitlines() if "trainer_threads" in line]
    assert len(lines) == 1
    assert lines[0].startswith("The configuration is wrong: ")
    assert "Traceback" not in server.log.read_text()


def test_two_workers_of_one_device_stop_the_start_with_one_line(tmp_path: Path) -> None:
    settings = {"WORKERS": "2", "DATASET_DIRECTORY": "x", "MAIN_SERVER_URL": "http://127.0.0.1:9"}
    server = Server("device1.wsgi:app", tmp_path, settings)
    server.start(wait=False)
    assert server.exit_status() != 0
    lines = [line for line in server.log.read_text().splitlines() if "WORKERS" in line]
    assert len(lines) == 1
    assert lines[0].startswith("The configuration is wrong: another process of device1 has ")
    assert "Traceback" not in server.log.read_text()


def test_a_second_server_on_one_state_leaves_the_first_alone(tmp_path: Path) -> None:
    settings = {"DATASET_DIRECTORY": "x", "MAIN_SERVER_URL": "http://127.0.0.1:9"}
    first, second = (Server("device1.wsgi:app", tmp_path, settings) for _ in range(2))
    first.start()
    try:
        trainer = first.status()["trainer"]["pid"]
        second.start(wait=False)
        assert second.exit_status() != 0
        assert "stop the other server" in second.tail()
        assert first.status()["trainer"]["pid"] == trainer
    finally:
        first.stop()
    second.start()  # an end, of whatever kind, frees the state
    second.stop()


def test_own_pictures_come_before_built_in_ones(
    tmp_path: Path, make_settings: Callable[..., DeviceSettings]
) -> None:
    settings = make_settings(builtin_dataset_directory=tmp_path / "builtin")
    assert settings.pictures("digits") == tmp_path / "dataset" / "digits"
    (tmp_path / "builtin" / "digits").mkdir(parents=True)
    assert settings.pictures("digits") == tmp_path / "builtin" / "digits"
    (tmp_path / "dataset" / "digits").mkdir(parents=True)
    assert settings.pictures("digits") == tmp_path / "dataset" / "digits"


def test_devices_differ_in_their_settings_alone() -> None:
    folders = [ROOT / "device1", ROOT / "device2"]
    for folder in folders:
        files = {path.name for path in folder.iterdir() if path.is_file()}
        assert files == {"wsgi.py", "device.toml"}
        assert DeviceSettings.load(folder / "device.toml").device_name == folder.name
    assert (folders[0] / "wsgi.py").read_text() == (folders[1] / "wsgi.py").read_text()


def test_the_web_side_loads_nothing_heavy() -> None:
    code = (
        "import sys, shared.device.app; "
        "sys.exit(bool({'tensorflow', 'keras', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
