"""The web side of the trainer: starts it, asks it, notices its death, starts another one."""

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, cast

from shared.device.progress import Pace
from shared.device.remote import RemoteProblem
from shared.device.settings import DeviceSettings
from shared.errors import FedbellError
from shared.web.jobs import JobControl

_log = logging.getLogger(__name__)

#: What ``python -m`` runs as the trainer.
TRAINER_MODULE = "shared.device.trainer"

_ROOT = Path(__file__).parents[2]
#: Progress is not shown more often than this, nor that of shorter work, in seconds.
_REPORT_SECONDS = 0.25
#: A request that the trainer died before beginning is given to so many fresh ones.
_FRESH_TRAINERS = 2

State = Literal["starting", "ready", "busy", "stopped"]


class TrainerDied(FedbellError):
    """The trainer's process ended while it was at work, or could not start."""

    status = 500
    title = "The trainer died"


class _Died(Exception):
    """The process ended; ``how`` says why."""

    def __init__(self, how: str, began: bool) -> None:
        super().__init__(how)
        self.how, self.began = how, began


class Trainer:
    """Runs operations in the trainer's process, one at a time, in the order they were asked.

    Args:
        settings: threads, folders and limits.
        module: what the process runs; it reads and replies as shared/device/trainer.py does.
    """

    def __init__(self, settings: DeviceSettings, module: str = TRAINER_MODULE) -> None:
        self._settings = settings
        self._module = module
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def start(self) -> None:
        """Start the process, which then loads TensorFlow, and do not wait for it."""
        with self._lock:
            self._alive()

    def stop(self) -> None:
        """End the process."""
        with self._lock:
            if self._process:
                self._process.kill()

    @property
    def pid(self) -> int | None:
        """The process's id, while it lives."""
        process = self._process
        return process.pid if process and process.how_ended is None else None

    @property
    def state(self) -> State:
        """What the process does; stopped: the next call starts one."""
        process = self._process
        if process is None or process.how_ended is not None:
            return "stopped"
        if not process.ready.is_set():
            return "starting"
        return "busy" if process.waiting else "ready"

    def call(
        self, operation: str, control: JobControl | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """Run one operation of shared/device/trainer_work.py and wait for its result.

        Args:
            operation: its name.
            control: gets its progress, and can cancel it.
            arguments: JSON values.

        Raises:
            JobCancelled: the job was cancelled.
            RemoteProblem: what went wrong, in the trainer's words.
            TrainerDied: the process ended meanwhile; the next call gets a fresh one.
        """
        for _ in range(_FRESH_TRAINERS):
            with self._lock:
                process = self._alive()
                number, replies = process.ask({"operation": operation, **arguments})
            stop = partial(process.send, {"cancel": number})
            try:
                with control.when_cancelled(stop) if control else contextlib.nullcontext():
                    return self._wait(replies, control)
            except _Died as death:
                _log.warning("the trainer %s", death.how)
                how = death.how
                if death.began:
                    break
            finally:
                process.waiting.pop(number, None)
        raise TrainerDied(
            f"The trainer's process {how}. What was finished before stays; the next step gets "
            "a fresh trainer, so try again. If it was the memory: a smaller batch_size, "
            "image_size or trainable part needs less."
        )

    def _wait(
        self, replies: "queue.SimpleQueue[dict[str, Any]]", control: JobControl | None
    ) -> dict[str, Any]:
        began, unreported, pace = False, None, Pace()
        due = time.monotonic() + _REPORT_SECONDS
        while True:
            try:
                # All comes by itself; only progress that is held back has its time.
                patience = max(0, due - time.monotonic()) if unreported else None
                reply = replies.get(timeout=patience)
            except queue.Empty:
                if control and unreported:
                    control.report(unreported)
                unreported, due = None, time.monotonic() + _REPORT_SECONDS
                continue
            began = began or "started" in reply
            if "progress" in reply:
                unreported = pace.timed(reply["progress"])
            if control and unreported and ("result" in reply or "problem" in reply):
                control.report(unreported, at_once=False)
            if "result" in reply:
                result: dict[str, Any] = reply["result"]
                return result
            if "problem" in reply:
                if control:
                    control.check()
                raise RemoteProblem(reply["problem"])
            if "died" in reply:
                if control:
                    control.check()
                raise _Died(reply["died"], began)

    def _alive(self) -> "_Process":
        if self._process is None or self._process.how_ended is not None:
            self._process = _Process(self._settings, self._module)
        return self._process


def trainer_environment(threads: int) -> dict[str, str]:
    """What a trainer's process is told of processors before it loads TensorFlow."""
    return {
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


class _Process:
    """One process of the trainer, and who waits for its replies."""

    def __init__(self, settings: DeviceSettings, module: str) -> None:
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
        environment = trainer_environment(settings.trainer_threads or processors) | os.environ
        search = [str(_ROOT), *filter(None, [environment.get("PYTHONPATH")])]
        configuration = {
            "backbone_directory": str(settings.backbone_directory),
            "feature_directory": str(settings.state_directory / "features"),
            "feature_store_bytes": settings.feature_store_bytes,
        }
        name = f"{settings.device_name} trainer"
        self._popen = subprocess.Popen(
            [sys.executable, "-m", module, name, json.dumps(configuration)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment | {"PYTHONPATH": os.pathsep.join(search)},
            encoding="utf-8",
            start_new_session=True,  # a Ctrl-C in the terminal is for the server alone
        )
        self.pid = self._popen.pid
        self.ready = threading.Event()
        self.how_ended: str | None = None
        self.waiting: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._number = 0
        threading.Thread(target=self._read, name="trainer-replies", daemon=True).start()

    def ask(self, request: dict[str, Any]) -> tuple[int, "queue.SimpleQueue[dict[str, Any]]"]:
        """Send a request; its number and where its replies arrive."""
        replies: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        with self._lock:
            self._number += 1
            number = self._number
            self.waiting[number] = replies
            if self.how_ended is not None:
                replies.put({"died": self.how_ended})
        self.send({"id": number, **request})
        return number, replies

    def send(self, message: dict[str, Any]) -> None:
        """Send one line; if nobody reads it any more, the reading thread tells so."""
        pipe = cast("IO[str]", self._popen.stdin)
        with self._lock, contextlib.suppress(OSError, ValueError):
            pipe.write(json.dumps(message) + "\n")
            pipe.flush()

    def kill(self) -> None:
        """End the process, and wait until it has."""
        self._popen.kill()
        self._popen.wait()

    def _read(self) -> None:
        with cast("IO[str]", self._popen.stdout) as replies:
            for line in replies:
                try:
                    reply = json.loads(line)
                except ValueError:  # printed before our code ran, or cut off by its death
                    _log.warning("the trainer said: %s", line.strip()[:500])
                    continue
                if "ready" in reply:
                    self.ready.set()
                elif waiting := self.waiting.get(reply["id"]):
                    waiting.put(reply)
        how = _how_it_ended(self._popen.wait(), self.ready.is_set())
        with self._lock:
            with contextlib.suppress(OSError):  # what it no longer read
                cast("IO[str]", self._popen.stdin).close()
            self.how_ended = how
            for waiting in list(self.waiting.values()):
                waiting.put({"died": how})


def _how_it_ended(code: int, was_ready: bool) -> str:
    when = "" if was_ready else " while it started"
    if code >= 0:
        return f"ended{when} with code {code} (the server's log says more)"
    name = signal.Signals(-code).name
    memory = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"was killed{when} by {name}{memory}"
