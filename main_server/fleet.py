"""Calls to the devices: side by side, with time-outs, each answer or error by itself.

A device is not trusted with more than its own part: what it answers is limited in size and
time and checked, and what is wrong with it is that device's error alone.
"""

import math
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from main_server.calling import CONNECT_SECONDS, Caller, Step, Target, failed, too_slow
from shared.errors import FedbellError

#: How often somebody's wish to stop is looked for.
_LOOK_SECONDS = 1.0
#: How long devices that are told to stop have until the step goes on: the next one finds them idle.
_LEAVING_SECONDS = 2.0
_MOST_AT_ONCE = 256


#: By device: its answer, or ``{"error": problem details}``.
Answers = dict[str, dict[str, Any]]
_Call = Future[dict[str, Any]]


class NoDevices(FedbellError):
    """No device takes part in the task."""

    status = 409
    title = "No device takes part"


class EveryDeviceFailed(FedbellError):
    """A step failed on all devices."""

    status = 502
    title = "The step failed on every device"


@dataclass(frozen=True)
class Patience:
    """How long a step waits for its devices; at the most as long as one may take.

    Attributes:
        ends: when it goes on without those still at work, in seconds since 1970; None: never.
        is_enough: given who has done it, whether it goes on without the others.
        stops_others: tell the others to stop; they are left alone otherwise.
    """

    ends: float | None = None
    is_enough: Callable[[Collection[str]], bool] = lambda _: False
    stops_others: bool = False


_PATIENT = Patience()


class Fleet:
    """The devices, as the main server calls them."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._caller = Caller(tls)

    def ask(
        self,
        targets: Mapping[str, Target],
        step: Step,
        told: Callable[[Answers], None] = lambda _: None,
        is_stopped: Callable[[], bool] | None = None,
        patience: Patience = _PATIENT,
    ) -> Answers:
        """POST one step to every device, side by side.

        Args:
            targets: by device name.
            told: called in this thread with answers as they come, each device's once.
            is_stopped: asked about once a second; while it says so, the devices that still
                work are told to stop, which they answer as a problem.
            patience: how long to wait. Who is not waited for has the error ``round-over``.

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
        ends = math.inf if patience.ends is None else patience.ends - time.time() + time.monotonic()
        seconds = min(step.seconds, max(0.0, ends - time.monotonic()) + _LEAVING_SECONDS)
        call_one = partial(self._caller.ask, step=replace(step, seconds=seconds))
        came: Answers = {}
        pool = ThreadPoolExecutor(min(len(targets), _MOST_AT_ONCE))
        calls = {pool.submit(call_one, name, target): name for name, target in targets.items()}
        latest = time.monotonic() + step.seconds + CONNECT_SECONDS
        waiting = set(calls)
        try:
            while waiting:
                left = min(latest, ends) - time.monotonic()
                look = left if is_stopped is None else min(left, _LOOK_SECONDS)
                done, waiting = wait(waiting, max(0.0, look), FIRST_COMPLETED)
                new = {calls[call]: call.result() for call in done}
                if not done and is_stopped is not None and look < left:
                    if is_stopped():
                        self._stop({calls[call]: targets[calls[call]] for call in waiting}, step)
                    continue
                well = [name for name, answer in (came | new).items() if "error" not in answer]
                if waiting and (not done or patience.is_enough(well)):
                    rest = {calls[call]: targets[calls[call]] for call in waiting}
                    if not done and latest <= ends:
                        new |= {name: too_slow(name, step) for name in rest}
                    else:
                        new |= {name: _over(name, step) for name in rest}
                        new |= self._leave(calls, waiting, rest, step, patience)
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

    def _leave(
        self,
        calls: Mapping[_Call, str],
        waiting: Collection[_Call],
        targets: Mapping[str, Target],
        step: Step,
        patience: Patience,
    ) -> Answers:
        """Go on without some devices; the answers of those who have just done it all the same."""
        if patience.stops_others:
            self._stop(targets, step, wait=False)
        finished, _ = wait(waiting, _LEAVING_SECONDS if patience.stops_others else 0)
        answers = {calls[call]: call.result() for call in finished}
        return {name: answer for name, answer in answers.items() if "error" not in answer}

    def _stop(self, targets: Mapping[str, Target], step: Step, *, wait: bool = True) -> None:
        """Tell devices to stop a step; what they say to that does not count, their answer does."""
        cancel = replace(step, name=f"{step.name}/cancel", body={}, seconds=CONNECT_SECONDS)
        pool = ThreadPoolExecutor(min(len(targets), _MOST_AT_ONCE))
        for name, target in targets.items():
            pool.submit(self._caller.ask, name, target, cancel)
        pool.shutdown(wait=wait)


def _over(name: str, step: Step) -> dict[str, Any]:
    return failed(
        "round-over",
        f"{name} was still at {step.name} when the round went on without it: its time was over, or "
        "enough others were quicker.",
        "The round went on without the device",
    )
