"""Why a main server cannot be reached, as people are told it. Of TLS the library says little."""

import re

import httpx

#: What the library says of bytes that are none of TLS.
_NO_TLS = ("wrong version number", "record layer failure", "packet length too long")
_TIMED_OUT = "handshake operation timed out"
#: Any error of TLS but the end of a connection, which may come of a server that stops.
_LASTING = re.compile(r"\[SSL(\]|: (?!UNEXPECTED_EOF))")


def reason(error: httpx.TransportError) -> str:
    """Part of a sentence, with what a person should look at."""
    told = str(error) or type(error).__name__
    if _TIMED_OUT in told:
        return "the TLS handshake timed out: does it speak TLS, or is it at http://…?"
    if any(sign in told for sign in _NO_TLS):
        return f"{told}: it does not seem to speak TLS, is it at http://…?"
    return told


def is_refusal_of_tls(told: str) -> bool:
    """Whether the two sides could not agree on TLS, which stays so until a person does something.

    Args:
        told: what :func:`reason` says, or a sentence that holds it.
    """
    return _LASTING.search(told) is not None
