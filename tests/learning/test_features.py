"""The feature store: nothing is computed twice, and nothing wrong is believed."""

import os
import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from shared.errors import UnreadablePicture
from shared.learning import features as feature_store
from shared.learning.features import Features, FeatureStore
from shared.learning.network import Network
from tests.learning.samples import make_pictures


class Album:
    """Pictures with hashes, which counts how often it is asked for one."""

    def __init__(self, count: int, seed: int = 1) -> None:
        self.pictures, _ = make_pictures(count, seed)
        self.hashes = [sha256(picture.tobytes()).hexdigest() for picture in self.pictures]
        self.asked: list[int] = []

    def load(self, index: int) -> npt.NDArray[np.uint8]:
        self.asked.append(index)
        picture: npt.NDArray[np.uint8] = self.pictures[index]
        return picture


class Plain:
    """An extractor that is quick: the mean of each row of pixels."""

    features_key = "plain"
    feature_shape: tuple[int, ...] = (32, 3)
    feature_dtype: Any = np.dtype(np.float32)

    def extract(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        means: npt.NDArray[np.float32] = pictures.mean(axis=2, dtype=np.float32)
        return means


def segments(store: FeatureStore) -> list[Path]:
    return sorted(store.directory.glob("*/*"))


def check(features: Features, album: Album) -> None:
    """All of the album's pictures, in order, with the right values."""
    assert features.kept == list(range(len(album.hashes)))
    assert features.unreadable == {}
    np.testing.assert_array_equal(features.array, Plain().extract(album.pictures))


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "features")


def test_the_second_call_runs_no_backbone_and_decodes_nothing(
    store: FeatureStore, block: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    album = Album(40)
    first = store.features(block, album.hashes, album.load)
    np.testing.assert_array_equal(first.array, block.extract(album.pictures))
    album.asked.clear()
    monkeypatch.setattr(block, "_runtime", None)
    again = FeatureStore(store.directory).features(block, album.hashes, album.load)
    np.testing.assert_array_equal(again.array, first.array)
    assert album.asked == []


def test_only_new_pictures_are_computed_and_order_is_kept(store: FeatureStore) -> None:
    album = Album(300)
    store.features(Plain(), album.hashes[:200], album.load)
    album.asked.clear()
    backwards = list(range(299, -1, -1))
    features = store.features(
        Plain(), [album.hashes[i] for i in backwards], lambda i: album.load(backwards[i])
    )
    assert sorted(album.asked) == list(range(200, 300))
    np.testing.assert_array_equal(features.array, Plain().extract(album.pictures)[::-1])


def test_ten_new_pictures_cost_ten_forward_passes(store: FeatureStore) -> None:
    class Counting(Plain):
        seen = 0

        def extract(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
            self.seen += len(pictures)
            return super().extract(pictures)

    album, network = Album(150), Counting()
    store.features(network, album.hashes[:140], album.load)
    check(store.features(network, album.hashes, album.load), album)
    assert network.seen == 150
    assert sorted(album.asked) == list(range(150))


def test_features_are_mapped_from_one_file_of_just_these_pictures(store: FeatureStore) -> None:
    album = Album(150)
    for _ in range(2):
        features = store.features(Plain(), album.hashes, album.load)
        (segment,) = segments(store)
        assert isinstance(features.array, np.memmap)
        assert Path(str(features.array.filename)) == segment
        assert features.array.ctypes.data % 64 == 0  # TensorFlow then needs no copy
        check(features, album)


def test_what_was_computed_before_a_cancellation_is_kept(store: FeatureStore) -> None:
    album = Album(150)

    def cancel(done: int, _total: int) -> None:
        if done >= 64:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        store.features(Plain(), album.hashes, album.load, cancel)
    album.asked.clear()
    check(store.features(Plain(), album.hashes, album.load), album)
    assert sorted(album.asked) == list(range(64, 150))


def test_a_segment_that_goes_while_it_is_mapped_is_no_harm(store: FeatureStore) -> None:
    album = Album(30)
    features = store.features(Plain(), album.hashes, album.load)
    for segment in segments(store):
        segment.unlink()
    check(features, album)
    album.asked.clear()
    check(store.features(Plain(), album.hashes, album.load), album)
    assert len(album.asked) == 30


def test_equal_pictures_are_computed_once(store: FeatureStore) -> None:
    album = Album(3)
    features = store.features(Plain(), album.hashes * 2, lambda i: album.load(i % 3))
    assert len(album.asked) == 3
    np.testing.assert_array_equal(features.array[:3], features.array[3:])


def test_networks_do_not_mix(store: FeatureStore) -> None:
    class Other(Plain):
        features_key = "other"

        def extract(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
            return super().extract(pictures) + 1

    album = Album(5)
    store.features(Other(), album.hashes, album.load)
    check(store.features(Plain(), album.hashes, album.load), album)


def test_another_decoding_is_another_picture(tmp_path: Path) -> None:
    album = Album(5)
    for calls, decoding in enumerate(("square-1", "square-2"), start=1):
        store = FeatureStore(tmp_path, decoding=decoding)
        for _ in range(2):
            check(store.features(Plain(), album.hashes, album.load), album)
        assert len(album.asked) == 5 * calls


def test_unreadable_pictures_are_named_and_left_out(store: FeatureStore) -> None:
    album = Album(5)

    def load(index: int) -> npt.NDArray[np.uint8]:
        if index in (1, 4):
            raise UnreadablePicture(f"picture {index} is truncated")
        return album.load(index)

    features = store.features(Plain(), album.hashes, load)
    assert features.kept == [0, 2, 3]
    assert features.unreadable == {1: "picture 1 is truncated", 4: "picture 4 is truncated"}
    expected = Plain().extract(album.pictures)[[0, 2, 3]]
    np.testing.assert_array_equal(features.array, expected)


def test_progress_ends_at_all(store: FeatureStore) -> None:
    album = Album(300)
    steps: list[tuple[int, int]] = []
    store.features(Plain(), album.hashes, album.load, lambda *step: steps.append(step))
    assert [total for _, total in steps] == [300] * len(steps)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert len(steps) > 1
    assert steps[-1] == (300, 300)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_segment_is_computed_again(store: FeatureStore, damage: str) -> None:
    album = Album(30)
    store.features(Plain(), album.hashes, album.load)
    (segment,) = segments(store)
    content = bytearray(segment.read_bytes())
    content[-10] ^= 1
    changed: dict[str, bytes] = {
        "cut": bytes(content[:-200]),
        "flip": bytes(content),
        "empty": b"",
        "other": b"not safetensors",
    }
    segment.write_bytes(changed[damage])
    album.asked.clear()
    check(store.features(Plain(), album.hashes, album.load), album)
    assert len(album.asked) == 30
    check(store.features(Plain(), album.hashes, album.load), album)
    assert len(album.asked) == 30


def test_two_writers(store: FeatureStore) -> None:
    albums = [Album(200), Album(200), Album(200, seed=2)]
    results: list[tuple[Features, Album]] = []

    def fill(album: Album) -> None:
        for _ in range(5):
            own = FeatureStore(store.directory, max_bytes=150_000)
            results.append((own.features(Plain(), album.hashes, album.load), album))

    threads = [threading.Thread(target=fill, args=(album,)) for album in albums]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(results) == 15
    for features, album in results:
        check(features, album)


_WRITER = """
import sys
from hashlib import sha256
from pathlib import Path
import numpy as np
from shared.learning.features import FeatureStore
from tests.learning.samples import make_pictures

class Means:
    features_key, feature_shape, feature_dtype = "means", (32, 3), np.dtype(np.float32)
    def extract(self, pictures):
        return pictures.mean(axis=2, dtype=np.float32)

pictures, _ = make_pictures(200, int(sys.argv[2]))
hashes = [sha256(picture.tobytes()).hexdigest() for picture in pictures]
for _ in range(20):
    store = FeatureStore(Path(sys.argv[1]), max_bytes=150_000)
    features = store.features(Means(), hashes, lambda index: pictures[index])
    assert np.array_equal(features.array, Means().extract(pictures))
"""


def test_two_writers_that_are_processes(tmp_path: Path) -> None:
    """Two write the same, a third one something else; the store is too small for all."""
    root = Path(__file__).parents[2]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path), seed], cwd=root, stderr=subprocess.PIPE
        )
        for seed in ("1", "1", "2")
    ]
    for writer in writers:
        _, told = writer.communicate(timeout=120)
        assert writer.returncode == 0, told.decode()
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in left if path.name.startswith(".")]


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    old, new = Album(20, seed=1), Album(20, seed=2)
    for age, album in ((100, old), (200, new)):
        before = set(segments(store))
        store.features(Plain(), album.hashes, album.load)
        (made,) = set(segments(store)) - before
        os.utime(made, (age, age))
    store.features(Plain(), old.hashes, old.load)
    size = max(path.stat().st_size for path in segments(store))
    for album in (old, new):
        album.asked.clear()
    small = FeatureStore(tmp_path, max_bytes=size)
    check(small.features(Plain(), old.hashes, old.load), old)
    assert old.asked == []
    assert len(segments(store)) == 1
    check(small.features(Plain(), new.hashes, new.load), new)
    assert len(new.asked) == 20
    assert sum(path.stat().st_size for path in segments(store)) <= size


def test_more_features_than_the_store_may_hold_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are right all the same."""
    album = Album(30)
    small = FeatureStore(tmp_path, max_bytes=2000)
    for _ in range(2):
        check(small.features(Plain(), album.hashes, album.load), album)
    assert "FEATURE_STORE_BYTES" in caplog.text
    assert not segments(small)


def test_many_parts_leave_one_segment(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when there are more than are kept mapped."""
    monkeypatch.setattr(feature_store, "_PART_PICTURES", 2)
    monkeypatch.setattr(feature_store, "_MOST_MAPPED", 3)
    album = Album(30)
    check(store.features(Plain(), album.hashes, album.load), album)
    assert len(segments(store)) == 1


def test_what_a_broken_off_writer_left_is_pruned_too(tmp_path: Path) -> None:
    (tmp_path / "plain-plain").mkdir()
    left = tmp_path / "plain-plain" / ".half.safetensors.abc"
    left.write_bytes(bytes(1000))
    os.utime(left, (100, 100))
    album = Album(2)
    FeatureStore(tmp_path, max_bytes=1500).features(Plain(), album.hashes, album.load)
    assert not left.exists()


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "plain-plain").write_text("a file where the folder should be")
    album = Album(5)
    check(FeatureStore(tmp_path).features(Plain(), album.hashes, album.load), album)


def test_no_picture_at_all(store: FeatureStore) -> None:
    features = store.features(Plain(), [], lambda _: np.zeros((32, 32, 3), np.uint8))
    assert features.array.shape == (0, 32, 3)
