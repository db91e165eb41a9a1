"""Light, dark, or as the system has it: kept in a cookie, so that it works without JavaScript."""

from typing import Literal
from urllib.parse import urlsplit

from apiflask import APIBlueprint
from flask import Flask, redirect, request
from pydantic import BaseModel
from werkzeug.wrappers import Response

_COOKIE = "fedbell_theme"
_YEAR_SECONDS = 365 * 24 * 3600
_THEMES = ("auto", "light", "dark")


class ThemeChoice(BaseModel):
    """Which colours a person wants."""

    theme: Literal["auto", "light", "dark"]


def init_app(app: Flask) -> None:
    """Let the templates of ``app`` know the theme."""
    app.add_template_global(theme)


def theme() -> str:
    """The chosen theme; "auto" when none is."""
    chosen = request.cookies.get(_COOKIE, "auto")
    return chosen if chosen in _THEMES else "auto"


def blueprint() -> APIBlueprint:
    """``POST /theme``, and what all pages share: templates and static files."""
    calls = APIBlueprint(
        "web",
        __name__,
        enable_openapi=False,
        static_folder="static",
        static_url_path="/web",
        template_folder="templates",
    )

    @calls.post("/theme")
    @calls.input(ThemeChoice, location="form")
    def choose_theme(form_data: ThemeChoice) -> Response:
        answer = redirect(_where_it_came_from(), code=303)
        answer.set_cookie(
            _COOKIE, form_data.theme, max_age=_YEAR_SECONDS, samesite="Lax", httponly=True
        )
        return answer

    return calls


def _where_it_came_from() -> str:
    """The page of this server that the form stands on."""
    try:
        came = urlsplit(request.referrer or "")
    except ValueError:
        return "/"
    if came.netloc != request.host or not came.path.startswith("/") or came.path.startswith("//"):
        return "/"
    return f"{came.path}?{came.query}" if came.query else came.path
