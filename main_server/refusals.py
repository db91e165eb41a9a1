"""Devices that are refused for their token: each wrong one is in the log once, and counted.

A device whose token was revoked, or whose join token is wrong, comes again with each heartbeat.
What it says again is no new guess: it is neither counted nor told again, so it fills no log, and
makes nobody wait who shares its address. Only new devices have to wait, and only where they need
the join token: the tokens of devices are long and random, and whoever has a right one is let in at
once.
"""

import hashlib
import threading
from contextlib import suppress

from flask import Flask, Response, request
from sqlalchemy.exc import SQLAlchemyError

from main_server.store.device_tokens import TokenRevoked, WrongToken
from main_server.store.devices import WrongJoinToken
from shared.errors import FedbellError
from shared.web.access.attempts import Attempts, TooManyLogIns, group
from shared.web.access.people import bearer
from shared.web.problems import answer_to

#: Wrong tokens, each of one address, that a process remembers.
_MOST_REMEMBERED = 10_000


def init_app(app: Flask, attempts: Attempts) -> None:
    """Note each refusal of ``app``; the answer is what it would be."""
    seen = _Seen()

    def refuse(error: FedbellError) -> Response:
        address = request.remote_addr or ""
        is_joining = isinstance(error, WrongJoinToken)
        secret = request.headers.get("Join-Token", "") if is_joining else bearer(request)
        kind = "join_refused" if is_joining else "device_refused"
        with suppress(SQLAlchemyError, TooManyLogIns):  # who has to wait is counted no further
            if not seen.has(kind, address, secret):
                attempts.check(address)
                _note(attempts, address, kind, error)
                seen.add(kind, address, secret)
        return answer_to(error)

    app.register_error_handler(WrongToken, refuse)
    app.register_error_handler(WrongJoinToken, refuse)


def _note(attempts: Attempts, address: str, kind: str, error: FedbellError) -> None:
    message = f"{error.title}: {error.detail.partition('. ')[0].rstrip('.')}"
    if isinstance(error, TokenRevoked):
        attempts.tell(kind, message)  # it was right once: no guess
    else:
        attempts.failed(address, kind, message)


class _Seen:
    """The wrong tokens that came to this process, the newest ones."""

    def __init__(self) -> None:
        self._keys: dict[bytes, None] = {}
        self._lock = threading.Lock()

    def has(self, kind: str, address: str, secret: str) -> bool:
        return _key(kind, address, secret) in self._keys

    def add(self, kind: str, address: str, secret: str) -> None:
        with self._lock:
            self._keys[_key(kind, address, secret)] = None
            while len(self._keys) > _MOST_REMEMBERED:
                del self._keys[next(iter(self._keys))]


def _key(kind: str, address: str, secret: str) -> bytes:
    told = "\0".join((kind, group(address), secret)).encode(errors="surrogatepass")
    return hashlib.sha256(told).digest()
