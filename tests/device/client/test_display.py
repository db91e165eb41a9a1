"""What a terminal and a log show of a client."""

import io
import re

import pytest
from rich.console import Console

from shared.device.client.display import LineDisplay, TerminalDisplay


def _shown(display: TerminalDisplay) -> str:
    console = Console(file=io.StringIO(), width=120, color_system=None)
    console.print(display.picture())
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


def test_a_terminal_shows_where_the_client_is() -> None:
    display = TerminalDisplay("alice", Console(file=io.StringIO()))
    assert "alice  starts" in _shown(display)
    display.trains(2, 3, 7, 4)
    display.learns(0.5, 0.61234, 0.75)
    shown = _shown(display)
    for part in ("chunk 2 of 3, version 7", "epoch 1/4", "loss 0.6123", "accuracy 0.7500"):
        assert part in shown
    display.epoch(1, 0.51234, 0.875)
    display.pushed(5, 6)
    shown = _shown(display)
    for part in ("chunk 2 of 3, version 7", "epoch 2/4", "loss 0.5123", "accuracy 0.8750"):
        assert part in shown
    assert "pushed 5" in shown

    display.waits("could not push the update: nobody answers", 42)
    assert "could not push the update: nobody answers; the next try is in 42 s" in _shown(display)
    display.waits_for("a newer version than 7", 4)
    told = "waits for a newer version than 7; the next try is in 4 s"
    assert told in _shown(display)
    display.works()
    assert "waits" not in _shown(display)


def _bar(display: TerminalDisplay) -> int:
    """How much of the bar is full, in characters."""
    console = Console(file=io.StringIO(), width=120, color_system="truecolor", force_terminal=True)
    console.print(display.picture())
    text = console.file
    assert isinstance(text, io.StringIO)
    full = re.search(r"\x1b\[[0-9;]*249;38;114m(━+)", text.getvalue())
    return len(full[1]) if full else 0


def test_the_bar_moves_within_an_epoch() -> None:
    display = TerminalDisplay("alice", Console(file=io.StringIO()))
    display.trains(1, 1, 0, 1)
    seen = []
    for epochs in (0.0, 0.25, 0.5, 0.75):
        display.learns(epochs, 1.0, 0.5)
        seen.append(_bar(display))
    assert seen == [0, 6, 12, 18]


def test_the_end_gives_the_cursor_back_whenever_it_comes() -> None:
    terminal = io.StringIO()
    with TerminalDisplay("alice", Console(file=terminal, force_terminal=True)) as display:
        assert "?25l" in terminal.getvalue()
        assert "?25h" not in terminal.getvalue()
        display.end()  # as before a process ends amid a call
        assert "?25h" in terminal.getvalue()


def test_a_log_has_a_line_for_what_happens(capsys: pytest.CaptureFixture[str]) -> None:
    display = LineDisplay()
    display.trains(2, 3, 7, 4)
    display.epoch(1, 0.51234, 0.875)
    display.waits("could not pull", 1.26)
    for _ in range(3):
        display.waits_for("a newer version than 7", 4)
    display.works()
    display.pushed(5, 7)
    lines = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "chunk 2 of 3, version 7, epoch 1/4: loss 0.5123, accuracy 0.8750",
        "could not pull; the next try is in 1.3 s",
        "waits for a newer version than 7",
        "pushed update 5, which started from version 7",
    ]
