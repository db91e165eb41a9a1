import subprocess
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from tests.compose.federation import Federation
from tests.lacking import skip_or_fail

#: A task of the user's own, for which device1 alone has pictures.
OWN_TASK = """
[tasks.colours]
classes = ["dark", "light"]
"""


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    _need_engine()
    federation = Federation(tmp_path_factory.mktemp("clone"))
    with (federation.directory / "main_server" / "tasks.toml").open("a") as tasks:
        tasks.write(OWN_TASK)
    random = np.random.default_rng(1)
    for split in ("train", "valid", "test"):
        for name, brightness in (("dark", 0), ("light", 200)):
            folder = federation.directory / "dataset" / "device1" / "colours" / split / name
            folder.mkdir(parents=True)
            for number in range(8):
                picture = random.integers(brightness, brightness + 50, (16, 16, 3), np.uint8)
                assert cv2.imwrite(str(folder / f"{number}.png"), picture)
    try:
        federation.compose("up", "--build", "--detach", "--wait", "--wait-timeout=300")
        federation.wait_for_devices("device1", "device2")
        yield federation
    finally:
        federation.close()


def _need_engine() -> None:
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            skip_or_fail(f"no Docker engine with Compose: {error}")
