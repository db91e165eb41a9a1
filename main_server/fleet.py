"""Calls to the devices: side by side, with time-outs, each answer or error by itself.

A device is not trusted with more than its own part: what it answers is limited in size and
time and checked, and what is wrong with it is that device's error alone.
"""

import json
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from shared.errors import FedbellError

_CONNECT_SECONDS = 3.0
#: How often somebody's wish to stop is looked for.
_LOOK_SECONDS = 1.0
_MOST_AT_ONCE = 256
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


#: By device: its answer, or ``{"error": problem details}``.
Answers = dict[str, dict[str, Any]]


class NoDevices(FedbellError):
    """No device takes part in the task."""

    status = 409
    title = "No device takes part"


class EveryDeviceFailed(FedbellError):
    """A step failed on all devices."""

    status = 502
    title = "The step failed on every device"


@dataclass(frozen=True)
class Target:
    """Where a device is called: its url, at an IP address that was checked (None: look it up)."""

    url: str
    address: str | None


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


class Fleet:
    """The devices, as the main server calls them."""

    def __init__(self) -> None:
        # A connection each: a kept one may be closed by the device just as a step goes out.
        alone = httpx.Limits(max_keepalive_connections=0)
        transport = httpx.HTTPTransport(retries=1, limits=alone, socket_options=_KEEPALIVE)
        self._client = httpx.Client(transport=transport, follow_redirects=False)

    def ask(
        self,
        targets: Mapping[str, Target],
        step: Step,
        told: Callable[[Answers], None] = lambda _: None,
        is_stopped: Callable[[], bool] | None = None,
    ) -> Answers:
        """POST one step to every device, side by side.

        Args:
            targets: by device name.
            told: called in this thread with answers as they come, each device's once.
            is_stopped: asked about once a second; while it says so, the devices that still
                work are told to stop, which they answer as a problem.

        Returns:
            By device: its answer, or ``{"error": problem details}``.

        Raises:
            NoDevices: there is no target.
            EveryDeviceFailed: no device answered well; its member ``devices`` says why.
        """
        if not targets:
            raise NoDevices(
                f"No device takes part in {step.task}. Start one that has pictures in "
                f"dataset/<device>/{step.task}, and look at the page's device table."
            )
        came: Answers = {}
        pool = ThreadPoolExecutor(min(len(targets), _MOST_AT_ONCE))
        calls = {
            pool.submit(self._ask_one, name, target, step): name for name, target in targets.items()
        }
        deadline = time.monotonic() + step.seconds + _CONNECT_SECONDS
        waiting = set(calls)
        try:
            while waiting:
                patience = deadline - time.monotonic()
                look = patience if is_stopped is None else min(patience, _LOOK_SECONDS)
                done, waiting = wait(waiting, look, FIRST_COMPLETED)
                new = {calls[call]: call.result() for call in done}
                if not done and is_stopped is not None and look < patience:
                    if is_stopped():
                        self._stop({calls[call]: targets[calls[call]] for call in waiting}, step)
                    continue
                if not done:
                    new = {calls[call]: _too_slow(calls[call], step) for call in waiting}
                    waiting = set()
                came |= new
                told(new)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        answers = {name: came[name] for name in targets}
        if all("error" in answer for answer in answers.values()):
            errors = [f"{name}: {answer['error']['detail']}" for name, answer in answers.items()]
            raise EveryDeviceFailed("; ".join(errors), devices=answers)
        return answers

    def _stop(self, targets: Mapping[str, Target], step: Step) -> None:
        """Tell devices to stop a step; what they say to that does not count, their answer does."""
        cancel = replace(step, name=f"{step.name}/cancel", body={}, seconds=_CONNECT_SECONDS)
        pool = ThreadPoolExecutor(min(len(targets), _MOST_AT_ONCE))
        for name, target in targets.items():
            pool.submit(self._ask_one, name, target, cancel)
        pool.shutdown(wait=True)

    def _ask_one(self, name: str, target: Target, step: Step) -> dict[str, Any]:
        address = f"{target.url.rstrip('/')}/{step.name}"
        try:
            status, body = self._post(address, target.address, step)
        except httpx.TimeoutException:
            return _too_slow(name, step)
        except httpx.HTTPError as error:
            return _error(
                "device-away",
                f"{name} cannot be reached at {address} ({error or type(error).__name__}). Start "
                "it; it then fetches the versions it missed.",
            )
        try:
            answer = json.loads(body)
            if 200 <= status < 300:
                return step.answer.model_validate(answer).model_dump(mode="json")
            return _error(
                str(answer["type"]).rpartition(":")[2], str(answer["detail"]), answer.get("title")
            )
        except (ValueError, ValidationError, KeyError, TypeError, AttributeError, RecursionError):
            return _error(
                "device-answer",
                f"What {name} answered ({status}) at {address} is no answer to {step.name}. Is it "
                "a Fedbell device of the same version?",
            )

    def _post(self, address: str, ip_address: str | None, step: Step) -> tuple[int, bytes]:
        """The status and body of an answer. Raises httpx.HTTPError, also for too long ones."""
        url = httpx.URL(address, params={"task": step.task})
        headers, extensions = {"Accept-Encoding": "identity"}, {}
        if ip_address is not None:
            # The name may mean another machine by now; the address is the one that was checked.
            headers["Host"] = url.netloc.decode()
            extensions = {"sni_hostname": url.host}
            url = url.copy_with(host=ip_address)
        deadline = time.monotonic() + step.seconds
        body = bytearray()
        with self._client.stream(
            "POST",
            url,
            json=dict(step.body),
            headers=headers,
            extensions=extensions,
            timeout=httpx.Timeout(step.seconds, connect=_CONNECT_SECONDS),
        ) as response:
            for block in response.iter_raw():
                body += block
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("it sends too slowly")
                if len(body) > _MOST_ANSWER_BYTES:
                    raise httpx.RemoteProtocolError("its answer is too long")
        return response.status_code, bytes(body)


def _too_slow(name: str, step: Step) -> dict[str, Any]:
    return _error(
        "device-timeout",
        f"{name} did not finish {step.name} within {step.seconds:g} s. Look at its page.",
    )


def _error(kind: str, detail: str, title: str | None = None) -> dict[str, Any]:
    return {
        "error": {
            "type": f"urn:fedbell:problem:{kind[:64]}",
            "title": str(title or "The step failed")[:_MOST_SENTENCE],
            "detail": detail[:_MOST_SENTENCE],
        }
    }
