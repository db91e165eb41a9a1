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


def percent(fraction: float) -> str:
    """A fraction as percent, to one decimal."""
    return f"{fraction * 100:.1f}\N{NO-BREAK SPACE}%"


def kilobytes(number: int) -> str:
    """A number of bytes in thousands, to one decimal."""
    return f"{number / 1000:,.1f}\N{NO-BREAK SPACE}kB"


def init_app(app: Flask) -> None:
    """Let the templates of ``app`` use them."""
    for each in (ago, clock, percent, kilobytes):
        app.add_template_filter(each)
