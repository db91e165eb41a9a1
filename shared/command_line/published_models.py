"""What the main server has published, as a person's command reads it: a task, a version."""

import json
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from shared.errors import ConfigurationError, FedbellError
from shared.federated.task import Task

_CONNECT_SECONDS, _ANSWER_SECONDS = 5.0, 60.0
_MOST_JSON_BYTES = 4 << 20
_MOST_MODEL_BYTES = 1 << 30
_LONGEST_DETAIL = 1000


class ServerAway(FedbellError):
    """The main server cannot be reached."""

    status = 503
    title = "The main server does not answer"


class ServerRefused(FedbellError):
    """The main server answered, but did not give what was asked for."""

    status = 502
    title = "The main server gave something else"


class PublishedModels:
    """The main server at an address, for reading.

    Args:
        url: such as ``http://127.0.0.1:8000``.
        token: of an operator or a viewer; empty where the server asks for none.
        tls: how its certificate is checked, and what it is shown; None: as of any other.
    """

    def __init__(self, url: str, token: str = "", tls: ssl.SSLContext | None = None) -> None:
        self._url = url.rstrip("/")
        headers = {"Accept-Encoding": "identity"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            verify=True if tls is None else tls,
            trust_env=False,
        )

    def task(self, name: str) -> Task:
        """One of its tasks.

        Raises:
            ServerAway, ServerRefused: it has no such task; says which it has.
        """
        with self._get("/tasks") as response:
            self._check(response)
            body = self._read(response, _MOST_JSON_BYTES)
        try:
            told = {str(each["name"]): each for each in json.loads(body)["tasks"]}
            if name in told:
                # What the server says of a task's state is no part of the task.
                return Task(**{key: told[name][key] for key in Task.model_fields})
        except (ValueError, TypeError, KeyError) as error:
            raise ServerRefused(
                f"{self._url} answers, but not as a main server of this version does. "
                "Is the address right?"
            ) from error
        raise ServerRefused(
            f"The main server at {self._url} has no task {name}. It has: {', '.join(sorted(told))}."
        )

    def download(self, task: str, version: int | None, target: Path) -> int:
        """Write a version's weights to the file ``target``, as safetensors; the version's number.

        Args:
            version: None for the newest.

        Raises:
            ServerAway, ServerRefused: there is no such version, say.
        """
        place = "latest" if version is None else version
        with self._get(f"/models/{place}", {"task": task}) as response:
            if version is None and response.status_code == httpx.codes.NOT_FOUND:
                raise ServerRefused(
                    f"The main server at {self._url} has no version of task {task} yet. Start a "
                    "device or a client with training pictures: the first one makes version 0."
                )
            self._check(response)
            target.write_bytes(self._read(response, _MOST_MODEL_BYTES))
            return int(response.headers.get("Fedbell-Version", version or 0))

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    @contextmanager
    def _get(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        try:
            with self._http.stream("GET", self._url + path, params=query) as response:
                yield response
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise ServerAway(
                f"The main server at {self._url} cannot be reached "
                f"({str(error) or type(error).__name__}). Start it, or tell its address "
                "with --server."
            ) from error

    def _check(self, response: httpx.Response) -> None:
        """Raise ServerRefused, in the server's own words, unless the answer is a success."""
        if response.is_success:
            return
        detail = ""
        if response.headers.get("Content-Type", "").startswith("application/problem+json"):
            try:
                told: Any = json.loads(self._read(response, _MOST_JSON_BYTES))
                detail = str(told["detail"])[:_LONGEST_DETAIL]
            except (ValueError, TypeError, KeyError):
                detail = ""
        if response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            detail += " Set VIEWER_TOKEN or ADMIN_TOKEN in the environment to the server's own."
        raise ServerRefused(
            detail.strip()
            or f"{self._url} answered {response.status_code} {response.reason_phrase}. "
            "Is it a main server?"
        )

    def _read(self, response: httpx.Response, most: int) -> bytes:
        body = bytearray()
        for piece in response.iter_raw():
            body += piece
            if len(body) > most:
                raise ServerRefused(f"The answer of {self._url} is longer than {most:,} bytes.")
        return bytes(body)


def token_of_the_environment() -> str:
    """VIEWER_TOKEN, else ADMIN_TOKEN, or what the file in their _FILE holds; empty: none is set.

    Raises:
        ConfigurationError: that file cannot be read.
    """
    for name in ("VIEWER_TOKEN", "ADMIN_TOKEN"):
        if told := os.environ.get(name):
            return told
        if file := os.environ.get(f"{name}_FILE"):
            try:
                return Path(file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"{name}_FILE: {error}.") from error
    return ""
