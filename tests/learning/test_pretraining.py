"""The script that makes the built-in backbone, on a few pictures."""

import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from shared.federated.weights import read_weights
from shared.learning import pretraining
from shared.learning.architectures.mobilenet import mobilenet
from shared.learning.backbone import assign
from shared.learning.pretraining import learning_rate, pretrain
from shared.learning.pretraining_pictures import CIFAR, SYMBOLS, read_collection, vary


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    """Two archives as the real ones, with 8 photos of two classes and 40 symbols of two."""
    photo = np.full((32, 32, 3), (0, 0, 200), np.uint8)
    symbol = np.full((28, 28), 255, np.uint8)
    symbol[10:20, 12:14] = 0
    for archive, picture, names in (
        (
            CIFAR,
            photo,
            [f"{s}/{c}/{i}.jpg" for s in ("train", "test") for c in "ab" for i in "01"],
        ),
        (SYMBOLS, symbol, [f"{c}/{c}-{i}.png" for c in "01" for i in range(20)]),
    ):
        (tmp_path / archive).parent.mkdir()
        with zipfile.ZipFile(tmp_path / archive, "w") as opened:
            for name in names:
                opened.writestr(name, cv2.imencode(Path(name).suffix, picture)[1].tobytes())
    return tmp_path


def test_photos_and_symbols_become_one_collection(assets: Path) -> None:
    collection = read_collection(assets)
    assert (collection.num_classes, collection.first_symbol) == (4, 2)
    assert collection.train.pictures.shape == (4 + 36, 32, 32, 3)
    assert np.bincount(collection.train.labels).tolist() == [2, 2, 18, 18]
    assert np.bincount(collection.test.labels).tolist() == [2, 2, 2, 2]
    # Red stays red; black on white becomes white on black.
    red, symbol = collection.test.pictures[0], collection.test.pictures[-1]
    np.testing.assert_allclose(red[16, 16], (200, 0, 0), atol=4)
    assert symbol[0].max() == 0
    assert symbol[14, 14].tolist() == [255, 255, 255]


def show(is_symbol: bool, number: int) -> Any:
    """A picture that is bright on its left, varied 32 times."""
    pictures = np.zeros((32, 32, 32, 3), np.uint8)
    pictures[:, 8:24, 8:14] = 255
    return vary(pictures, np.full(32, is_symbol), 48, [1, number]).numpy()


def test_photos_are_mirrored_and_symbols_are_not() -> None:
    photos, symbols = show(False, 1), show(True, 1)
    assert photos.shape == (32, 48, 48, 3)
    # An inverted symbol is dark where others are bright.
    symbols = np.where(symbols[:, :1, -1:] > 127, 255 - symbols, symbols)
    for shown, mirrored in ((photos, True), (symbols, False)):
        right = shown[:, :, 24:].sum(axis=(1, 2, 3)) > shown[:, :, :24].sum(axis=(1, 2, 3))
        assert right.any() == mirrored


def test_equal_seeds_vary_equally() -> None:
    np.testing.assert_array_equal(show(True, 1), show(True, 1))
    assert not np.array_equal(show(True, 1), show(True, 2))


def test_the_backbone_is_written(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining, "BATCH_SIZE", 12)
    output = tmp_path / "made.safetensors"
    pretrain(read_collection(assets), (32,), 1, output)
    weights = read_weights(output)
    assert all(np.isfinite(array).all() for array in weights.values())
    assign(mobilenet(0.25, 32), weights)


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [learning_rate(progress / 100) for progress in range(101)]
    assert np.argmax(rates) == 10
    assert rates[10] == pytest.approx(0.004)
    assert rates[-1] == pytest.approx(0)
    assert 0 < rates[0] < 0.0005


def test_without_pictures_it_says_which_are_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FEDBELL_TEST_DATA", raising=False)
    monkeypatch.setattr("sys.argv", ["pretraining"])
    with pytest.raises(SystemExit):
        pretraining.main()
    assert "cifar10/ and math_symbols/: --data PATH" in capsys.readouterr().err
