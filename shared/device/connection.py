"""The connection to the main server: time-outs, a few retries, and limits on what comes back.

Every call here may be repeated without harm, so a broken connection is tried
again a few times; an answer, whatever it says, is not.
"""

import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from shared.device import unreachable
from shared.device.remote import RemoteProblem
from shared.errors import FedbellError

_log = logging.getLogger(__name__)

_MOST_ANSWER_BYTES = 4 * 1024 * 1024
_LONGEST_PAUSE_SECONDS = 3
#: An answer may come as slowly as this, after as many seconds as its first bytes may take: who
#: sends a byte now and then would hold a step for ever.
_LEAST_BYTES_PER_SECOND = 1024
#: What a proxy answers while the server behind it is away, or starts.
_OF_PROXIES = frozenset({502, 503, 504})
#: A pause that takes more digits is none that is meant.
_MOST_DIGITS = 6

_Answer = TypeVar("_Answer")


class MainServerAway(FedbellError):
    """The main server cannot be reached."""

    status = 503
    title = "The main server does not answer"


class MainServerFailed(FedbellError):
    """The main server answered, but not what it should."""

    status = 502
    title = "The main server's answer makes no sense"


class NoMainServer(MainServerFailed):
    """What answers is no main server of Fedbell: the address is wrong, most likely."""


class CallSettings(Protocol):
    """How the main server is called: settings of a device, or of a client."""

    @property
    def main_server_url(self) -> str: ...
    @property
    def connect_seconds(self) -> float: ...
    @property
    def answer_seconds(self) -> float: ...
    @property
    def attempts(self) -> int: ...
    @property
    def retry_seconds(self) -> float: ...
    @property
    def most_model_bytes(self) -> int: ...

    def join_secret(self) -> str: ...


@dataclass(frozen=True)
class Reachability:
    """Whether the last call reached the main server, since when that is so, and if not, why."""

    reachable: bool | None = None
    since: float | None = None
    problem: str | None = None


class Connection:
    """Calls of one device to its main server.

    Args:
        settings: its address, time-outs and limits.
        token: what this device calls itself by.
        tls: how the main server's certificate is checked, and what it is shown; None: the
            authorities of this system, and nothing.
    """

    def __init__(self, settings: CallSettings, token: str, tls: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._url = settings.main_server_url
        headers = {"Accept-Encoding": "identity"}
        if secret := settings.join_secret():
            headers["Join-Token"] = secret
        answer = settings.answer_seconds
        self._http = httpx.Client(
            base_url=self._url,
            headers=headers,
            timeout=httpx.Timeout(answer, connect=settings.connect_seconds),
            transport=httpx.HTTPTransport(
                verify=True if tls is None else tls, socket_options=_keepalive()
            ),
            trust_env=False,
        )
        self.use(token)
        self._lock = threading.Lock()
        self.reachability = Reachability()

    def use(self, token: str) -> None:
        """Call by another token from now on."""
        self.token = token
        self._http.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def json(self, response: httpx.Response) -> dict[str, Any]:
        """The JSON object that an answer is. Raises MainServerFailed: it is none."""
        return _read_json(response, self._settings.answer_seconds)

    def call(
        self,
        method: str,
        path: str,
        read: Callable[[httpx.Response], _Answer],
        attempts: int | None = None,
        **options: Any,
    ) -> _Answer:
        """One call, tried again while the connection fails; ``read`` makes the answer of it.

        Raises:
            MainServerAway, MainServerFailed, RemoteProblem
        """
        retrying = Retrying(
            stop=stop_after_attempt(attempts or self._settings.attempts),
            wait=wait_random_exponential(self._settings.retry_seconds, _LONGEST_PAUSE_SECONDS),
            retry=retry_if_exception_type(httpx.TransportError),
            reraise=True,
        )
        try:
            return retrying(lambda: self._once(method, path, read, options))
        except httpx.TransportError as error:
            why = unreachable.reason(error)
            told = f"The main server at {self._url} cannot be reached ({why})."
            self._note(told)
            raise MainServerAway(
                f"{told} Nothing here is lost: do this step again when it is back."
            ) from error

    def _once(
        self,
        method: str,
        path: str,
        read: Callable[[httpx.Response], _Answer],
        options: dict[str, Any],
    ) -> _Answer:
        if "content" in options:
            options["content"].seek(0)
        with self._http.stream(method, path, **options) as response:
            self._note(None)
            if not response.is_success and response.status_code != httpx.codes.NOT_MODIFIED:
                raise self._problem(response)
            return read(response)

    def _problem(self, response: httpx.Response) -> FedbellError:
        is_problem = response.headers.get("Content-Type", "").startswith("application/problem+json")
        members = self.json(response) if is_problem else {}
        if "title" in members:
            wait = response.headers.get("Retry-After", "")
            seconds = int(wait) if wait.isdecimal() and len(wait) < _MOST_DIGITS else None
            return RemoteProblem(members | {"status": response.status_code}, seconds)
        kind = MainServerFailed if response.status_code in _OF_PROXIES else NoMainServer
        return kind(
            f"{self._url} answered {response.status_code} {response.reason_phrase} to "
            f"{response.request.method} {response.request.url.path}. Is main_server_url right?"
        )

    def _note(self, problem: str | None) -> None:
        """Remember whether the main server answers; log it when that changes."""
        with self._lock:
            before, reachable = self.reachability.reachable, problem is None
            since = self.reachability.since if before is reachable else time.time()
            self.reachability = Reachability(reachable, since, problem)
        if before is reachable:
            return
        if problem is None:
            _log.info("The main server at %s answers", self._url)
        else:
            _log.warning("%s This device keeps trying.", problem)


def blocks(response: httpx.Response, patience_seconds: float) -> Iterator[bytes]:
    """A body as it comes. Raises httpx.ReadTimeout: it comes too slowly."""
    begun, received = time.monotonic(), 0
    for block in response.iter_raw():
        received += len(block)
        yield block
        if time.monotonic() - begun > patience_seconds + received / _LEAST_BYTES_PER_SECOND:
            raise httpx.ReadTimeout("it sends too slowly")


def _read_json(response: httpx.Response, patience_seconds: float) -> dict[str, Any]:
    """A JSON object of limited size."""
    body = bytearray()
    for chunk in blocks(response, patience_seconds):
        body += chunk
        if len(body) > _MOST_ANSWER_BYTES:
            raise MainServerFailed("The main server's answer is too long.")
    try:
        answer = json.loads(bytes(body))
    except (ValueError, RecursionError) as error:
        raise NoMainServer("The main server's answer is not JSON.") from error
    if not isinstance(answer, dict):
        raise NoMainServer("The main server's answer is no JSON object.")
    return answer


def _keepalive() -> list[tuple[int, int, int]]:
    """Find out within about two minutes that the other side is gone without a word."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):  # not everywhere
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options
