"""The Flask application that both servers start from."""

from pathlib import Path
from typing import Any

from apiflask import APIFlask
from flask import Request
from flask_bootstrap import Bootstrap5
from flask_compress import Compress
from werkzeug.exceptions import BadRequest

from shared.web import callers, description, filters, live, problems, theme
from shared.web.settings import ServerSettings

#: Bodies are small but for weights, whose call sets a limit of its own.
_MOST_BODY_BYTES = 64 * 1024


#: What pages load. Weights are noise, events have to go out at once, and what devices are
#: answered is short.
_COMPRESSED = ["text/html", "text/css", "text/javascript", "image/svg+xml"]


class _Request(Request):
    """A request whose body can be missing, or a form, where a JSON object is expected.

    So ``curl -X POST``, ``curl -d`` and a form on a page reach the same call.
    """

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        body = self.get_data(cache=True)
        if not body:
            return {}
        is_form = self.mimetype == "application/x-www-form-urlencoded"
        if is_form and not body.lstrip().startswith(b"{"):  # curl -d calls JSON a form
            return self.form.to_dict()
        try:
            return super().get_json(force=force, silent=silent, cache=cache)
        except RecursionError as error:
            raise problems.BadRequest("The body is nested too deep.") from error
        except BadRequest as error:
            if self.is_json:
                raise
            raise problems.NotJson(
                "The body is not JSON, and is not told to be. Send JSON, with curl "
                "-H 'Content-Type: application/json'."
            ) from error


class _App(APIFlask):
    request_class = _Request


def create_base(import_name: str, title: str, settings: ServerSettings) -> APIFlask:
    """An application with problems, known callers, security headers and local assets."""
    app = _App(import_name, title=title, version="0.1.0", docs_path=None, json_errors=False)
    app.config.update(
        MAX_CONTENT_LENGTH=_MOST_BODY_BYTES,
        BOOTSTRAP_SERVE_LOCAL=True,
        COMPRESS_MIMETYPES=_COMPRESSED,
        COMPRESS_STREAMING_ENDPOINT_CONDITIONAL=[
            "static",
            "bootstrap.static",
            "web.static",
            "pages.static",
        ],
        INFO={"description": "Errors are application/problem+json (RFC 9457)."},
        SYNC_LOCAL_SPEC=False,
        VALIDATION_ERROR_STATUS_CODE=400,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    Bootstrap5(app)
    Compress(app)
    for part in (filters, live, theme):
        part.init_app(app)
    app.register_blueprint(theme.blueprint())
    problems.init_app(app)
    callers.init_app(app, settings.hosts)
    description.init_app(app)
    Path(settings.state_directory).mkdir(parents=True, exist_ok=True)
    return app
