"""A client's heartbeat: a thread that says that it is there, and learns what there is."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from shared.device.awaiting import Heard
from shared.device.greeting import Greeting
from shared.device.main_server_client import MainServer
from shared.device.offline import is_passing
from shared.errors import FedbellError

_log = logging.getLogger(__name__)

#: Pauses, in seconds, while the main server is away: doubled from the first to the last.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0


class Heartbeat:
    """Keeps a client and the main server of one mind.

    Args:
        main_server: who is told.

    Attributes:
        status: gives what is told: the body of ``POST /clientstatus``.
        is_away: whether the last one did not come through.
    """

    def __init__(self, main_server: MainServer) -> None:
        self._main_server = main_server
        self.status: Callable[[], dict[str, Any]] = dict
        self.is_away = False
        #: When the thread tries next, as ``time.monotonic()``.
        self._next = 0.0
        self._changed = threading.Condition()
        self._heard: Heard | None = None
        self._refusal: FedbellError | None = None

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def beat(self) -> Greeting:
        """One heartbeat, now. Raises what the call does."""
        began = time.monotonic()
        greeting = self._main_server.tell(self.status())
        with self._changed:
            if self._heard is None or self._heard.began <= began:
                self._heard = Heard(greeting, began)
            self._refusal, self.is_away = None, False
            self._changed.notify_all()
        return greeting

    def newest(self) -> Heard | None:
        """What the main server answered last; None before it has.

        Raises:
            RemoteProblem: it does not take this client's heartbeats any more.
        """
        with self._changed:
            if self._refusal is not None:
                raise self._refusal
            return self._heard

    def wait(self, seconds: float) -> None:
        """Wait for the next answer, but not longer than so."""
        with self._changed:
            self._changed.wait(seconds)

    def seconds_to_next(self) -> float:
        """How long it is until the next beat."""
        return max(0.0, self._next - time.monotonic())

    def stir(self) -> None:
        """Wake whoever waits."""
        with self._changed:
            self._changed.notify_all()

    def _note(self, error: Exception, pause: float) -> None:
        """Note that a beat failed, and how long it is until the next."""
        if not isinstance(error, FedbellError):
            _log.exception("the heartbeat failed")
        with self._changed:
            self._next = time.monotonic() + pause
            self.is_away = is_passing(error)
            if isinstance(error, FedbellError) and not self.is_away:
                self._refusal = error
            self._changed.notify_all()

    def _run(self) -> None:
        longest = _FIRST_PAUSE
        while True:
            try:
                pause = self.beat().heartbeat_seconds
                self._next = time.monotonic() + pause
                longest = _FIRST_PAUSE
            except Exception as error:  # noqa: BLE001 - the next beat may work
                pause = longest * random.uniform(0.8, 1.2)  # noqa: S311 - spreads clients
                longest = min(2 * longest, _LONGEST_PAUSE)
                self._note(error, pause)
            time.sleep(pause)
