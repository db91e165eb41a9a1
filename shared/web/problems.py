"""Errors as RFC 9457 problem details (application/problem+json)."""

import errno
import logging
import shlex
import uuid
from typing import Any

from apiflask import APIFlask, HTTPError
from flask import Request, Response, current_app, g, jsonify, render_template, request
from flask.globals import request_ctx
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import BadRequest as HTTPBadRequest
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from shared.errors import FedbellError
from shared.web.database import is_database_disk_full

_log = logging.getLogger(__name__)

#: The extension of an application that holds, by path, what a call's body looks like: for those
#: that need one.
EXAMPLE_BODIES = "fedbell_example_bodies"


class BadRequest(FedbellError):
    """The call itself is wrong: its body, its query or its headers."""

    status = 400
    title = "The call is wrong"


class NotJson(FedbellError):
    """The body is of a type that this call does not take."""

    status = 415
    title = "The body is not JSON"


class NotFound(FedbellError):
    """There is no such thing here."""

    status = 404
    title = "Not found"


class DiskFull(FedbellError):
    """There is no room left where this server keeps its state."""

    status = 507
    title = "The disk is full"


def is_disk_full(error: BaseException) -> bool:
    """Whether the system, or the database, says with ``error`` that the disk is full."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    if not isinstance(error, OperationalError):
        return False
    return "disk is full" in str(error.orig) or is_database_disk_full(error)


def is_page(call: Request) -> bool:
    """Whether a browser's page made the call, so that a page is the answer."""
    return "text/html" in call.headers.get("Accept", "")


def problem(members: dict[str, Any]) -> Response:
    """Problem details, as JSON or for a page as a page; the status is the member ``status``."""
    g.problem = members
    if is_page(request) and request_ctx.url_adapter is not None:  # else no page has a link
        return Response(render_template("problem.html", problem=members), members["status"])
    response = jsonify(members)
    response.status_code = members["status"]
    response.mimetype = "application/problem+json"
    return response


def init_app(app: APIFlask) -> None:
    """Make every error of ``app`` a problem."""

    @app.error_processor
    def _validation(error: HTTPError) -> Response:
        fields = {
            name: messages
            for place in (error.detail or {}).values()
            for name, messages in (place.items() if isinstance(place, dict) else ())
        }
        told = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in fields.items())
        told = told.replace("_schema: ", "the body: ")
        told = told.replace(
            "Extra inputs are not permitted", "there is no such name here; see /docs"
        )
        return problem(
            {
                "type": "urn:fedbell:problem:bad-request",
                "title": BadRequest.title,
                "status": error.status_code,
                "detail": told or error.message,
                "errors": fields,
            }
        )

    # After error_processor, which registers handlers of its own for the same errors.
    app.register_error_handler(FedbellError, answer_to)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(TimeoutError, _too_slow)
    app.register_error_handler(Exception, _unexpected)


def answer_to(error: FedbellError) -> Response:
    """The problem that ``error`` is."""
    answer = problem(error.as_problem())
    if error.retry_after is not None:
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    detail = error.description or ""
    if isinstance(error, MethodNotAllowed) and "POST" in (error.valid_methods or ()):
        detail = f"This call takes POST. Try: curl -X POST {shlex.quote(request.url)}{_body()}"
    elif isinstance(error, HTTPBadRequest) and request.is_json:
        detail = "The body is not JSON."
    elif isinstance(error, RequestEntityTooLarge):
        detail = "The body is larger than this call takes."
    answer = problem(
        {"type": "about:blank", "title": error.name, "status": status, "detail": detail}
    )
    for name, value in error.get_headers(request.environ):
        if name.lower() in {"allow", "retry-after"}:
            answer.headers[name] = value
    return answer


def _body() -> str:
    """What curl has to send besides; empty: nothing."""
    body = current_app.extensions.get(EXAMPLE_BODIES, {}).get(request.path)
    return f" -H 'Content-Type: application/json' -d {shlex.quote(body)}" if body else ""


def _too_slow(_error: TimeoutError) -> Response:
    return problem(
        {
            "type": "about:blank",
            "title": "Request Timeout",
            "status": 408,
            "detail": "The call's body did not come. Nothing was changed; send it again.",
        }
    )


def _unexpected(error: Exception) -> Response:
    if is_disk_full(error):
        return answer_to(
            DiskFull(
                "The disk of this server's state is full, so nothing was changed. Make room on it "
                "and try again; nothing acknowledged is lost."
            )
        )
    reference = uuid.uuid4().hex[:12]
    _log.error("unexpected error %s", reference, exc_info=error)
    return problem(
        {
            "type": "urn:fedbell:problem:unexpected",
            "title": "Unexpected error",
            "status": 500,
            "detail": f"The log says more, under {reference}. Nothing acknowledged is lost.",
            "reference": reference,
        }
    )
