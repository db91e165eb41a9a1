"""What the processes of a server hold in memory, as the kernel counts it. Linux alone."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

_SAMPLE_SECONDS = 0.01
#: What it is called here: what /proc calls it, and how many of its units make one here.
_STATUS = {
    "rss": ("VmRSS", 1000),
    "anonymous": ("RssAnon", 1000),
    "files": ("RssFile", 1000),
    "threads": ("Threads", 1),
}


def memory(process: int) -> dict[str, float]:
    """What one process holds, in MB.

    Returns:
        ``rss``: all of it that is in memory; ``pss``: the same, what is shared divided by
        those that share it; ``anonymous``: what belongs to no file; 0 when it is gone.
    """
    told = _fields(Path(f"/proc/{process}/smaps_rollup"))
    return {
        "rss": told.get("Rss", 0) / 1000,
        "pss": told.get("Pss", 0) / 1000,
        "anonymous": told.get("Anonymous", 0) / 1000,
    }


def processor_seconds(process: int) -> float:
    """The processor time that one process has used so far, all its threads together."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class MemorySampler:
    """The most that processes held together, looked at while a ``with`` block runs.

    Args:
        processes: tells their ids, at each look: some may start and end meanwhile.
    """

    def __init__(self, processes: Callable[[], Sequence[int]]) -> None:
        self._processes = processes
        self._over = threading.Event()
        self._most: dict[str, float] = {}
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def take(self) -> dict[str, float]:
        """The most since the last call.

        Returns:
            In MB ``rss``, mapped files included, where what two of them share counts twice;
            ``anonymous``, what belongs to no file: the system cannot get it back by forgetting
            pages of files; ``files``, the rest. And the number of ``threads``.
        """
        most, self._most = self._most, {}
        return most

    def _watch(self) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            self._look()

    def _look(self) -> None:
        told = [_fields(Path(f"/proc/{process}/status")) for process in self._processes()]
        most = self._most
        for name, (field, unit) in _STATUS.items():
            held = sum(each.get(field, 0) for each in told) / unit
            most[name] = max(most.get(name, 0), held)


def _fields(file: Path) -> dict[str, float]:
    """The numbers of a file of /proc by name; what is in kB there, in thousands of bytes."""
    try:
        lines = file.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    found = {}
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB":
            found[name] = int(words[0]) * 1.024
        elif len(words) == 1 and words[0].isdecimal():
            found[name] = float(words[0])
    return found
