"""What the processes of a server hold in memory, as the kernel counts it. Linux alone."""

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


class MemorySampler:
    """The most that processes held together while a ``with`` block ran.

    Args:
        processes: tells their ids, at the start of the block.

    Attributes:
        anonymous: the most of it that belongs to no file, in MB: what the system cannot get
            back by forgetting pages of files.
        rss: the most of all, mapped files included, in MB; what two of them share counts twice.
    """

    def __init__(self, processes: Callable[[], Sequence[int]]) -> None:
        self._processes = processes
        self._over = threading.Event()
        self.anonymous = self.rss = 0.0

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


def _fields(file: Path) -> dict[str, float]:
    """The figures of a file of /proc that are in kB; thousands of bytes, not 1024."""
    try:
        lines = file.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    pairs = (line.split() for line in lines if line.endswith(" kB"))
    return {words[0].rstrip(":"): int(words[1]) * 1.024 for words in pairs}
