"""Rounds in which more than a MobileNet's classifier is trained and sent, with real servers."""

from collections.abc import Iterator

import pytest

from tests.federation import TASKS, Federation

TASK_LINES = {
    "block": 'trainable = "block"',
    "all": 'trainable = "all"',
    "cnn": 'architecture = "catdog_cnn"',
}


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Two devices with the same pictures for a task of each kind."""
    tasks = "".join(
        TASKS.replace("shades", name) + f"    {line}\n" for name, line in TASK_LINES.items()
    )
    federation = Federation(tmp_path_factory.mktemp("depths"), tasks)
    for name in TASK_LINES:
        federation.write_pictures(name)
    try:
        for server in federation.servers:
            server.start()
        yield federation
    finally:
        federation.close()


@pytest.mark.parametrize(
    ("task", "least_bytes"), [("block", 262_000), ("all", 870_000), ("cnn", 180_000)]
)
def test_a_round(federation: Federation, task: str, least_bytes: int) -> None:
    for name in federation.devices:
        assert federation.caught_up(name, task)["version"] == 0
    (told,) = federation.main.do(f"/run_rounds?task={task}", {"rounds": 1})["rounds"]
    assert (told["version"], told["updates"], told["errors"]) == (1, 2, {})
    assert told["evaluation"]["num_samples"] == 14
    for name, device in federation.devices.items():
        assert federation.caught_up(name, task)["version"] == 1
        (update,) = (device.state / "updates").glob(f"{task}-*")
        assert update.stat().st_size > least_bytes
    versions = federation.versions(task)
    assert versions[0] != versions[1]
