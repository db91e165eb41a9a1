from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from shared.command_line.commands import main


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def test_digits_go_to_every_device_folder(runner: CliRunner) -> None:
    for name in ("device1", "device7"):
        Path(name).mkdir()
        Path(name, "device.toml").touch()
    result = runner.invoke(main, ["dataset", "digits"])
    assert result.exit_code == 0
    assert result.output == "Wrote dataset/device1/digits\nWrote dataset/device7/digits\n"
    assert len(list(Path("dataset").glob("*/digits/test/7/*.png"))) > 30
    assert runner.invoke(main, ["dataset", "digits"]).output == ""


def test_digits_go_to_named_devices(runner: CliRunner) -> None:
    result = runner.invoke(
        main, ["dataset", "digits", "--device", "a", "--device", "b", "--directory", "pictures"]
    )
    assert result.output == "Wrote pictures/a/digits\nWrote pictures/b/digits\n"


def test_another_deal_leaves_own_pictures_and_says_so(runner: CliRunner) -> None:
    devices = ["--device", "a", "--device", "b"]
    runner.invoke(main, ["dataset", "digits", *devices])
    own = Path("dataset/a/digits/train/3/mine.png")
    own.write_bytes(b"mine")
    result = runner.invoke(main, ["dataset", "digits", *devices, "--device", "c"])
    assert result.exit_code == 0  # `make run` goes on
    assert result.stdout == ""
    assert result.stderr.startswith("dataset/a/digits holds something else")
    assert own.read_bytes() == b"mine"


def test_import_tells_what_it_did_and_what_to_add(runner: CliRunner) -> None:
    for name in ("parcel", "not_parcel"):
        folder = Path("Parcel/Client1/train", name)
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "1.png"), np.zeros((9, 9, 3), np.uint8))
    Path("Parcel/Client1/train/parcel/2.png").write_text("no picture")
    result = runner.invoke(main, ["dataset", "import", "Parcel", "--task", "parcels"])
    assert result.exit_code == 0
    assert "Left out: Parcel/Client1/train/parcel/2.png is neither" in result.output
    assert "There is no device device1 yet" in result.output
    assert '[tasks.parcels]\nclasses = ["not_parcel", "parcel"]\n' in result.output
    assert Path("dataset/device1/parcels/train/parcel/1.png").exists()


def test_errors_are_one_line_and_status_one(runner: CliRunner) -> None:
    Path("empty").mkdir()
    result = runner.invoke(main, ["dataset", "import", "empty", "--task", "parcels"])
    assert result.exit_code == 1
    assert result.output == "Error: empty holds no Client1/train/CLASS folder.\n"
