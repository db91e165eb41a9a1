"""One call to one device: its answer, or what is wrong with it in problem details.

A device is not trusted with more than its own part: what it answers is limited in size and
time and checked.
"""

import json
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from shared.web.access.call_proof import HEADER, prove

CONNECT_SECONDS = 3.0
_MOST_ANSWER_BYTES = 1024 * 1024
_MOST_SENTENCE = 2000
#: A device that vanishes from the network is noticed by these: while we wait for its answer,
#: and (the last one, in milliseconds) while what we sent is not acknowledged.
_KEEPALIVE = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)] + [
    (socket.IPPROTO_TCP, getattr(socket, name), value)
    for name, value in (
        ("TCP_KEEPIDLE", 10),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 20_000),
    )
    if hasattr(socket, name)
]


@dataclass(frozen=True)
class Target:
    """Where a device is called: its url, at an IP address that was checked (None: look it up).

    ``token_hash`` proves to the device who calls; see :mod:`shared.web.access.call_proof`.
    """

    url: str
    address: str | None
    token_hash: str = ""


@dataclass(frozen=True)
class Step:
    """A step as devices are asked for it.

    Attributes:
        name: such as ``modeltrain``.
        task: the task's name.
        body: sent as JSON.
        answer: what a good answer is; what it does not name is left out.
        seconds: how long a device may take.
    """

    name: str
    task: str
    body: Mapping[str, Any]
    answer: type[BaseModel]
    seconds: float


class Caller:
    """Calls devices, from any thread.

    Args:
        tls: how their certificates are checked, and what they are shown; None: the authorities of
            this system, and nothing.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        # A connection each: a kept one may be closed by the device just as a step goes out.
        alone = httpx.Limits(max_keepalive_connections=0)
        transport = httpx.HTTPTransport(
            verify=True if tls is None else tls,
            retries=1,
            limits=alone,
            socket_options=_KEEPALIVE,
        )
        self._client = httpx.Client(transport=transport, follow_redirects=False)

    def ask(self, name: str, target: Target, step: Step) -> dict[str, Any]:
        """POST a step to one device: its answer, or ``{"error": problem details}``."""
        address = f"{target.url.rstrip('/')}/{step.name}"
        try:
            status, body = self._post(address, target, step)
        except httpx.TimeoutException:
            return too_slow(name, step)
        except httpx.HTTPError as error:
            return failed(
                "device-away",
                f"{name} cannot be reached at {address} ({error or type(error).__name__}). Start "
                "it; it then fetches the versions it missed.",
            )
        try:
            answer = json.loads(body)
            if 200 <= status < 300:
                return step.answer.model_validate(answer).model_dump(mode="json")
            return failed(
                str(answer["type"]).rpartition(":")[2], str(answer["detail"]), answer.get("title")
            )
        except (ValueError, ValidationError, KeyError, TypeError, AttributeError, RecursionError):
            return failed(
                "device-answer",
                f"What {name} answered ({status}) at {address} is no answer to {step.name}. Is it "
                "a Fedbell device of the same version?",
            )

    def _post(self, address: str, target: Target, step: Step) -> tuple[int, bytes]:
        """The status and body of an answer. Raises httpx.HTTPError, also for too long ones."""
        url = httpx.URL(address, params={"task": step.task})
        told = json.dumps(dict(step.body)).encode()
        proof = prove(target.token_hash, "POST", url.path, url.query, told)
        headers, extensions = {"Accept-Encoding": "identity", HEADER: proof}, {}
        headers["Content-Type"] = "application/json"
        if target.address is not None:
            # The name may mean another machine by now; the address is the one that was checked.
            headers["Host"] = url.netloc.decode()
            extensions = {"sni_hostname": url.host}
            url = url.copy_with(host=target.address)
        deadline = time.monotonic() + step.seconds
        body = bytearray()
        with self._client.stream(
            "POST",
            url,
            content=told,
            headers=headers,
            extensions=extensions,
            timeout=httpx.Timeout(step.seconds, connect=CONNECT_SECONDS),
        ) as response:
            for block in response.iter_raw():
                body += block
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("it sends too slowly")
                if len(body) > _MOST_ANSWER_BYTES:
                    raise httpx.RemoteProtocolError("its answer is too long")
        return response.status_code, bytes(body)


def too_slow(name: str, step: Step) -> dict[str, Any]:
    """The error of a device that did not answer in time."""
    return failed(
        "device-timeout",
        f"{name} did not finish {step.name} within {step.seconds:g} s. Look at its page.",
    )


def failed(kind: str, detail: str, title: str | None = None) -> dict[str, Any]:
    """What is told of a device instead of its answer: ``{"error": problem details}``."""
    return {
        "error": {
            "type": f"urn:fedbell:problem:{kind[:64]}",
            "title": str(title or "The step failed")[:_MOST_SENTENCE],
            "detail": detail[:_MOST_SENTENCE],
        }
    }
