"""How a device knows that its main server calls.

The main server keeps only the SHA-256 of a device's token, and the device has the token, so both
know that hash and nobody else does. A key derived from it signs each call (HMAC-SHA256) over its
method, path, query, body, the time and a number that is used once. The signature is worth nothing
for another call, and nothing a second time; and who learns the key cannot act as the device, whose
calls need the token itself.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable

from flask import Request

HEADER = "Fedbell-Call"
#: Clocks of both sides may differ by so many seconds.
_MOST_SECONDS = 300.0
#: A number that was used so long ago comes with a proof that is too old by any clock.
REMEMBERED_SECONDS = 2 * _MOST_SECONDS
_LONGEST_PROOF = 200


def prove(token_hash: str, method: str, path: str, query: bytes, body: bytes) -> str:
    """The value of the header ``Fedbell-Call`` for one call.

    Args:
        token_hash: SHA-256 of the device's token, in hex.
        path: with its slash, without the query, such as ``/modeltrain``.
        query: as it stands in the address, without the question mark.
    """
    moment, number = str(int(time.time())), secrets.token_hex(16)
    return f"{moment}.{number}.{_sign(token_hash, method, path, query, body, moment, number)}"


class Proofs:
    """Checks the proofs that calls carry, each of which counts once.

    Args:
        token_hashes: of the tokens that the device has just now: two while it changes them.
        use: keeps that a number was used, at a time; whether it was not before. It has to
            remember that for REMEMBERED_SECONDS, whatever becomes of this process.
    """

    def __init__(
        self, token_hashes: Callable[[], Iterable[str]], use: Callable[[str, float], bool]
    ) -> None:
        self._token_hashes = token_hashes
        self._use = use

    def __call__(self, call: Request) -> bool:
        """Whether the main server made ``call``, and it was not made before."""
        told = call.headers.get(HEADER, "")
        moment, _, rest = told.partition(".")
        number, _, signature = rest.partition(".")
        if not signature or len(told) > _LONGEST_PROOF or not moment.isdecimal():
            return False
        now = time.time()
        if abs(now - int(moment)) > _MOST_SECONDS:
            return False
        body = call.get_data(cache=True)
        signed = (
            _sign(each, call.method, call.path, call.query_string, body, moment, number)
            for each in self._token_hashes()
        )
        if not any(hmac.compare_digest(each.encode(), signature.encode()) for each in signed):
            return False
        return self._use(number, now)


def _sign(
    token_hash: str, method: str, path: str, query: bytes, body: bytes, moment: str, number: str
) -> str:
    key = hmac.digest(token_hash.encode(), b"fedbell: the main server calls its device", "sha256")
    parts = [method, path, query.hex(), hashlib.sha256(body).hexdigest(), moment, number]
    return hmac.new(key, "\n".join(parts).encode(), "sha256").hexdigest()
