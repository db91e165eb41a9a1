"""Statistics of versions, kept for a while: neither a version nor its file ever changes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from main_server.store.tables import Version
from main_server.store.versions import Versions, pruned
from shared.federated.statistics import Difference, Histogram, Statistics, histogram, statistics
from shared.federated.weights import open_weights

#: Enough for the versions that people look at; each of a large network is a few hundred kB.
_KEPT = 16


class VersionStatistics:
    """Reads the files of versions: one at a time, however many pages ask for them."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._one_at_a_time = threading.Lock()

    def of(self, version: Version) -> Statistics:
        """The statistics of a version's weights. Raises VersionPruned."""
        with self._one_at_a_time, _told_when_pruned(version):
            return _of(self._versions.path(version))

    def change(self, before: Version, after: Version) -> Statistics:
        """The statistics of what changed between two versions, number by number.

        Raises:
            SchemaMismatch: they have not the same arrays.
            VersionPruned: the weights of one are gone.
        """
        with self._one_at_a_time, _told_when_pruned(before):
            return _change(self._versions.path(before), self._versions.path(after))

    def histogram(self, version: Version, minimum: float, maximum: float) -> Histogram:
        """How many of a version's weights lie where, from ``minimum`` to ``maximum``."""
        with self._one_at_a_time, _told_when_pruned(version):
            return _histogram(self._versions.path(version), minimum, maximum)


@contextmanager
def _told_when_pruned(version: Version) -> Iterator[None]:
    """For a file that is deleted between looking for it and opening it."""
    try:
        yield
    except FileNotFoundError:
        raise pruned(version) from None


# By path: the name of a version's file holds the hash of its content.


@lru_cache(_KEPT)
def _of(file: Path) -> Statistics:
    with open_weights(file) as weights:
        return statistics(weights)


@lru_cache(_KEPT)
def _change(before: Path, after: Path) -> Statistics:
    with open_weights(before) as first, open_weights(after) as second:
        return statistics(Difference(first, second))


@lru_cache(_KEPT)
def _histogram(file: Path, minimum: float, maximum: float) -> Histogram:
    with open_weights(file) as weights:
        return histogram(weights, minimum, maximum)
