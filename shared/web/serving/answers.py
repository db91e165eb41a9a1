"""What the worker answers itself, to calls that are none; all else is the application's."""

import json
from http import HTTPStatus
from typing import Any

from gunicorn import util

#: What Gunicorn says of an error holds the call's own words.
_MOST_TOLD = 200
_TOLD = {
    403: "This server takes no such connection: {told}.",
    414: "The address of the call is too long. Ask for less at once.",
    417: "Of expectations only 100-continue can be met: leave the header Expect out.",
    431: "The call's line and headers are too long: {told}.",
    500: "The server's log says more. Nothing acknowledged is lost.",
    501: "This transfer coding is not known here: {told}. Use chunked, or a Content-Length.",
}
_NO_HTTP = "This is no call of HTTP/1.1, or a damaged one: {told}. Nothing was changed."


def _answer(status: int, title: str, detail: str) -> bytes:
    members = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    body = json.dumps(members).encode()
    head = (
        f"HTTP/1.1 {status} {title}\r\nConnection: close\r\n"
        f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


TOO_LATE = _answer(
    408, "Request Timeout", "The call did not come in time. Nothing was changed; send it again."
)
TOO_LONG = _answer(
    431, "Request Header Fields Too Large", "The call's line and headers are too long."
)


def write_error(sock: Any, status: int, _reason: str, message: str) -> None:
    """Answer as Gunicorn's ``util.write_error``, in whose place it is, but with a problem."""
    told = message[:_MOST_TOLD].rstrip(".")
    detail = _TOLD.get(status, _NO_HTTP).format(told=told)
    util.write_nonblock(sock, _answer(status, HTTPStatus(status).phrase, detail))
