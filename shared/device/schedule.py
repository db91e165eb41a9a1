"""When a device trains by itself: given the time and the settings, whether now and when next.

Pure rules. Times are instants, seconds since 1970. A window is by the clock on the wall: on a day
on which the clock is changed it is as much longer or shorter as that day is.
"""

import re
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from typing import Literal, Self

Kind = Literal["manual", "continuous", "interval", "daily"]

_MINUTE = 60
#: A window comes every day; on a day without it, for the clock skips it, one day later.
_MOST_MINUTES = 3 * 24 * 60
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Window:
    """A part of each day, from ``begins`` until before ``ends``; it may cross midnight."""

    begins: time
    ends: time

    @classmethod
    def parse(cls, text: str) -> Self:
        """A window such as "22:00-06:00". Raises ValueError, a sentence."""
        found = _WINDOW.fullmatch(text)
        if not found:
            raise ValueError(f'{text!r} is no window such as "22:00-06:00"')
        first, second, third, fourth = (int(part) for part in found.groups())
        window = cls(time(first, second), time(third, fourth))
        if window.begins == window.ends:
            raise ValueError(f'{text!r} ends when it begins; for all day use "continuous"')
        return window

    def holds(self, clock: time) -> bool:
        """Whether that time of day is in it."""
        if self.begins < self.ends:
            return self.begins <= clock < self.ends
        return clock >= self.begins or clock < self.ends

    def __str__(self) -> str:
        return f"{self.begins:%H:%M}-{self.ends:%H:%M}"


@dataclass(frozen=True)
class Schedule:
    """When trainings may begin.

    manual: never by itself; continuous: always; interval: so many seconds after the last one;
    daily: one after the other while the window lasts.
    """

    kind: Kind
    interval_seconds: float = 0
    window: Window | None = None

    def may_train(self, now: float, last: float | None, zone: tzinfo | None = None) -> bool:
        """Whether a training may begin at ``now``; see :meth:`next_time`."""
        return self.next_time(now, last, zone) == now

    def next_time(self, now: float, last: float | None, zone: tzinfo | None = None) -> float | None:
        """The first instant, ``now`` or later, at which a training may begin; None: never.

        Args:
            last: when the last one was; None: never. In the future, for the clock was set back,
                it counts as now.
            zone: of the clock on the wall; None: this machine's.
        """
        if self.kind == "manual":
            return None
        if self.kind == "interval" and last is not None:
            return max(now, min(last, now) + self.interval_seconds)
        if self.kind == "daily" and self.window is not None:
            return _next_in(self.window, now, zone)
        return now

    def __str__(self) -> str:
        """For people: what it is called."""
        if self.kind == "daily":
            return f"daily {self.window}"
        if self.kind == "interval":
            return f"every {self.interval_seconds:g} s"
        return self.kind


def _next_in(window: Window, now: float, zone: tzinfo | None) -> float | None:
    """The first instant from ``now`` on at which the wall's clock is in the window.

    Clocks on walls are changed at full minutes, and windows begin at such: so one looks at each.
    """
    if window.holds(_clock(now, zone)):
        return now
    minute = int(now // _MINUTE)
    for later in range(1, _MOST_MINUTES):
        at = float((minute + later) * _MINUTE)
        if window.holds(_clock(at, zone)):
            return at
    return None


def _clock(at: float, zone: tzinfo | None) -> time:
    return datetime.fromtimestamp(at, zone).time()
