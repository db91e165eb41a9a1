"""Whether a call is here as far as it has to be before a thread takes it."""

import re

#: A longer head is none of a program that means well.
MOST_HEAD_BYTES = 32 * 1024
#: So much of a body has come before a thread takes the call: all of most bodies.
FIRST_BODY_BYTES = 64 * 1024
#: A body that is announced to be larger is refused at once, or taken by who expects such: the
#: application knows.
_LARGE_BYTES = 1024**3

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,30})[ \t]*\r\n")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:")
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_MOST_CHUNK_LINE_BYTES = 4096
_WAITS_FOR_LEAVE = re.compile(rb"\r\nexpect:")


class Arrival:
    """The bytes of a call that have come so far; how they are to be read is for others to say."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._head = 0  # its bytes, once all of them are here
        self._searched = 0
        self._chunk = 0  # where the next one of a chunked body begins
        self._wanted: int | None = 0

    def __len__(self) -> int:
        return len(self._data)

    def take(self) -> bytes:
        """All of them."""
        return bytes(self._data)

    def add(self, data: bytes) -> None:
        """What has come now."""
        self._data += data if self._data else data.lstrip(b"\r\n")  # RFC 9112, section 2.2
        if self._head:
            return
        end = self._data.find(_END, self._searched)
        if end < 0:
            self._searched = max(0, len(self._data) - len(_END) + 1)
            return
        self._head = self._chunk = end + len(_END)
        head = bytes(self._data[: self._head]).lower()
        length = _LENGTH.search(head)
        if _WAITS_FOR_LEAVE.search(head):
            self._wanted = 0
        elif _CHUNKED.search(head):
            self._wanted = None
        elif length and (announced := int(length.group(1))) <= _LARGE_BYTES:
            self._wanted = min(announced, FIRST_BODY_BYTES)

    @property
    def has_head(self) -> bool:
        """Whether the request line and all headers are here."""
        return self._head > 0

    @property
    def is_too_long(self) -> bool:
        """Whether the head is longer than any should be."""
        return (self._head or len(self._data)) > MOST_HEAD_BYTES

    @property
    def is_here(self) -> bool:
        """Whether the head is here, and all of the body or enough of it."""
        if not self._head:
            return False
        body = len(self._data) - self._head
        if self._wanted is None:
            return body >= FIRST_BODY_BYTES or self._has_all_chunks()
        return body >= self._wanted

    def _has_all_chunks(self) -> bool:
        """Whether the last chunk and its trailers are here, or something that is no chunk."""
        while (end := self._data.find(b"\r\n", self._chunk)) >= 0:
            line = _CHUNK.fullmatch(self._data, self._chunk, end)
            if not line:
                return True  # the parser says what is wrong
            size = int(line.group(1), 16)
            if not size:
                return self._data.find(_END, end) >= 0
            self._chunk = end + 2 + size + 2
        return len(self._data) - self._chunk > _MOST_CHUNK_LINE_BYTES
