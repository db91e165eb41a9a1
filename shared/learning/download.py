"""Fetching one file within a bounded time, whole or not at all."""

import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path

from shared.federated.weights import write_durably

#: Without an answer for this long, there is no network.
_SILENCE_SECONDS = 5.0
#: The largest file has 17 MB; who cannot fetch it in this time copies it by hand.
_TOTAL_SECONDS = 120.0
_CHUNK_BYTES = 1 << 16


class DownloadFailed(Exception):
    """The reason, in a few words."""


def download(url: str, target: Path) -> None:
    """Fetch ``url`` into ``target``.

    Raises:
        DownloadFailed: no network, no such file, too slow, broken off, or no room for it.
    """
    deadline = time.monotonic() + _TOTAL_SECONDS
    chunks: list[bytes] = []
    try:
        # The address is this package's own, not a user's.
        with urllib.request.urlopen(url, timeout=_SILENCE_SECONDS) as response:  # noqa: S310
            length = response.headers.get("Content-Length")
            while chunk := response.read(_CHUNK_BYTES):
                chunks.append(chunk)
                if time.monotonic() > deadline:
                    raise DownloadFailed(f"it took more than {_TOTAL_SECONDS:.0f} s")
        content = b"".join(chunks)
        if length is not None and len(content) != int(length):
            raise DownloadFailed(f"it broke off after {len(content)} of {length} bytes")
        write_durably(target, content)
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadFailed(str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise DownloadFailed(str(getattr(error, "reason", error))) from error
