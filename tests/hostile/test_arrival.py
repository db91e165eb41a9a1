"""When a call is here: however it is cut, and whatever follows it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.web.serving.arrival import FIRST_BODY_BYTES, Arrival
from tests.hostile.slow import head

_CHUNKED = head("POST", "/", "Transfer-Encoding: chunked")
_NEXT = b"POST /next HTTP/1.1\r\nHo"


def _chunks(parts: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def _is_here(data: bytes) -> bool:
    arrival = Arrival()
    arrival.add(data)
    return arrival.is_here


@given(
    st.lists(st.binary(min_size=1, max_size=50), max_size=5),
    st.sampled_from([b"", b"Trailer: 1\r\n"]),
    st.integers(1, 40),
)
def test_a_chunked_call_is_here_with_its_last_byte(
    parts: list[bytes], trailer: bytes, size: int
) -> None:
    call = _CHUNKED + _chunks(parts) + b"0\r\n" + trailer + b"\r\n"
    arrival = Arrival()
    for begin in range(0, len(call) - 1, size):
        arrival.add(call[begin : min(begin + size, len(call) - 1)])
        assert not arrival.is_here
    arrival.add(call[-1:] + _NEXT)  # the beginning of another one is not waited for
    assert arrival.is_here


@pytest.mark.parametrize(
    "body", [b"no chunk\r\n", b"5\r\nabcdefgh\r\n", b"-1\r\n", b"\r\n", b"1" * 5000]
)
def test_what_is_no_chunk_is_for_the_parser(body: bytes) -> None:
    assert _is_here(_CHUNKED + body)


def test_a_large_chunk_is_not_waited_for() -> None:
    assert not _is_here(_CHUNKED + b"fffff; name=value\r\n" + bytes(FIRST_BODY_BYTES - 50))
    assert _is_here(_CHUNKED + b"fffff\r\n" + bytes(FIRST_BODY_BYTES))
