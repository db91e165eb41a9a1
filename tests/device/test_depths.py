"""Rounds in which more than the classifier is trained and sent, with real servers."""

from collections.abc import Iterator

import pytest

from tests.federation import TASKS, Federation

DEPTHS = ("block", "all")


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Two devices with the same pictures for a task of each depth."""
    tasks = "".join(
        TASKS.replace("shades", depth) + f'    trainable = "{depth}"\n' for depth in DEPTHS
    )
    federation = Federation(tmp_path_factory.mktemp("depths"), tasks)
    for depth in DEPTHS:
        federation.write_pictures(depth)
    try:
        for server in federation.servers:
            server.start()
        yield federation
    finally:
        federation.close()


@pytest.mark.parametrize(("depth", "least_bytes"), [("block", 262_000), ("all", 870_000)])
def test_a_round(federation: Federation, depth: str, least_bytes: int) -> None:
    for name in federation.devices:
        assert federation.caught_up(name, depth)["version"] == 0
    (told,) = federation.main.do(f"/run_rounds?task={depth}", {"rounds": 1})["rounds"]
    assert (told["version"], told["updates"], told["errors"]) == (1, 2, {})
    assert told["evaluation"]["num_samples"] == 14
    for name, device in federation.devices.items():
        assert federation.caught_up(name, depth)["version"] == 1
        (update,) = (device.state / "updates").glob(f"{depth}-*")
        assert update.stat().st_size > least_bytes
    versions = federation.versions(depth)
    assert versions[0] != versions[1]
