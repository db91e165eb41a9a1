"""Calls to the devices: side by side, with time-outs, each answer or error by itself."""

import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from shared.errors import FedbellError

_CONNECT_SECONDS = 3.0
_MOST_AT_ONCE = 64
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


class NoDevices(FedbellError):
    """No device takes part in the task."""

    status = 409
    title = "No device takes part"


class EveryDeviceFailed(FedbellError):
    """A step failed on all devices."""

    status = 502
    title = "The step failed on every device"


class Fleet:
    """The devices, as the main server calls them."""

    def __init__(self) -> None:
        # A connection each: a kept one may be closed by the device just as a step goes out.
        alone = httpx.Limits(max_keepalive_connections=0)
        transport = httpx.HTTPTransport(retries=1, limits=alone, socket_options=_KEEPALIVE)
        self._client = httpx.Client(transport=transport, follow_redirects=False)

    def ask(
        self,
        urls: Mapping[str, str],
        step: str,
        task: str,
        body: Mapping[str, Any],
        timeout_seconds: float,
    ) -> dict[str, dict[str, Any]]:
        """POST one step to every device, side by side.

        Args:
            urls: device name to its address.
            step: such as ``modeltrain``.

        Returns:
            By device: its answer, or ``{"error": problem details}``.

        Raises:
            NoDevices: ``urls`` is empty.
            EveryDeviceFailed: no device answered well; its member ``devices`` says why.
        """
        if not urls:
            raise NoDevices(
                f"No device takes part in {task}. Start one that has pictures in "
                f"dataset/<device>/{task}, and look at the page's device table."
            )
        with ThreadPoolExecutor(min(len(urls), _MOST_AT_ONCE)) as pool:
            calls = {
                name: pool.submit(self._ask_one, name, url, step, task, body, timeout_seconds)
                for name, url in urls.items()
            }
            answers = {name: call.result() for name, call in calls.items()}
        if all("error" in answer for answer in answers.values()):
            told = "; ".join(
                f"{name}: {answer['error']['detail']}" for name, answer in answers.items()
            )
            raise EveryDeviceFailed(told, devices=answers)
        return answers

    def _ask_one(
        self,
        name: str,
        url: str,
        step: str,
        task: str,
        body: Mapping[str, Any],
        timeout_seconds: float,
    ) -> dict[str, Any]:
        address = f"{url.rstrip('/')}/{step}"
        timeout = httpx.Timeout(timeout_seconds, connect=_CONNECT_SECONDS)
        try:
            response = self._client.post(
                address, params={"task": task}, json=dict(body), timeout=timeout
            )
            answer = response.json()
        except httpx.TimeoutException:
            return _error("device-timeout", f"{name} did not answer in time at {address}.")
        except httpx.HTTPError as error:
            return _error(
                "device-away",
                f"{name} cannot be reached at {address} ({error or type(error).__name__}). Start "
                "it; it then fetches the versions it missed.",
            )
        except ValueError:
            return _error("device-answer", f"What answers at {address} is not a Fedbell device.")
        if response.is_success and isinstance(answer, dict):
            return answer
        return (
            {"error": answer}
            if isinstance(answer, dict) and "detail" in answer
            else _error("device-answer", f"{name} answered {response.status_code} at {address}.")
        )


def _error(kind: str, detail: str) -> dict[str, Any]:
    problem = {"type": f"urn:fedbell:problem:{kind}", "title": "The step failed", "detail": detail}
    return {"error": problem}
