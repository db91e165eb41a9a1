"""What the processes of a server hold in memory, as the kernel counts it. Linux alone."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

_SAMPLE_SECONDS = 0.02


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
    """The most that processes held together while a ``with`` block ran.

    Args:
        processes: tells their ids, at the start of the block.

    Attributes:
        anonymous: the most of it that belongs to no file, in MB: what the system cannot get
            back by forgetting pages of files.
        rss: the most of all, mapped files included, in MB; what two of them share counts twice.
        threads: the most threads of all.
    """

    def __init__(self, processes: Callable[[], Sequence[int]]) -> None:
        self._processes = processes
        self._over = threading.Event()
        self.anonymous = self.rss = 0.0
        self.threads = 0

    def __enter__(self) -> Self:
        files = [Path(f"/proc/{process}/status") for process in self._processes()]
        self._look(files)
        self._thread = threading.Thread(target=self._sample, args=(files,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self, files: Sequence[Path]) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            self._look(files)

    def _look(self, files: Sequence[Path]) -> None:
        told = [_fields(file) for file in files]
        self.anonymous = max(self.anonymous, sum(each.get("RssAnon", 0) for each in told) / 1000)
        self.rss = max(self.rss, sum(each.get("VmRSS", 0) for each in told) / 1000)
        self.threads = max(self.threads, int(sum(each.get("Threads", 0) for each in told)))


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
