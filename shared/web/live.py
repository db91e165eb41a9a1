"""Pages that stay as they would be rendered now: which parts of one are asked for.

A page is rendered whole, with or without JavaScript. ``static/live.js`` asks for the same
address again when something happened, and names in a header the parts it wants; what costs
the server something is left out when nobody wants it.
"""

from flask import Flask, Response, render_template, request

PARTS = "Fedbell-Parts"


def wanted(*parts: str) -> bool:
    """Whether any of the named parts is to be rendered: all are, unless the call names some."""
    named = request.headers.get(PARTS)
    return named is None or not set(parts).isdisjoint(named.split())


def page(template: str, status: int = 200, **context: object) -> Response:
    """A rendered page, which no cache keeps: it tells how things are now."""
    response = Response(render_template(template, **context), status)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = f"{PARTS}, Cookie"
    return response


def init_app(app: Flask) -> None:
    """Let the templates of ``app`` ask."""
    app.add_template_global(wanted)
