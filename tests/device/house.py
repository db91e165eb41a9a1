"""A main server and two devices, as the tests of train on upload have them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.device.processes import Connection
from tests.federation import TASKS, Federation
from tests.server import wait_until

EPOCHS = 4
#: Nobody has a folder of it: only who uploads takes part. Its versions are made by themselves.
_FRESH = """
    [tasks.fresh]
    classes = ["dark", "light"]
    image_size = 32
    auto_aggregate = true
"""


class House:
    """A main server and two devices, the first of which the tests can cut off."""

    def __init__(self, directory: Path) -> None:
        self.connection = Connection()
        self.federation = Federation(directory, TASKS + _FRESH)
        self.federation.write_pictures(train=6)
        self.main = self.federation.main
        self.device = self.federation.devices["device1"]
        self.device.environment |= {
            "MAIN_SERVER_URL": self.connection.url,
            "AUTO_TRAIN_EPOCHS": str(EPOCHS),
            "AUTO_TRAIN_QUIET_SECONDS": "0.5",
        }
        self._pictures = 0
        self.connect()

    def connect(self) -> None:
        """Let the device reach its main server."""
        self.connection.connect(self.main.url)

    def upload(self, *names: str, task: str = "shades") -> None:
        """Upload a new picture under each name, in one call."""
        seeds = range(self._pictures, self._pictures + len(names))
        self._pictures += len(names)
        each = [(name, picture(seed)) for name, seed in zip(names, seeds, strict=True)]
        answer = self.device.post(
            f"/pictures?task={task}", files=[("pictures", file) for file in each]
        )
        assert answer.status_code == 201, answer.text
        assert answer.json()["kept"] == len(names)

    def switch(self, on: bool, task: str = "shades") -> None:
        """Switch train on upload."""
        answer = self.device.do(f"/auto_train?task={task}", {"on": on})
        assert answer == {"task": task, "auto_train": on}
        assert self.device.task(task)["auto_train"] is on

    def log(self, begin: str, task: str = "shades") -> list[str]:
        """The messages of the device's log that begin so, oldest first."""
        text = self.device.http.get(f"/events.txt?task={task}").text
        return [line[line.index(begin) :] for line in text.splitlines() if begin in line]

    def told(self, number: int, task: str = "shades") -> str:
        """The last of so many messages on trainings of its own, once there are so many."""
        wait_until(lambda: len(self.log("Trained by itself", task)) >= number)
        return self.log("Trained by itself", task)[number - 1]

    def untrained(self, task: str = "shades") -> Any:
        """How many uploaded pictures no training has had."""
        return self.device.task(task)["uploads"]["untrained"]

    def problem(self) -> Any:
        """Why train on upload does not go on."""
        return self.device.task("shades")["auto_train_problem"]

    def jobs(self, kind: str) -> list[dict[str, Any]]:
        """The device's newest jobs of a kind, newest first."""
        return [job for job in self.device.get("/jobs")["jobs"] if job["kind"] == kind]


def picture(seed: int) -> bytes:
    """A noisy PNG file, each one another."""
    pixels = np.random.default_rng(seed).normal(60, 40, (40, 40, 3)).clip(0, 255)
    return cv2.imencode(".png", pixels.astype(np.uint8))[1].tobytes()
