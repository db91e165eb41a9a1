"""Receiving a file: straight to the disk, hashed on the way, never larger than allowed.

The content is checked while the disk stores it. Memory holds a few blocks of each upload.
(Hashing in a thread beside receiving was tried: on two cores it was no faster.)
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from flask import Request

from main_server.memory import give_back_memory
from shared.errors import FedbellError
from shared.federated.weights import MOST_HEADER_BYTES, EarlyStoring

_BLOCK_BYTES = 512 * 1024
_OLD_SECONDS = 24 * 3600


class TooLarge(FedbellError):
    """A body larger than the server takes."""

    status = 413
    title = "The body is too large"


class CutShort(FedbellError):
    """The client hung up before it had sent what it announced."""

    status = 400
    title = "The upload was cut short"


@dataclass(frozen=True)
class Upload:
    """A received file under a temporary name; its SHA-256 in hex."""

    file: Path
    sha256: str

    @contextmanager
    def becoming_durable(self) -> Iterator[None]:
        """Fsync the file while the block runs; it is done at the end.

        Raises:
            OSError: the disk did not take it.
        """
        with self.file.open("rb") as content, ThreadPoolExecutor(1) as thread:
            done = thread.submit(os.fsync, content.fileno())
            yield
            done.result()


class Uploads:
    """Where uploads arrive.

    Args:
        directory: on the same file system as where they will go.
        most_bytes: the largest body taken.
    """

    def __init__(self, directory: Path, most_bytes: int) -> None:
        self._directory = directory
        self._most_bytes = most_bytes
        directory.mkdir(parents=True, exist_ok=True)
        for file in directory.iterdir():  # left by a killed process
            with suppress(FileNotFoundError):  # another process is done with it, or as quick
                if time.time() - file.stat().st_mtime > _OLD_SECONDS:
                    file.unlink()

    @contextmanager
    def receive(self, call: Request, usual_bytes: int | None = None) -> Iterator[Upload]:
        """The body of ``call``, as a file that is deleted afterwards unless it was moved.

        Args:
            usual_bytes: how large such a body is, where that is known: a little more is
                taken, for what its header says.

        Raises:
            TooLarge, CutShort
        """
        most = self._most_bytes
        if usual_bytes is not None:
            most = min(most, usual_bytes + MOST_HEADER_BYTES)
        # Counted here, while it comes; Flask's own limit must not come first.
        call.max_content_length = most + 1
        announced = call.content_length
        if announced is not None and announced > most:
            raise self._too_large(most)
        descriptor, name = tempfile.mkstemp(dir=self._directory, suffix=".part")
        file = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as target:
                sha256 = self._save(call, target, most)
            yield Upload(file, sha256)
        finally:
            file.unlink(missing_ok=True)
            give_back_memory()

    def _save(self, call: Request, target: BinaryIO, most: int) -> str:
        """Write the body of ``call`` to ``target``; its SHA-256 in hex."""
        digest, received, storing = hashlib.sha256(), 0, EarlyStoring(target)
        place = memoryview(bytearray(_BLOCK_BYTES))
        while size := call.stream.readinto(place):  # type: ignore[attr-defined]
            received += size
            if received > most:
                raise self._too_large(most)
            digest.update(place[:size])
            target.write(place[:size])
            storing.go_on()
        announced = call.content_length
        if announced is not None and received != announced:
            raise CutShort(f"{received} of {announced} bytes came. Send it again.")
        return digest.hexdigest()

    def _too_large(self, most: int) -> TooLarge:
        if most < self._most_bytes:
            return TooLarge(
                f"At most {most} bytes are taken: no update of this task's network is larger."
            )
        return TooLarge(
            f"At most {most} bytes are taken. If the network is meant to be this large, raise "
            "MOST_UPLOAD_BYTES on the main server."
        )
