"""What the loop that watches connections answers itself; all else is the application's."""

import json


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
