"""A client's process: its parts put together, and how it ends."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from shared.datasets.chunks import open_chunks
from shared.device.client.calls import Calls
from shared.device.client.disk import disk_problems
from shared.device.client.display import Display, LineDisplay, TerminalDisplay
from shared.device.client.heartbeat import Heartbeat
from shared.device.client.learning import Learning
from shared.device.client.loop import Loop
from shared.device.client.settings import ClientSettings
from shared.device.client.state import ClientState
from shared.device.main_server_client import MainServer
from shared.device.token_rotation import OwnTokens
from shared.device.trainer_process import trainer_environment
from shared.errors import ConfigurationError
from shared.federated.task import Task

#: How long a call or a compilation that does not hear of the end is waited for, in seconds.
_PATIENCE_SECONDS = 3.0
_LOOK_SECONDS = 0.1
_INTERRUPTED = 130
#: What libraries say while they are loaded.
_LIBRARY_LOG = "tensorflow.log"


def run_client(settings: ClientSettings) -> None:
    """Run a client until it is done or stopped; Ctrl-C ends it, what it had is kept.

    For the main thread of a process that has not loaded TensorFlow.

    Raises:
        FedbellError: what a person has to put right.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    for name, value in trainer_environment(processors).items():
        os.environ.setdefault(name, value)
    # The display tells what a person has to know.
    logging.getLogger("shared").setLevel(logging.ERROR)
    with disk_problems(settings):
        if not settings.data.is_dir():
            raise ConfigurationError(
                f"There is no folder {settings.data}. Name the one with the data: --data DIR"
            )
        state = ClientState(settings.state_directory, settings.task)
        with _display(settings.id) as display, _says_what_is_wrong_with_data(display):
            _Client(settings, state, display).run()
            display.say(_bye(settings, state))
        state.close()


class _Client:
    """The parts of one client."""

    def __init__(self, settings: ClientSettings, state: ClientState, display: Display) -> None:
        self._settings = settings
        self._state = state
        self._display = display
        self._stopping = threading.Event()
        main_server = MainServer(
            settings, state.token(), OwnTokens(settings.state_directory), settings.tls()
        )
        self._heartbeat = Heartbeat(main_server)
        calls = Calls(settings, main_server, display, self._stopping)
        self._loop = Loop(
            settings, state, calls, self._heartbeat, display, self._learner, self._stopping
        )
        self._heartbeat.status = self._loop.status
        self._error: BaseException | None = None

    def run(self) -> None:
        """Work in a thread of its own, and listen for signals in this one."""
        # Python runs signal handlers in the main thread alone, and not before a compiled
        # function of TensorFlow has returned.
        thread = threading.Thread(target=self._work, name="loop", daemon=True)
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, self._stop)
        try:
            thread.start()
            self._wait_for(thread)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            self._loop.run()
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            self._error = error

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if self._stopping.is_set():
            self._display.end()
            os._exit(_INTERRUPTED)
        self._stopping.set()
        self._heartbeat.stir()

    def _wait_for(self, thread: threading.Thread) -> None:
        until: float | None = None
        while thread.is_alive():
            thread.join(_LOOK_SECONDS)
            if self._stopping.is_set():
                until = until or time.monotonic() + _PATIENCE_SECONDS
                if time.monotonic() > until:
                    # It is at a call or a compilation. All that counts is on the disk.
                    self._display.say(_bye(self._settings, self._state))
                    self._display.end()
                    os._exit(0)

    def _learner(self, task: Task) -> Learning:
        settings = self._settings
        dataset = open_chunks(
            settings.data, task.classes, task.image_size, task.channels, settings.chunk_size
        )
        dataset.shards(*settings.shards)
        self._display.say(f"{settings.data}: {dataset.number_of_chunks} chunks. Loads TensorFlow.")
        with _libraries_write_to(settings.state_directory / _LIBRARY_LOG):
            from shared.device.client.learner import Learner

            return Learner(task, dataset, settings)


def _bye(settings: ClientSettings, state: ClientState) -> str:
    chunk = settings.chunk_at(state.progress.next_chunk)
    return f"bye, goes on from chunk {chunk} next time"


@contextmanager
def _says_what_is_wrong_with_data(display: Display) -> Iterator[None]:
    """What cannot be read of the data is told, once each."""
    told: set[str] = set()

    class ToDisplay(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            sentence = record.getMessage()
            if sentence not in told:
                told.add(sentence)
                display.say(sentence)

    logger, handler = logging.getLogger("shared.datasets"), ToDisplay()
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def _libraries_write_to(log: Path) -> Iterator[None]:
    """TensorFlow tells of its start on standard error, past Python: not into the display."""
    sys.stderr.flush()
    kept = os.dup(2)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _display(name: str) -> Iterator[Display]:
    if not sys.stdout.isatty():
        yield LineDisplay()
        return
    with TerminalDisplay(name) as display:
        yield display
