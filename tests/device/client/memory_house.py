"""One client with a main server and a learner in memory, run after run."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.device.client.calls import Calls
from shared.device.client.display import LineDisplay
from shared.device.client.heartbeat import Heartbeat
from shared.device.client.loop import Loop
from shared.device.client.settings import ClientSettings
from shared.device.client.state import ClientState
from shared.federated.task import Task
from tests.device.client.fakes import FakeLearner, FakeMainServer, Fate


class StillHeartbeat(Heartbeat):
    """Without a thread: it beats when somebody waits for it."""

    def start(self) -> None:
        """Nothing to start."""

    def wait(self, seconds: float) -> None:
        """Beat."""
        self.beat()


class House:
    """One client's state directory, its main server, and its runs one after the other."""

    def __init__(self, directory: Path, task: Task) -> None:
        self.state = directory / "state"
        self.server = FakeMainServer(directory / "server", task)
        self.heartbeat: Heartbeat
        #: What a run takes to know when it is to end, and to pause.
        self.make_event: Callable[[], threading.Event] = threading.Event
        self.settings = ClientSettings(
            id="alice",
            main_server_url="http://127.0.0.1:1",
            task=task.name,
            shards=(2, 4),
            data=directory,
            max_retries=2,
            max_wait_seconds=0.001,
        )

    def run(self, until: Callable[[], bool], fate: Fate | None = None) -> None:
        """One process: it ends when ``until`` is true after a call, or is killed."""
        stopping = self.make_event()
        self.server.fate = fate or Fate()
        state = ClientState(self.state, self.settings.task)
        main_server: Any = self.server
        heartbeat = self.heartbeat = StillHeartbeat(main_server)
        display = _Watching(stopping, until)
        calls = Calls(self.settings, main_server, display, stopping)

        def learner(task: Task) -> FakeLearner:
            return FakeLearner(task, self.server.fate)

        loop = Loop(self.settings, state, calls, heartbeat, display, learner, stopping)
        heartbeat.status = loop.status
        try:
            loop.run()
        finally:
            state.close()


class _Watching(LineDisplay):
    """Ends the client when a condition has come true."""

    def __init__(self, stopping: threading.Event, until: Callable[[], bool]) -> None:
        super().__init__()
        self._stopping, self._is_enough = stopping, until

    def pushed(self, count: int, version: int) -> None:
        """See Display."""
        super().pushed(count, version)
        if self._is_enough():
            self._stopping.set()
