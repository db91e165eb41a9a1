"""The token of a device or client, and how it becomes another one without being locked out.

Two files: ``token`` is the one that is used, ``token.next`` one that the main server may have
taken already. It is told of the new one only after that is kept, and the old one is replaced only
after it has answered. Killed anywhere, the device has the token that counts: where the old one is
refused, the new one is tried.

Only the main server can say that a new one will never count: after a revocation amid all this, say.
Then another one is made.
"""

import hashlib
import logging
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from shared.device.remote import RemoteProblem
from shared.errors import FedbellError
from shared.federated.weights import write_durably
from shared.federated.weights.durable import move_durably

_log = logging.getLogger(__name__)

_REVOKED = "token-revoked"
#: The main server's problems with a new token that it has not taken, and never will. If it is the
#: old one that was revoked, that was the device's, so the new one had not been taken either.
_IN_VAIN = frozenset({_REVOKED, "token-taken"})

#: Tells the main server, authorised by a token, the SHA-256 of the new one. Raises when refused.
Change = Callable[[str, str], None]


def hash_of(token: str) -> str:
    """The SHA-256 of a token, in hex: all that the main server keeps of it."""
    return hashlib.sha256(token.encode()).hexdigest()


class OwnTokens:
    """The token in a state directory, and the next one.

    Args:
        directory: where ``token`` is; it need not be yet.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "token"
        self._next_file = directory / "token.next"
        self._turn = threading.Lock()

    def hashes(self) -> list[str]:
        """The hashes of the tokens that may count at the main server."""
        files = (self._file, self._next_file)
        return [hash_of(token) for token in map(_read, files) if token]

    def rotate(self, change: Change) -> str | None:
        """Make another token and have the main server take it; the new one, None if it did not.

        It never raises: the next heartbeat asks again.
        """
        with self._turn:
            try:
                old, new = _read(self._file), _read(self._next_file)
                if not new:
                    new = secrets.token_urlsafe(32)
                    write_durably(self._next_file, new.encode())  # mode 0600
                change(old, hash_of(new))
            except RemoteProblem as error:
                _log.warning("The token could not be changed: %s", error)
                if error.kind in _IN_VAIN:
                    self._next_file.unlink(missing_ok=True)
                return None
            except (FedbellError, OSError) as error:
                _log.warning("The token could not be changed: %s", error)
                return None
            return self._adopt(new)

    def finish(self, change: Change) -> str | None:
        """After a token was refused: the one that counts now, as far as this device knows.

        That is the next one, if the main server has taken it; or one that another thread has just
        put in its place.

        Raises:
            RemoteProblem: it had, and the new one was revoked since.
        """
        with self._turn:
            new = _read(self._next_file)
            if not new:
                return _read(self._file) or None
            try:
                change(new, hash_of(new))
            except FedbellError as error:
                if isinstance(error, RemoteProblem) and error.kind == _REVOKED:
                    raise
                return None
            return self._adopt(new)

    def _adopt(self, new: str) -> str:
        move_durably(self._next_file, self._file)
        _log.warning("This device has a new token")
        return new


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        return ""
