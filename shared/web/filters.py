"""How pages write moments, shares and sizes: the template filters of both servers."""

import time

from flask import Flask


def ago(moment: float) -> str:
    """How long ago a moment (seconds since 1970) was, in words."""
    seconds = max(0, round(time.time() - moment))
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return f"{seconds} s ago"


def clock(moment: float) -> str:
    """A moment (seconds since 1970) as date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))


def iso(moment: float) -> str:
    """A moment (seconds since 1970) for machines: ISO 8601, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def duration(seconds: float) -> str:
    """A time span in words: "12 s", "3 min 5 s", "2 h 4 min"."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def percent(fraction: float) -> str:
    """A fraction as percent, to one decimal."""
    return f"{fraction * 100:.1f}\N{NO-BREAK SPACE}%"


def kilobytes(number: float) -> str:
    """A number of bytes in thousands, to one decimal."""
    return f"{number / 1000:,.1f}\N{NO-BREAK SPACE}kB"


def init_app(app: Flask) -> None:
    """Let the templates of ``app`` use them."""
    for each in (ago, clock, duration, iso, percent, kilobytes):
        app.add_template_filter(each)
    app.add_template_global(time.time, "now")
