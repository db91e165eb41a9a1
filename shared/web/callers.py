"""Who may call: known hosts, no other origin; what browsers may do."""

import re
from collections.abc import Sequence

from flask import Flask, Request, Response, request
from werkzeug.exceptions import SecurityError

from shared.errors import FedbellError
from shared.web.problems import problem

#: A browser that came over TLS comes over TLS for 30 days; not to this machine itself, whose name
#: is that of every other server on it, too.
_HSTS_SECONDS = 30 * 24 * 3600
_THIS_MACHINE = {"localhost", "127.0.0.1", "[::1]"}
_PORT = re.compile(r":\d*$")
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; "
        "form-action 'self'; base-uri 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class UnknownHost(FedbellError):
    """The Host header names a host this server does not answer for (DNS rebinding)."""

    status = 400
    title = "Unknown host"


class ForeignOrigin(FedbellError):
    """A page of another origin tried to change something."""

    status = 403
    title = "The call came from a page of another origin"


def init_app(app: Flask, trusted_hosts: Sequence[str]) -> None:
    """Refuse unknown hosts and foreign origins; set the security headers of every answer.

    Args:
        trusted_hosts: host names without port; a leading dot admits all subdomains.
    """
    app.config["TRUSTED_HOSTS"] = list(trusted_hosts)
    app.register_error_handler(SecurityError, _unknown_host)
    app.before_request(_refuse_foreign_origin)
    app.after_request(_add_headers)


def _unknown_host(_error: SecurityError) -> Response:
    error = UnknownHost(
        "This server does not answer for the host of this call. Use localhost, or add the "
        "host to TRUSTED_HOSTS."
    )
    return problem(error.as_problem())


def _refuse_foreign_origin() -> None:
    if request.method not in _SAFE_METHODS and _is_foreign(request):
        origin = request.headers.get("Origin", "elsewhere")[:100]
        raise ForeignOrigin(
            "Only this server's own pages, and programs that send no Origin header, may change "
            f"something here; this call came from {origin}."
        )


def _is_foreign(call: Request) -> bool:
    origin = call.headers.get("Origin")
    if origin is not None:
        return origin not in {f"http://{call.host}", f"https://{call.host}"}
    return call.headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}


def _add_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if response.status_code == 401:  # RFC 9110, 11.6.1
        response.headers.setdefault("WWW-Authenticate", "Bearer")
    host = _PORT.sub("", request.headers.get("Host", ""))
    if request.is_secure and host not in _THIS_MACHINE:
        response.headers.setdefault("Strict-Transport-Security", f"max-age={_HSTS_SECONDS}")
    return response
