"""The trainer's process with pictures that were uploaded, and its answers for single ones."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from shared.device.remote import RemoteProblem
from shared.federated.task import Task, TrainingSettings
from shared.web.jobs import Job, JobControl
from tests.device.conftest import CLASSES, write_pictures
from tests.device.test_trainer_process import SHADES, House
from tests.server import wait_until

CNN = Task(name="shades_cnn", classes=("dark", "light"), architecture="catdog_cnn", image_size=40)

GREY = Task(name="shades_grey", classes=("dark", "light"), architecture="mnist_mlp")

BLOCK = Task(name="shades_block", classes=("dark", "light"), image_size=32, trainable="block")
WELL = TrainingSettings(epochs=30, learning_rate=0.03).model_dump()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"))
    yield house
    house.trainer.stop()


def uploads(directory: Path, split: str, each: int, seed: int = 77) -> dict[str, list[list[Any]]]:
    """New pictures of a split, as a device hands them to its trainer."""
    write_pictures(directory, each, seed)
    labels = {name: label for label, name in enumerate(CLASSES)}
    return {
        split: [
            [str(path), labels[path.parent.name], sha256(path.read_bytes()).hexdigest()]
            for path in sorted(directory.glob("*/*"))
        ]
    }


def train(
    house: House,
    pictures: Path,
    uploaded: Any,
    task: Task | None = None,
    control: JobControl | None = None,
    **changes: Any,
) -> dict[str, Any]:
    definition = task.model_dump(mode="json") if task else SHADES
    start = house.directory / f"initial-{definition['name']}"
    if not start.exists():
        house.trainer.call("initial", task=definition, output=str(start))
    arguments: dict[str, Any] = {
        "task": definition,
        "pictures": str(pictures),
        "files": {
            "start": str(start),
            "base": str(start),
            "update": str(house.directory / "update"),
            "keeps": str(house.directory / "keeps"),
        },
        "settings": TrainingSettings(epochs=2).model_dump(),
        "seed": 1,
        "header": {"device": "door", "base_version": 0},
        "uploaded": uploaded,
    }
    return house.trainer.call("train", control, **arguments | changes)


def test_uploaded_pictures_are_trained_on_with_those_of_the_folder(
    house: House, tmp_path: Path
) -> None:
    added = uploads(tmp_path / "up", "train", 3)
    together = train(house, house.pictures, added)
    assert together["num_samples"] == 26
    segments = sorted((house.directory / "features").glob("*/*"))
    assert train(house, house.pictures, added)["history"] == together["history"]
    assert sorted((house.directory / "features").glob("*/*")) == segments
    assert train(house, house.pictures, {})["num_samples"] == 20


@pytest.mark.parametrize("task", [None, CNN, GREY])
def test_uploads_are_enough(house: House, tmp_path: Path, task: Task | None) -> None:
    added = {
        split: rows
        for split, each in {"train": 4, "valid": 1, "test": 2}.items()
        for rows in uploads(tmp_path / split, split, each).values()
    }
    learned = train(house, tmp_path / "none", added, task)
    assert learned["num_samples"] == 8
    assert sorted(learned["history"]) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert learned["evaluation"]["num_samples"] == 4
    assert "confusion" not in learned["evaluation"]


def test_no_picture_anywhere(house: House, tmp_path: Path) -> None:
    with pytest.raises(RemoteProblem, match="Or upload pictures") as raised:
        train(house, tmp_path, {"test": uploads(tmp_path / "up", "test", 1)["test"]})
    assert raised.value.kind == "empty-split"


def test_an_unreadable_upload_is_told_by_its_hash(house: House, tmp_path: Path) -> None:
    added = uploads(tmp_path / "up", "train", 1, seed=78)
    path, _, digest = added["train"][0]
    Path(path).write_bytes(b"nothing")
    learned = train(house, house.pictures, added)
    assert learned["num_samples"] == 21
    (skipped,) = learned["skipped"]
    assert skipped["picture"] == f"uploads/{digest[:12]}"
    assert "neither a JPEG nor a PNG" in skipped["reason"]


def test_a_confusion_counts_folder_and_uploads(house: House, tmp_path: Path) -> None:
    train(house, house.pictures, None, settings=WELL)
    evaluated = house.trainer.call(
        "evaluate",
        task=SHADES,
        pictures=str(house.pictures),
        weights=str(house.directory / "update"),
        uploaded=uploads(tmp_path / "up", "test", 2),
    )["evaluation"]
    confusion = evaluated["confusion"]
    assert confusion == sorted(confusion)
    assert sum(count for *_, count in confusion) == evaluated["num_samples"] == 16
    right = sum(count for label, answered, count in confusion if label == answered)
    assert right / 16 == evaluated["accuracy"] > 0.8


def predict(house: House, picture: Path, weights: Path, task: Any = SHADES) -> dict[str, Any]:
    return house.trainer.call("predict", task=task, picture=str(picture), weights=str(weights))


def test_what_a_picture_shows(house: House) -> None:
    train(house, house.pictures, None, settings=WELL)
    told = [
        predict(house, house.pictures / "test" / name / "00.png", house.directory / "update")
        for name in CLASSES
    ]
    assert [answer["classes"][0]["name"] for answer in told] == list(CLASSES)
    for answer in told:
        chances = [row["probability"] for row in answer["classes"]]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) == pytest.approx(1)
        assert sorted(answer["seconds"]) == ["decode", "model"]
        assert all(seconds >= 0 for seconds in answer["seconds"].values())


def test_the_ten_most_likely_of_many_classes(house: House, tmp_path: Path) -> None:
    classes = tuple(f"class {index}" for index in range(12))
    task = Task(name="many", classes=classes, image_size=32).model_dump(mode="json")
    house.trainer.call("initial", task=task, output=str(tmp_path / "initial"))
    picture = house.pictures / "test" / "dark" / "00.png"
    told = predict(house, picture, tmp_path / "initial", task)["classes"]
    assert len({row["name"] for row in told}) == 10
    task["classes"] = classes[:2]  # the task has changed, and with it the network
    with pytest.raises(RemoteProblem) as raised:
        predict(house, picture, tmp_path / "initial", task)
    assert raised.value.kind == "schema-mismatch"


def test_a_file_that_is_no_picture(house: House, tmp_path: Path) -> None:
    (tmp_path / "fake.png").write_bytes(b"GIF89a")
    with pytest.raises(RemoteProblem) as raised:
        predict(house, tmp_path / "fake.png", house.directory / "update")
    assert raised.value.kind == "unreadable-picture"


@contextmanager
def training(house: House, task: Task) -> Iterator[Callable[[], Job]]:
    """A training that outlasts what is done meanwhile; gives what is known of it."""

    def work(control: JobControl) -> dict[str, Any]:
        settings = TrainingSettings(epochs=1000, batch_size=1).model_dump()
        return train(house, house.pictures, None, task, control, settings=settings)

    job = house.jobs.start("modeltrain", "shades", work)
    try:
        yield lambda: house.jobs.get(job)
    finally:
        house.jobs.cancel(job)
        assert house.ended(job).status == "cancelled"


@pytest.mark.parametrize("task", [BLOCK, CNN])
def test_answers_while_a_training_goes_on(house: House, task: Task) -> None:
    """Also when the network that answers has yet to be built."""
    picture = house.pictures / "test" / "light" / "00.png"
    names = [f"other_{index}_{task.architecture}" for index in range(4)]
    weights = house.directory / "initial"
    house.trainer.call("initial", task=SHADES, output=str(weights))
    quiet = predict(house, picture, weights)["classes"]
    with training(house, task) as job:
        wait_until(lambda: (job().progress or {}).get("epoch"))
        for name in names:  # more tasks than networks are kept
            assert predict(house, picture, weights, SHADES | {"name": name})["classes"] == quiet
        for _ in range(5):
            assert predict(house, picture, weights)["classes"] == quiet
        assert job().status == "running"


def test_asked_before_the_trainer_is_ready(house: House, tmp_path: Path) -> None:
    """It is answered as soon as it can be, not after the training that was asked for first."""
    weights, picture = house.directory / "initial", house.pictures / "test" / "light" / "00.png"
    house.trainer.call("initial", task=SHADES, output=str(weights))
    fresh = House(tmp_path)
    house.trainer.call(
        "initial", task=BLOCK.model_dump(), output=str(tmp_path / f"initial-{BLOCK.name}")
    )
    try:
        with training(fresh, BLOCK) as job:
            wait_until(lambda: fresh.trainer.state == "starting")
            assert predict(fresh, picture, weights)["classes"]
            assert job().status == "running"
    finally:
        fresh.trainer.stop()
