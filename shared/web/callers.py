"""Who may call: known hosts, no other origin, nobody who dawdles; what browsers may do."""

from collections.abc import Sequence

from flask import Flask, Request, Response, request
from werkzeug.exceptions import SecurityError

from shared.errors import FedbellError
from shared.web.problems import problem

#: How long a client may send nothing of what it announced, or read nothing of its answer.
_PATIENCE_SECONDS = 30.0
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
    app.before_request(_be_impatient)
    app.before_request(_refuse_foreign_origin)
    app.after_request(_add_headers)


def _unknown_host(_error: SecurityError) -> Response:
    error = UnknownHost(
        "This server does not answer for the host of this call. Use localhost, or add the "
        "host to TRUSTED_HOSTS."
    )
    return problem(error.as_problem())


def _be_impatient() -> None:
    """Who announces a body and sends nothing, or asks and does not read, holds one of few threads:
    not for ever."""
    if connection := request.environ.get("gunicorn.socket"):
        connection.settimeout(_PATIENCE_SECONDS)


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
    return response
