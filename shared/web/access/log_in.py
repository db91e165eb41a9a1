"""Logging in on a page, and out."""

from typing import Annotated
from urllib.parse import urlsplit

from apiflask import APIBlueprint
from flask import g, jsonify, redirect, request
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response

from shared.web.access.attempts import TooManyLogIns
from shared.web.access.errors import LogInNeeded
from shared.web.access.people import People
from shared.web.access.who import known_as
from shared.web.live import page
from shared.web.problems import is_page

_LONGEST = 500


class Credentials(BaseModel):
    """What somebody logs in with."""

    token: Annotated[str, Field(max_length=_LONGEST)] = ""
    #: The page of this server to go on to.
    next: Annotated[str, Field(max_length=2000)] = "/"


class NextQuery(BaseModel):
    """Where to go on to."""

    next: Annotated[str, Field(max_length=2000)] = "/"


def blueprint(people: People) -> APIBlueprint:
    """``GET /login``, ``POST /login`` and ``POST /logout``."""
    calls = APIBlueprint("access", __name__, enable_openapi=False)

    @calls.get("/login")
    @calls.input(NextQuery, location="query")
    def log_in_page(query_data: NextQuery) -> Response:
        if not people.must_log_in or g.role:
            return redirect(here(query_data.next), code=303)
        return page("login.html", next=here(query_data.next), problem=None)

    @calls.post("/login")
    @calls.input(Credentials, location="json")
    def log_in(json_data: Credentials) -> Response:
        if not people.must_log_in:
            return redirect("/", code=303)
        address, onward = request.remote_addr or "", here(json_data.next)
        try:
            role = people.role_by_token(json_data.token.strip(), address)
        except TooManyLogIns as error:
            if not is_page(request):
                raise
            answer = page("login.html", error.status, next=onward, problem=error.detail)
            answer.headers["Retry-After"] = str(error.seconds)
            return answer
        if role is None:
            told = "That is none of this server's tokens."
            if is_page(request):
                return page("login.html", 401, next=onward, problem=told)
            raise LogInNeeded(told)
        known_as(role)
        people.log_in(role, address)
        if is_page(request):
            return redirect(onward, code=303)
        return jsonify({"role": role})

    @calls.post("/logout")
    def log_out() -> Response:
        if not people.must_log_in:
            return redirect("/", code=303)
        people.log_out()
        return redirect("/login", code=303)

    return calls


def here(path: str) -> str:
    """``path`` if it is one of this server, else its first page: nobody is led elsewhere."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    is_own = path.startswith("/") and not path.startswith(("//", "/\\"))
    if parts.scheme or parts.netloc or not is_own or not path.isprintable():
        return "/"
    return path
