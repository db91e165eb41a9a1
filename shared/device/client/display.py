"""What people see of a client: a bar in a terminal, lines elsewhere."""

import sys
import time
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_FRAMES_A_SECOND = 4
_BAR_WIDTH = 24


class Display(Protocol):
    """Is told what happens; called from one thread."""

    def say(self, sentence: str) -> None:
        """Something that is worth a line that stays."""

    def works(self) -> None:
        """It waits no longer."""

    def waits(self, reason: str, seconds: float) -> None:
        """It tries again in so many seconds."""

    def waits_for(self, what: str, seconds: float) -> None:
        """It waits until something is there, and looks again in so many seconds."""

    def trains(self, chunk: int, last_chunk: int, version: int, epochs: int) -> None:
        """A training begins, from a version or from what was learned since."""

    def learns(self, epochs: float, loss: float, accuracy: float) -> None:
        """So many epochs are over, the part of the one that runs included; a few times a second."""

    def epoch(self, number: int, loss: float, accuracy: float) -> None:
        """An epoch has ended; the first is 1."""

    def pushed(self, count: int, version: int) -> None:
        """An update was acknowledged; the so-manieth of this process."""

    def end(self) -> None:
        """The process ends now: what is seen stays as it should. Again, it changes nothing."""


class LineDisplay:
    """Plain lines with the time, for a pipe or a log."""

    def __init__(self) -> None:
        self._where = ""
        self._epochs = 0
        self._last_wait = ""

    def say(self, sentence: str) -> None:
        """See Display."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        sys.stdout.write(f"{stamp} {sentence}\n")
        sys.stdout.flush()

    def works(self) -> None:
        """See Display."""
        self._last_wait = ""

    def waits(self, reason: str, seconds: float) -> None:
        """See Display."""
        self.say(f"{reason}; the next try is in {seconds:.1f} s")

    def waits_for(self, what: str, seconds: float) -> None:
        """See Display."""
        if what != self._last_wait:
            self._last_wait = what
            self.say(f"waits for {what}")

    def trains(self, chunk: int, last_chunk: int, version: int, epochs: int) -> None:
        """See Display."""
        self._where, self._epochs = f"chunk {chunk} of {last_chunk}, version {version}", epochs

    def learns(self, epochs: float, loss: float, accuracy: float) -> None:
        """See Display."""

    def epoch(self, number: int, loss: float, accuracy: float) -> None:
        """See Display."""
        self.say(
            f"{self._where}, epoch {number}/{self._epochs}: loss {loss:.4f}, "
            f"accuracy {accuracy:.4f}"
        )

    def pushed(self, count: int, version: int) -> None:
        """See Display."""
        self.say(f"pushed update {count}, which started from version {version}")

    def end(self) -> None:
        """See Display."""
        sys.stdout.flush()


class TerminalDisplay:
    """A line that changes: chunk, epochs as a bar, loss and accuracy, pushes, the next try.

    Use it as a context manager.
    """

    def __init__(self, name: str, console: Console | None = None) -> None:
        self._name = name
        self._console = console or Console()
        self._work, self._numbers, self._reason = "starts", "", ""
        self._done, self._epochs, self._pushes = 0.0, 0, 0
        self._until: float | None = None
        self._live = Live(
            console=self._console,
            get_renderable=self.picture,
            refresh_per_second=_FRAMES_A_SECOND,
            transient=True,
        )

    def __enter__(self) -> "TerminalDisplay":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """See Display: the line that changes goes, the cursor comes back."""
        self._live.stop()

    def picture(self) -> RenderableType:
        """What is to be seen now."""
        line = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=self._epochs or 1, completed=self._done, width=_BAR_WIDTH)
        line.add_row(
            Text(self._name, "bold"),
            Text(self._work),
            bar,
            Text(f"epoch {self._epoch()}/{self._epochs}" if self._epochs else ""),
            Text(self._numbers),
            Text(f"pushed {self._pushes}"),
        )
        if not self._reason:
            return line
        told = self._reason
        if self._until is not None:
            told += f"; the next try is in {max(0.0, self._until - time.monotonic()):.0f} s"
        return Group(line, Text(told, "yellow"))

    def say(self, sentence: str) -> None:
        """See Display."""
        self._console.print(Text(sentence))

    def works(self) -> None:
        """See Display."""
        self._reason, self._until = "", None

    def waits(self, reason: str, seconds: float) -> None:
        """See Display."""
        self._reason, self._until = reason, time.monotonic() + seconds

    def waits_for(self, what: str, seconds: float) -> None:
        """See Display."""
        self.waits(f"waits for {what}", seconds)

    def trains(self, chunk: int, last_chunk: int, version: int, epochs: int) -> None:
        """See Display."""
        self.works()
        self._work = f"chunk {chunk} of {last_chunk}, version {version}"
        self._done, self._epochs = 0.0, epochs

    def learns(self, epochs: float, loss: float, accuracy: float) -> None:
        """See Display."""
        self._done, self._numbers = epochs, f"loss {loss:.4f}  accuracy {accuracy:.4f}"

    def epoch(self, number: int, loss: float, accuracy: float) -> None:
        """See Display."""
        self.learns(number, loss, accuracy)

    def pushed(self, count: int, version: int) -> None:
        """See Display."""
        self._pushes = count

    def _epoch(self) -> int:
        """The one that runs, from 1; the last when all are over."""
        return min(int(self._done) + 1, self._epochs)
