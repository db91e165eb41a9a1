"""Addresses of servers, as people write them."""

from urllib.parse import urlsplit


def check_address(value: str) -> str:
    """An http(s) address of a server, without a slash at its end.

    Raises:
        ValueError: it is none; a part of a sentence says why.
    """
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError as error:
        raise ValueError(_none(value)) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
        raise ValueError(_none(value))
    if "_" in parts.hostname:
        raise ValueError(f"{parts.hostname!r} holds an underscore, which no host name may")
    return value.rstrip("/")


def _none(value: str) -> str:
    return f"{value!r} is no address such as http://localhost:8000"
