"""Open pages as a server sees them: what shared/web/static/live.js asks for, without a browser."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

_POLL_SECONDS = 5.0
_AT_MOST_EVERY_SECONDS = 1.0
#: The live parts of the control page: all of them, and those that follow running work.
ALL_PARTS = "glance round devices history log"
PROGRESS_PARTS = "glance round devices"


class OpenPage:
    """One page: a stream, or where there is none a look every few seconds.

    Attributes:
        refreshes: how often it asked for its parts.
        streams: whether it got an event stream.
    """

    def __init__(self, url: str, closing: threading.Event) -> None:
        self.refreshes = 0
        self.streams = False
        self._closing = closing
        self._last = 0.0
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def run(self) -> None:
        """Be open until all pages are closed."""
        with self._client:
            page = self._client.get("/", headers={"Accept": "text/html"}).text
            newest = page.partition('data-live-after="')[2].partition('"')[0]
            with self._client.stream("GET", f"/events?after={newest}") as stream:
                self.streams = stream.is_success
                if self.streams:
                    self._listen(stream)
            while not self._closing.wait(_POLL_SECONDS):
                self._refresh(ALL_PARTS)

    def _listen(self, stream: httpx.Response) -> None:
        for line in stream.iter_lines():
            if self._closing.is_set():
                return
            if line.startswith("event: progress"):
                self._refresh(PROGRESS_PARTS)
            elif line.startswith("id:"):
                self._refresh(ALL_PARTS)

    def _refresh(self, parts: str) -> None:
        if time.monotonic() - self._last < _AT_MOST_EVERY_SECONDS:
            return
        self._last = time.monotonic()
        self._client.get("/", headers={"Accept": "text/html", "Fedbell-Parts": parts})
        self.refreshes += 1


@contextmanager
def open_pages(url: str, number: int) -> Iterator[list[OpenPage]]:
    """So many pages of the server at ``url``, open for a while."""
    closing = threading.Event()
    pages = [OpenPage(url, closing) for _ in range(number)]
    threads = [threading.Thread(target=page.run, daemon=True) for page in pages]
    for thread in threads:
        thread.start()
    try:
        yield pages
    finally:
        closing.set()
        for thread in threads:
            thread.join(10)
