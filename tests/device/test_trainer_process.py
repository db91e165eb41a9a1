"""The trainer's process, without servers. The tests share one, but for those that end it."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.datasets import RECIPE
from shared.device.remote import RemoteProblem
from shared.device.settings import DeviceSettings
from shared.device.store import Store
from shared.device.trainer_process import Trainer, TrainerDied
from shared.federated.task import Task, TrainingSettings
from shared.web.jobs import Job, JobCancelled, JobControl, Jobs
from tests.device.conftest import write_dataset, write_pictures
from tests.server import wait_until

SHADES = Task(name="shades", classes=("dark", "light"), image_size=32).model_dump(mode="json")


class Recorder(JobControl):
    """A job's control that keeps every progress it is told, and knows when its call waits."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.database, "unknown")
        self.seen: list[dict[str, Any]] = []
        self.waits = threading.Event()

    @contextmanager
    def when_cancelled(self, call: Callable[[], None]) -> Iterator[None]:
        self.waits.set()
        with super().when_cancelled(call):
            yield

    def report(self, progress: dict[str, Any], at_once: bool = True) -> None:
        self.seen.append(progress)


class House:
    """A trainer, its folder, and the jobs that use it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pictures = write_dataset(directory / "dataset") / "shades"
        self.store = Store(directory, "door")
        self.jobs = Jobs(self.store.database, directory / "processes")
        self.trainer = Trainer(
            DeviceSettings.load(
                device_name="door",
                device_url="http://127.0.0.1:1",
                main_server_url="http://127.0.0.1:1",
                dataset_directory=directory / "dataset",
                state_directory=directory,
                backbone_directory=directory / "backbones",
            )
        )

    def train(self, control: JobControl | None = None, epochs: int = 2) -> dict[str, Any]:
        start = self.directory / "initial"
        if not start.exists():
            self.trainer.call("initial", control, task=SHADES, output=str(start))
        return self.trainer.call(
            "train",
            control,
            task=SHADES,
            pictures=str(self.pictures),
            files={
                "start": str(start),
                "base": str(start),
                "update": str(self.directory / "update"),
                "keeps": str(self.directory / "keeps"),
            },
            settings=TrainingSettings(epochs=epochs).model_dump(),
            seed=1,
            header={"device": "door", "base_version": 0},
        )

    def ended(self, job: str) -> Job:
        """The job, once it has ended."""
        wait_until(lambda: self.jobs.get(job).status != "running")
        return self.jobs.get(job)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"))
    yield house
    house.trainer.stop()


def test_the_second_training_runs_no_backbone(house: House) -> None:
    second = Recorder(house.store)
    learned = house.train()
    segments = sorted((house.directory / "features").glob("*/*"))
    assert segments
    assert all(segment.parent.name.endswith(RECIPE) for segment in segments)
    again = house.train(second)
    assert {progress["phase"] for progress in second.seen} == {"training"}
    assert second.seen[-1]["epoch"] == 2
    assert sorted((house.directory / "features").glob("*/*")) == segments
    assert again["history"] == learned["history"]
    assert learned["num_samples"] == 20


def test_without_validation_pictures(house: House) -> None:
    (house.pictures / "valid").rename(house.pictures / "away")
    assert sorted(house.train()["history"]) == ["accuracy", "loss"]
    (house.pictures / "away").rename(house.pictures / "valid")


@contextmanager
def damaged(pictures: Iterable[Path]) -> Iterator[None]:
    """Pictures that cannot be read meanwhile."""
    whole = {picture: picture.read_bytes() for picture in pictures}
    for picture in whole:
        picture.write_bytes(b"nothing")
    try:
        yield
    finally:
        for picture, content in whole.items():
            picture.write_bytes(content)


def names(answer: dict[str, Any]) -> list[str]:
    """The pictures of an answer that were skipped; each has a reason."""
    assert all("neither a JPEG nor a PNG" in skipped["reason"] for skipped in answer["skipped"])
    return [skipped["picture"] for skipped in answer["skipped"]]


def test_unreadable_pictures_of_every_split_are_named(house: House) -> None:
    one_each = [house.pictures / split / "dark" / "00.png" for split in ("train", "valid", "test")]
    with damaged(one_each):
        trained = house.train()
    assert names(trained) == ["train/dark/00.png", "valid/dark/00.png", "test/dark/00.png"]
    assert trained["num_samples"] == 19
    assert trained["evaluation"]["num_samples"] == 11
    assert len(trained["history"]["val_loss"]) == 2


def test_training_goes_on_without_a_readable_picture_to_measure_on(house: House) -> None:
    others = [*house.pictures.glob("valid/*/*"), *house.pictures.glob("test/*/*")]
    with damaged(others):
        trained = house.train()
    assert sorted(trained["history"]) == ["accuracy", "loss"]
    assert trained["evaluation"] is None
    assert sorted(names(trained)) == sorted(
        str(path.relative_to(house.pictures)) for path in others
    )


def test_no_readable_picture_to_train_on(house: House) -> None:
    with (
        damaged(house.pictures.glob("train/*/*")),
        pytest.raises(RemoteProblem, match="can be read; the first one") as error,
    ):
        house.train()
    assert error.value.kind == "empty-split"


def test_unreadable_pictures_to_measure_on(house: House, tmp_path: Path) -> None:
    def evaluate() -> dict[str, Any]:
        weights = str(house.directory / "initial")
        return house.trainer.call("evaluate", task=SHADES, pictures=str(tmp_path), weights=weights)

    with pytest.raises(RemoteProblem) as error:
        evaluate()
    assert error.value.kind == "empty-split"
    write_pictures(tmp_path / "test", 1, 5)
    with damaged([tmp_path / "test" / "dark" / "00.png"]):
        some = evaluate()
    assert (some["evaluation"]["num_samples"], some["problem"]) == (1, None)
    assert names(some) == ["test/dark/00.png"]
    with damaged(tmp_path.glob("test/*/*")):
        none = evaluate()
    assert none["evaluation"] is None
    assert "can be read; the first one" in none["problem"]
    assert names(none) == ["test/dark/00.png", "test/light/00.png"]


def test_a_class_the_device_lacks(house: House, tmp_path: Path) -> None:
    write_pictures(tmp_path / "test", 2, 5)
    for picture in (tmp_path / "test" / "light").iterdir():
        picture.unlink()
    answer = house.trainer.call(
        "evaluate", task=SHADES, pictures=str(tmp_path), weights=str(house.directory / "initial")
    )
    assert answer["evaluation"]["num_samples"] == 2


def test_what_is_unexpected_is_told_and_survived(house: House) -> None:
    with pytest.raises(RemoteProblem) as error:
        house.trainer.call("train", task=SHADES)
    assert error.value.kind == "operation-failed"
    assert house.trainer.call("prepare", task=SHADES)["fingerprint"]


def test_cancelling_one_that_waits_behind_another(house: House) -> None:
    def work(control: JobControl) -> dict[str, Any]:
        return house.train(control, epochs=1000)

    first = house.jobs.start("modeltrain", "shades", work)
    wait_until(lambda: house.jobs.get(first).progress)
    second = house.jobs.start("modeltrain", "shades", work)
    house.jobs.cancel(second)
    house.jobs.cancel(first)
    for job in (first, second):
        ended = house.ended(job)
        assert ended.status == "cancelled"
        assert (ended.problem or {})["title"] == JobCancelled.title
    assert house.trainer.state == "ready"


def test_a_figure_is_drawn_while_a_training_goes_on(house: House) -> None:
    def work(control: JobControl) -> dict[str, Any]:
        return house.train(control, epochs=1000)

    history = house.train()["history"]
    job = house.jobs.start("modeltrain", "shades", work)
    wait_until(lambda: (house.jobs.get(job).progress or {}).get("epoch"))
    drawn = house.trainer.call("draw", history=history, title="door")
    assert "<svg" in drawn["svg"]
    assert house.jobs.get(job).status == "running"
    house.jobs.cancel(job)
    assert house.ended(job).status == "cancelled"


def test_killed_while_idle_nobody_notices(house: House) -> None:
    before = house.trainer.pid
    assert before
    os.kill(before, signal.SIGKILL)
    assert house.train()["num_samples"] == 20
    assert house.trainer.pid != before


def test_killed_at_work_only_that_work_fails(house: House) -> None:
    control = Recorder(house.store)
    failures: list[TrainerDied] = []

    def train() -> None:
        try:
            house.train(control, epochs=1000)
        except TrainerDied as error:
            failures.append(error)

    at_work = threading.Thread(target=train)
    at_work.start()
    wait_until(lambda: control.seen)
    results: list[dict[str, Any]] = []
    second = Recorder(house.store)
    waiting = threading.Thread(target=lambda: results.append(house.train(second)))
    waiting.start()
    assert second.waits.wait(60)
    assert house.trainer.pid
    os.kill(house.trainer.pid, signal.SIGKILL)
    at_work.join(60)
    waiting.join(60)
    assert "SIGKILL" in failures[0].detail
    assert results[0]["num_samples"] == 20


def test_one_that_cannot_start(
    tmp_path: Path, make_settings: Callable[..., DeviceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keras.py").write_text("import os; os._exit(7)")
    (tmp_path / "sitecustomize.py").write_text("import os; os.write(1, b'what a library says\\n')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    trainer = Trainer(make_settings())
    with pytest.raises(TrainerDied, match="ended while it started with code 7"):
        trainer.call("prepare", task=SHADES)
    assert trainer.state == "stopped"
