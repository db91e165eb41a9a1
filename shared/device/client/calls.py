"""A client's calls to the main server: tried again after random pauses that grow."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_when_event_set,
)

from shared.device.client.display import Display
from shared.device.client.pauses import Pauses
from shared.device.client.settings import ClientSettings
from shared.device.connection import NoMainServer
from shared.device.greeting import Greeting
from shared.device.main_server_client import Download, MainServer
from shared.device.offline import is_passing
from shared.device.told_strategies import ToldStrategies
from shared.device.unreachable import is_refusal_of_tls
from shared.errors import FedbellError

_Answer = TypeVar("_Answer")


class Stopped(FedbellError):
    """Somebody asked the client to end."""

    status = 409
    title = "The client was stopped"


class Unavailable(FedbellError):
    """The main server did not take a call, however often it was tried.

    Args:
        detail: why, the last time.
        what: the call could not do, such as "push the update".
        seconds: after which it may be tried again.
    """

    status = 503
    title = "The main server does not answer"

    def __init__(self, detail: str, what: str, seconds: float) -> None:
        super().__init__(detail)
        self.what = what
        self.seconds = seconds


class Calls:
    """What the loop asks of the main server.

    Args:
        stopping: set when the client is to end; no pause outlasts that.
    """

    def __init__(
        self,
        settings: ClientSettings,
        main_server: MainServer,
        display: Display,
        stopping: threading.Event,
    ) -> None:
        self._settings = settings
        self._main_server = main_server
        self._display = display
        self._stopping = stopping
        self._pauses = Pauses(settings.max_wait_seconds)
        #: Reads what comes with a version.
        self.strategies = ToldStrategies(display.say)

    def greet(self, beat: Callable[[], Greeting]) -> Greeting:
        """A heartbeat that has to come through. Raises Unavailable, Stopped, RemoteProblem."""
        return self._persist("say hello", beat)

    def pull(self, task: str, etag: str, target: Path) -> Download:
        """Fetch the newest model to ``target``, unless it is that of ``etag``.

        Raises:
            Unavailable, Stopped, RemoteProblem
        """
        return self._persist(
            "pull the newest version",
            lambda: self._main_server.download(task, None, etag, target),
        )

    def pull_sent(self, task: str, version: int, target: Path) -> None:
        """Fetch what goes with a version for the task's strategy. Raises as :meth:`pull`."""
        self._persist(
            "pull what goes with the version",
            lambda: self._main_server.download_sent(task, version, target),
        )

    def offer(self, task: str, file: Path) -> None:
        """Offer a file as version 0. Raises as :meth:`pull`."""
        self._persist("offer version 0", lambda: self._main_server.offer(task, file))

    def push(self, task: str, file: Path) -> dict[str, Any]:
        """Send an update; what the main server answers. Raises as :meth:`pull`."""

        def send() -> dict[str, Any]:
            with file.open("rb") as content:
                return self._main_server.send(task, content)

        return self._persist("push the update", send)

    def has_worked(self) -> None:
        """The client has trained since the last failure, which is pause enough: the next one is
        the first again."""
        self._pauses.reset()

    def rest(self, error: Unavailable) -> None:
        """Pause after a call that was tried in vain, where all there is to do is to try again."""
        self._tell(error.what, error.detail, error.seconds)
        self._stopping.wait(error.seconds)

    def _persist(self, what: str, call: Callable[[], _Answer]) -> _Answer:
        def tell(attempt: RetryCallState) -> None:
            error = attempt.outcome.exception() if attempt.outcome else None
            self._tell(what, _shortly(error), self._pauses.last)

        retrying = Retrying(
            stop=stop_after_attempt(self._settings.max_retries)
            | stop_when_event_set(self._stopping),
            wait=self._pauses,
            retry=retry_if_exception(is_passing),
            sleep=self._pause,
            before_sleep=tell,
            reraise=True,
        )
        if self._stopping.is_set():
            raise Stopped("The client was stopped.")
        try:
            answer = retrying(call)
        except Exception as error:
            if self._stopping.is_set():
                raise Stopped("The client was stopped.") from error
            if not is_passing(error):
                self._pauses.reset()
                raise
            raise Unavailable(_shortly(error), what, self._pauses.last) from error
        self._pauses.reset()
        self._display.works()
        return answer

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise Stopped("The client was stopped.")

    def _tell(self, what: str, why: str, seconds: float) -> None:
        self._display.waits(f"could not {what}: {why}", seconds)


def is_wrong_address(error: BaseException | None) -> bool:
    """Whether what a call failed with stays as it is until a person does something."""
    return isinstance(error, NoMainServer) or is_refusal_of_tls(str(error))


def _shortly(error: BaseException | None) -> str:
    """The first sentence: what comes after it is for people at a page."""
    told = str(error or "no answer")
    return told.partition(". ")[0].rstrip(".")
