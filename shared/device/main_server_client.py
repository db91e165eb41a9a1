"""Calls to the main server: time-outs, a few retries, and limits on what comes back.

Every call here may be repeated without harm, so a broken connection is tried
again a few times; an answer, whatever it says, is not.
"""

import json
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Protocol, TypeVar

import httpx
from pydantic import AfterValidator, BaseModel, Field, ValidationError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from shared.device.remote import RemoteProblem
from shared.device.token_rotation import OwnTokens
from shared.errors import FedbellError
from shared.federated.task import Name, Task

_log = logging.getLogger(__name__)

_MOST_ANSWER_BYTES = 4 * 1024 * 1024
_LONGEST_PAUSE_SECONDS = 3
#: An answer may come as slowly as this, after as many seconds as its first bytes may take: who
#: sends a byte now and then would hold a step for ever.
_LEAST_BYTES_PER_SECOND = 1024
#: No device beats more often, whatever it is told.
_LEAST_HEARTBEAT_SECONDS = 0.1

_Answer = TypeVar("_Answer")


class MainServerAway(FedbellError):
    """The main server cannot be reached."""

    status = 503
    title = "The main server does not answer"


class MainServerFailed(FedbellError):
    """The main server answered, but not what it should."""

    status = 502
    title = "The main server's answer makes no sense"


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


class RoundOffer(BaseModel):
    """What the main server tells of a synchronous task's open round."""

    number: int = Field(ge=0, le=2**31)
    #: Whether this device is one of those whose updates it waits for.
    asked: bool = True
    #: Whether an update of this device is here; None: the main server does not tell.
    sent: bool | None = None
    deadline: float | None = None


class TaskOffer(BaseModel):
    """One task as the main server tells it."""

    task: Task
    version: int | None = Field(ge=0, le=2**31)
    distributed_version: int | None = Field(ge=0, le=2**31)
    round: RoundOffer | None = None


class Greeting(BaseModel):
    """What the main server answers to a heartbeat."""

    federation: str = Field(min_length=1, max_length=128)
    heartbeat_seconds: Annotated[
        float,
        Field(gt=0, le=3600),
        AfterValidator(lambda seconds: max(seconds, _LEAST_HEARTBEAT_SECONDS)),
    ]
    tasks: dict[Name, TaskOffer] = Field(max_length=1000)
    #: Whether this device is to make itself another token.
    rotate_token: bool = False


@dataclass(frozen=True)
class Reachability:
    """Whether the last call reached the main server, since when that is so, and if not, why."""

    reachable: bool | None = None
    since: float | None = None
    problem: str | None = None


class MainServer:
    """The main server, seen from a device.

    Args:
        settings: its address, time-outs and limits.
        token: what this device calls itself by.
        own_tokens: where it is kept; None: it never changes.
        tls: how the main server's certificate is checked, and what it is shown; None: the
            authorities of this system, and nothing.
    """

    def __init__(
        self,
        settings: CallSettings,
        token: str,
        own_tokens: OwnTokens | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self.url = settings.main_server_url
        headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
        if secret := settings.join_secret():
            headers["Join-Token"] = secret
        answer = settings.answer_seconds
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(answer, connect=settings.connect_seconds),
            transport=httpx.HTTPTransport(
                verify=True if tls is None else tls, socket_options=_keepalive()
            ),
            trust_env=False,
        )
        self._own_tokens = own_tokens
        self._lock = threading.Lock()
        self.reachability = Reachability()

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        return _read_json(response, self._settings.answer_seconds)

    def tell(self, status: dict[str, Any]) -> Greeting:
        """Say how this device is. One attempt: the next heartbeat is the retry."""
        try:
            answer = self._call("POST", "/clientstatus", self._json, attempts=1, json=status)
        except RemoteProblem as error:
            # Killed while it changed its token, this device may hold the old one.
            own = self._own_tokens if error.kind == "wrong-token" else None
            new = own and own.finish(self._change_token)
            if not new:
                raise
            self._use(new)
            answer = self._call("POST", "/clientstatus", self._json, attempts=1, json=status)
        try:
            greeting = Greeting.model_validate(answer)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]  # it may be endless
            raise MainServerFailed(
                f"{self.url} answers calls but not as a main server does: {str(first)[:300]}. "
                "Is main_server_url right, and is it of the same version?"
            ) from error
        rotates = self._own_tokens if greeting.rotate_token else None
        if rotates and (new := rotates.rotate(self._change_token)):
            self._use(new)
        return greeting

    def download(self, task: str, version: int | None, etag: str, target: Path) -> str | None:
        """Fetch a global model.

        Args:
            version: None for the newest.
            etag: of the model that is here already; empty for none.
            target: file to write; durable when this returns.

        Returns:
            The model's etag; None when it is the one that is here already.
        """
        path = f"/models/{'latest' if version is None else version}"
        headers = {"If-None-Match": etag} if etag else {}

        def save(response: httpx.Response) -> str | None:
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return None
            with target.open("wb") as file:
                received = 0
                for chunk in _blocks(response, self._settings.answer_seconds):
                    received += len(chunk)
                    if received > self._settings.most_model_bytes:
                        raise MainServerFailed(
                            f"The model of task {task} is larger than most_model_bytes, "
                            f"{self._settings.most_model_bytes}. Raise it if that is right."
                        )
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            return str(response.headers.get("ETag", ""))

        return self._call("GET", path, save, params={"task": task}, headers=headers)

    def offer(self, task: str, file: Path) -> None:
        """Offer the initial tail as version 0. Whether it is taken or not, there is one then."""
        with file.open("rb") as content:
            self._call("PUT", "/models/0", self._json, content=content, params={"task": task})

    def send(self, task: str, content: BinaryIO) -> dict[str, Any]:
        """Send an update; what the main server answers."""
        return self._call("POST", "/cmodel", self._json, content=content, params={"task": task})

    def _change_token(self, token: str, new_hash: str) -> None:
        """Tell the hash of this device's next token, authorised by one that it has."""
        told = {"json": {"token_hash": new_hash}, "headers": {"Authorization": f"Bearer {token}"}}
        self._call("POST", "/devices/token", self._json, attempts=1, **told)

    def _use(self, token: str) -> None:
        self._http.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _call(
        self,
        method: str,
        path: str,
        read: Callable[[httpx.Response], _Answer],
        attempts: int | None = None,
        **options: Any,
    ) -> _Answer:
        """One call, tried again while the connection fails; ``read`` makes the answer of it."""
        retrying = Retrying(
            stop=stop_after_attempt(attempts or self._settings.attempts),
            wait=wait_random_exponential(self._settings.retry_seconds, _LONGEST_PAUSE_SECONDS),
            retry=retry_if_exception_type(httpx.TransportError),
            reraise=True,
        )
        try:
            return retrying(lambda: self._once(method, path, read, options))
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            told = f"The main server at {self.url} cannot be reached ({reason})."
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
        members = self._json(response) if is_problem else {}
        if "title" in members:
            return RemoteProblem(members | {"status": response.status_code})
        return MainServerFailed(
            f"{self.url} answered {response.status_code} {response.reason_phrase} to "
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
            _log.info("The main server at %s answers", self.url)
        else:
            _log.warning("%s This device keeps trying.", problem)


def _blocks(response: httpx.Response, patience_seconds: float) -> Iterator[bytes]:
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
    for chunk in _blocks(response, patience_seconds):
        body += chunk
        if len(body) > _MOST_ANSWER_BYTES:
            raise MainServerFailed("The main server's answer is too long.")
    try:
        answer = json.loads(bytes(body))
    except (ValueError, RecursionError) as error:
        raise MainServerFailed("The main server's answer is not JSON.") from error
    if not isinstance(answer, dict):
        raise MainServerFailed("The main server's answer is no JSON object.")
    return answer


def _keepalive() -> list[tuple[int, int, int]]:
    """Find out within about two minutes that the other side is gone without a word."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):  # not everywhere
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options
