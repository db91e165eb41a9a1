"""Runs of a long benchmark, kept as they end: broken off, it goes on where it was."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: What results of strategies depend on, besides their settings.
_SOURCES = (
    "shared/federated",
    "shared/learning",
    "shared/datasets",
    "main_server/tasks.toml",
    "benchmarks/federation_gain.py",
    "benchmarks/attacks.py",
    "benchmarks/virtual_devices.py",
)


class Runs:
    """A file of lines of JSON: what was run, and what came of it.

    Args:
        file: beside the result; it stays, so that a run is repeated only when its settings change,
            or the code that it runs.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._sources = file, sources_sha256(Path())
        self._known: dict[str, dict[str, Any]] = {}
        if file.exists():
            for line in file.read_text().splitlines():
                try:
                    told = json.loads(line)
                except ValueError:  # broken off as it was written
                    continue
                self._known[_key(told["settings"])] = told
        #: Of all runs that were asked for, in the order of asking.
        self.asked: list[dict[str, Any]] = []

    def run(self, settings: dict[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What comes of some settings, from the file where it is there.

        Args:
            settings: all that the result depends on, ready for JSON.
            work: gives the result, ready for JSON.
        """
        settings = settings | {"sources": self._sources}
        told = self._known.get(_key(settings))
        if told is None:
            began = time.monotonic()
            result = work()
            seconds = round(time.monotonic() - began, 1)
            told = {"settings": settings, "seconds": seconds, "result": result}
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a") as file:
                file.write(json.dumps(told) + "\n")
            self._known[_key(settings)] = told
        self.asked.append(told)
        return dict(told["result"])

    @property
    def hours(self) -> float:
        """How long all that was asked for took."""
        return float(sum(told["seconds"] for told in self.asked)) / 3600


def sources_sha256(root: Path) -> str:
    """Of all that a run's result depends on besides its settings; 12 hex digits.

    Args:
        root: of the repository.
    """
    digest = hashlib.sha256()
    for source in _SOURCES:
        for file in sorted([root / source, *(root / source).rglob("*")]):
            if file.suffix in {".py", ".toml"}:
                digest.update(f"{file.relative_to(root)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _key(settings: dict[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)
