"""The guard before every call: who calls, and may they?

Without ADMIN_TOKEN everybody who reaches the server is an operator, as it has to be on one's own
machine. With it, a call that stands in no table of routes is the operator's alone.
"""

from collections.abc import Callable
from contextlib import suppress

from flask import Flask, Request, Response, g, redirect, request, url_for
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response as AnyResponse

from shared.web.access import log_in, who
from shared.web.access.errors import LogInNeeded, NotAllowed
from shared.web.access.people import SESSION_SECONDS, People, bearer
from shared.web.access.routes import COMMON, Routes, Who
from shared.web.access.sessions import Sessions
from shared.web.events import record
from shared.web.live import PARTS
from shared.web.problems import is_page

#: Whether the token or the proof of a call is that of a device, or of the main server.
Knows = Callable[[Request], bool]
#: A person makes these calls, or the main server with a proof.
_OF_PEOPLE = {Who.VIEWER, Who.OPERATOR, Who.MAIN_SERVER_OR_OPERATOR}
#: For the caller's role, or for how things are.
_REFUSALS = {403, 409}
_READS = {"GET", "HEAD", "OPTIONS"}


def init_app(
    app: Flask,
    people: People,
    server: str,
    routes: Routes,
    *,
    is_device: Knows = lambda _: False,
    is_main_server: Knows = lambda _: False,
) -> None:
    """Guard every call of ``app``, and give it the calls to log in and out.

    Args:
        server: its name, for its cookie.
        routes: who may call its own endpoints; those that both servers have are known.
        is_device: whether a call carries the token of an enrolled device.
        is_main_server: whether a call carries the main server's proof.
    """
    app.extensions["fedbell_routes"] = table = {**COMMON, **routes}
    app.session_interface = Sessions(server)
    if people.must_log_in:
        app.secret_key = people.signing_key()
    app.config.update(
        PERMANENT_SESSION_LIFETIME=SESSION_SECONDS, SESSION_REFRESH_EACH_REQUEST=False
    )

    def guard() -> AnyResponse | None:
        address = request.remote_addr or ""
        g.acting = who.begin(who.Caller(who.ANONYMOUS, address))
        g.role = None
        if request.endpoint is None:
            return None  # there is no such call, and the answer says so
        allowed = table.get(request.endpoint, Who.OPERATOR)
        if allowed is Who.MAIN_SERVER_OR_OPERATOR and is_main_server(request):
            who.known_as(who.MAIN_SERVER)
            return None
        if not people.must_log_in:
            g.role = who.OPERATOR
            return None
        if allowed is Who.ANYBODY and not request.endpoint.startswith("access."):
            return None  # whoever it is; nothing is read for that
        if allowed is Who.DEVICE or (allowed is Who.DEVICE_OR_VIEWER and is_device(request)):
            return None
        g.role = people.role_by_session()
        if g.role:
            g.log_in_lasts = people.lasting()
        if g.role is None and allowed is not Who.ANYBODY and (token := bearer(request)):
            g.role = people.role_by_token(token, address)
        if g.role:
            who.known_as(g.role)
        return None if allowed is Who.ANYBODY else _check(allowed, g.role)

    def note_refusal(answer: Response) -> Response:
        """What a person may not do, or not as things are, is in the log once."""
        is_persons = table.get(request.endpoint or "", Who.OPERATOR) in _OF_PEOPLE
        refused = answer.status_code in _REFUSALS and request.method not in _READS
        if refused and is_persons and g.get("role") and not g.get("in_log"):
            title = g.get("problem", {}).get("title", answer.status)
            with suppress(SQLAlchemyError), people.database.write(durable=False) as session:
                record(session, "refused", f"{request.method} {request.path[:200]}: {title}")
        return answer

    def leave(_error: BaseException | None) -> None:
        if (token := g.pop("acting", None)) is not None:
            who.end(token)

    app.before_request(guard)
    app.after_request(note_refusal)
    app.teardown_request(leave)
    app.register_blueprint(log_in.blueprint(people))
    app.add_template_global(looks_only)
    app.context_processor(
        lambda: {
            "role": g.get("role"),
            "must_log_in": people.must_log_in,
        }
    )


def looks_only() -> bool:
    """Whether whoever asked for a page may change nothing: its buttons say so, or are left out."""
    role: str | None = g.get("role")
    return role == who.VIEWER


def _check(allowed: Who, role: str | None) -> AnyResponse | None:
    if role is None:
        if _is_navigation():
            return redirect(url_for("access.log_in_page", next=_asked_for()), code=303)
        raise LogInNeeded(
            "Log in on this server's page, or send the header Authorization: Bearer <ADMIN_TOKEN>."
        )
    if role == who.OPERATOR or allowed in {Who.VIEWER, Who.DEVICE_OR_VIEWER}:
        return None
    raise NotAllowed("This changes something: log in with the operator's token (ADMIN_TOKEN).")


def _asked_for() -> str:
    query = request.query_string.decode("ascii", "replace")
    return f"{request.path}?{query}" if query else request.path


def _is_navigation() -> bool:
    """Whether a person opens a page; not a page that asks for its own parts."""
    return (
        request.method == "GET"
        and is_page(request)
        and PARTS not in request.headers
        and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
    )
