"""Where backbones come from, and what is said when they are not there."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest

from shared.federated.weights import read_weights, write_weights
from shared.learning import backbone
from shared.learning.backbone import BUILTIN, BackboneMissing, BackboneUnfit, imagenet_file
from shared.learning.network import build_network
from tests.learning.samples import SIZE, make_pictures, make_task

NAME = "mobilenet_2_5_224_tf_no_top.h5"
#: Nothing listens there: what a device without a network sees, at once.
NOWHERE = "http://127.0.0.1:9/"


@pytest.fixture
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Keras cache, and no network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(backbone, "_IMAGENET_URL", NOWHERE)
    models = tmp_path / "keras" / "models"
    models.mkdir(parents=True)
    return models


@pytest.fixture
def web_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that stands for the place Keras downloads from."""
    folder = tmp_path / "web"
    folder.mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setattr(backbone, "_IMAGENET_URL", f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()
        thread.join(timeout=10)


def test_names_of_the_imagenet_files() -> None:
    names = [imagenet_file(alpha) for alpha in (0.25, 0.5, 0.75, 1.0)]
    assert names == [f"mobilenet_{x}_224_tf_no_top.h5" for x in ("2_5", "5_0", "7_5", "1_0")]


def test_imagenet_weights_are_read_as_keras_reads_them(keras_home: Path, test_data: Path) -> None:
    shutil.copy(test_data / "weights" / NAME, keras_home)
    network = build_network(make_task(backbone="imagenet"), keras_home.parent / "own")
    pictures, _ = make_pictures(4)
    theirs = keras.applications.MobileNet(
        input_shape=(SIZE, SIZE, 3),
        alpha=0.25,
        include_top=False,
        pooling="avg",
        weights=str(keras_home / NAME),
    )
    expected = theirs(pictures / np.float32(127.5) - 1, training=False)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(network.extract(pictures), expected, atol=1e-4 * scale)


@pytest.mark.parametrize("alpha", [0.75, 1.0])
def test_wider_imagenet_weights(test_data: Path, alpha: float) -> None:
    task = make_task(backbone="imagenet", alpha=alpha)
    network = build_network(task, test_data / "weights")
    assert network.feature_shape == (int(1024 * alpha),)


def test_missing_imagenet_weights_say_what_to_put_where(keras_home: Path, tmp_path: Path) -> None:
    with pytest.raises(BackboneMissing) as caught:
        build_network(make_task(backbone="imagenet"), tmp_path / "own")
    for part in ("task sides", NAME, str(tmp_path / "own"), str(keras_home)):
        assert part.lower() in caught.value.detail.lower()
    assert caught.value.members["file"] == NAME
    assert list(keras_home.iterdir()) == []


def test_imagenet_weights_are_downloaded_once(
    keras_home: Path, web_folder: Path, test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(test_data / "weights" / NAME, web_folder)
    first = build_network(make_task(backbone="imagenet"), keras_home)
    monkeypatch.setattr(backbone, "_IMAGENET_URL", NOWHERE)
    second = build_network(make_task(backbone="imagenet"), keras_home)
    assert first.backbone_sha256 == second.backbone_sha256


def test_a_page_that_is_no_weights_file_is_not_kept(keras_home: Path, web_folder: Path) -> None:
    with pytest.raises(BackboneMissing, match="404"):
        build_network(make_task(backbone="imagenet"), web_folder / "own")
    assert list(keras_home.iterdir()) == []


def test_own_file(tmp_path: Path) -> None:
    shutil.copy(BUILTIN, tmp_path / "mine.safetensors")
    own = build_network(make_task(backbone="file:mine.safetensors"), tmp_path)
    assert own.backbone_sha256 == build_network(make_task(), tmp_path).backbone_sha256


def test_own_file_in_the_format_of_keras(tmp_path: Path, test_data: Path) -> None:
    shutil.copy(test_data / "weights" / NAME, tmp_path / "mine.h5")
    own = build_network(make_task(backbone="file:mine.h5"), tmp_path)
    assert own.backbone_sha256 != build_network(make_task(), tmp_path).backbone_sha256


def test_missing_own_file(tmp_path: Path) -> None:
    with pytest.raises(BackboneMissing, match=f"mine.h5.*{tmp_path}"):
        build_network(make_task(backbone="file:mine.h5"), tmp_path)


@pytest.mark.parametrize("name", ["mine.h5", "mine.safetensors"])
def test_damaged_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(BackboneUnfit, match=name):
        build_network(make_task(backbone=f"file:{name}"), tmp_path)


def test_file_of_another_network(tmp_path: Path) -> None:
    weights = read_weights(BUILTIN)
    del weights["conv1/kernel"]
    write_weights(tmp_path / "mine.safetensors", weights)
    with pytest.raises(BackboneUnfit, match="conv1/kernel is missing"):
        build_network(make_task(backbone="file:mine.safetensors"), tmp_path)


def test_file_of_another_width(tmp_path: Path, test_data: Path) -> None:
    shutil.copy(test_data / "weights" / NAME, tmp_path / "mine.h5")
    with pytest.raises(BackboneUnfit, match="has shape"):
        build_network(make_task(backbone="file:mine.h5", alpha=0.5), tmp_path)


def test_builtin_backbone_has_one_width(tmp_path: Path) -> None:
    with pytest.raises(BackboneMissing, match=r"width 0\.25"):
        build_network(make_task(alpha=0.5), tmp_path)


def test_builtin_backbone_is_small() -> None:
    assert BUILTIN.stat().st_size <= 1_200_000
