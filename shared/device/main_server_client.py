"""What a device or client asks of its main server."""

import os
import ssl
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import httpx
from pydantic import ValidationError

from shared.device.connection import (
    CallSettings,
    Connection,
    MainServerFailed,
    NoMainServer,
    Reachability,
    blocks,
)
from shared.device.greeting import Greeting
from shared.device.remote import RemoteProblem
from shared.device.token_rotation import OwnTokens
from shared.federated.choice import HEADER


class Download(NamedTuple):
    """What an answer with a global model says of it.

    Attributes:
        etag: the model's; None when it is the one that is here already.
        strategy: what it is to be trained for, as it came; None: that is not told.
    """

    etag: str | None
    strategy: str | None = None


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
        self._own_tokens = own_tokens
        self._connection = Connection(settings, token, tls)

    @property
    def reachability(self) -> Reachability:
        """Whether it answers."""
        return self._connection.reachability

    def tell(self, status: dict[str, Any]) -> Greeting:
        """Say how this device is. One attempt: the next heartbeat is the retry."""
        used = self._connection.token
        try:
            answer = self._json("POST", "/clientstatus", attempts=1, json=status)
        except RemoteProblem as error:
            # Killed while it changed its token, this device may hold the old one.
            own = self._own_tokens if error.kind == "wrong-token" else None
            new = own and own.finish(self._change_token)
            if not new or new == used:
                raise
            self._connection.use(new)
            answer = self._json("POST", "/clientstatus", attempts=1, json=status)
        try:
            greeting = Greeting.model_validate(answer)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]  # it may be endless
            raise NoMainServer(
                f"{self.url} answers calls but not as a main server does: {str(first)[:300]}. "
                "Is main_server_url right, and is it of the same version?"
            ) from error
        rotates = self._own_tokens if greeting.rotate_token else None
        if rotates and (new := rotates.rotate(self._change_token)):
            self._connection.use(new)
        return greeting

    def download(self, task: str, version: int | None, etag: str, target: Path) -> Download:
        """Fetch a global model.

        Args:
            version: None for the newest.
            etag: of the model that is here already; empty for none.
            target: file to write; durable when this returns.
        """
        path = f"/models/{'latest' if version is None else version}"
        headers = {"If-None-Match": etag} if etag else {}

        def save(response: httpx.Response) -> Download:
            strategy = response.headers.get(HEADER)
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return Download(None, strategy)
            self._save(response, task, target)
            return Download(response.headers.get("ETag", ""), strategy)

        return self._connection.call("GET", path, save, params={"task": task}, headers=headers)

    def download_sent(self, task: str, version: int, target: Path) -> None:
        """Fetch what goes with a version for the task's strategy, to a file."""

        def save(response: httpx.Response) -> None:
            self._save(response, task, target)

        self._connection.call("GET", f"/models/{version}/sent", save, params={"task": task})

    def offer(self, task: str, file: Path) -> None:
        """Offer the initial tail as version 0. Whether it is taken or not, there is one then."""
        with file.open("rb") as content:
            self._json("PUT", "/models/0", content=content, params={"task": task})

    def send(self, task: str, content: BinaryIO) -> dict[str, Any]:
        """Send an update; what the main server answers."""
        return self._json("POST", "/cmodel", content=content, params={"task": task})

    def _save(self, response: httpx.Response, task: str, target: Path) -> None:
        """Write a body to a file, durably; never more than a model may have."""
        with target.open("wb") as file:
            received = 0
            for chunk in blocks(response, self._settings.answer_seconds):
                received += len(chunk)
                if received > self._settings.most_model_bytes:
                    raise MainServerFailed(
                        f"The model of task {task} is larger than most_model_bytes, "
                        f"{self._settings.most_model_bytes}. Raise it if that is right."
                    )
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())

    def _change_token(self, token: str, new_hash: str) -> None:
        """Tell the hash of this device's next token, authorised by one that it has."""
        told = {"json": {"token_hash": new_hash}, "headers": {"Authorization": f"Bearer {token}"}}
        self._json("POST", "/devices/token", attempts=1, **told)

    def close(self) -> None:
        """Close all connections."""
        self._connection.close()

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        return self._connection.call(method, path, self._connection.json, **options)
