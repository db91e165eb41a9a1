"""Receiving a file: straight to the disk, hashed on the way, never larger than allowed."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from flask import Request

from shared.errors import FedbellError

_BLOCK_BYTES = 1024 * 1024
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
    """A received file, fsynced, under a temporary name; its SHA-256 in hex."""

    file: Path
    sha256: str


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
    def receive(self, call: Request) -> Iterator[Upload]:
        """The body of ``call``, as a file that is deleted afterwards unless it was moved.

        Raises:
            TooLarge, CutShort
        """
        call.max_content_length = None  # counted here, while it comes
        announced = call.content_length
        if announced is not None and announced > self._most_bytes:
            raise self._too_large()
        descriptor, name = tempfile.mkstemp(dir=self._directory, suffix=".part")
        file = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as target:
                digest, received = hashlib.sha256(), 0
                while block := call.stream.read(_BLOCK_BYTES):
                    received += len(block)
                    if received > self._most_bytes:
                        raise self._too_large()
                    digest.update(block)
                    target.write(block)
                if announced is not None and received != announced:
                    raise CutShort(f"{received} of {announced} bytes came. Send it again.")
                target.flush()
                os.fsync(target.fileno())
            yield Upload(file, digest.hexdigest())
        finally:
            file.unlink(missing_ok=True)

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"At most {self._most_bytes} bytes are taken. If the network is meant to be this "
            "large, raise MOST_UPLOAD_BYTES on the main server."
        )
