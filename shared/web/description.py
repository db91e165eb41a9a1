"""What all calls have in common in the OpenAPI description: their problems, and how steps answer.

Each call describes what it takes and what it gives when all is well; errors come from one place
(problems.py), and so they are described in one.
"""

from typing import Any

from apiflask import APIFlask
from pydantic import BaseModel

#: As APIFlask wants them.
_Responses = dict[int | str, dict[str, str | dict[str, dict[str, Any]]]]

_PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Which problem it is, for programs."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and what to do about it."},
    },
    "additionalProperties": True,
}
_REFERENCE = {"$ref": "#/components/schemas/Problem"}
_ANY_CALL = {
    400: "The call itself is wrong",
    401: "A token is missing, or not the right one",
    403: "This caller may not do that",
    404: "There is no such thing",
    405: "Not with this method",
    408: "The call did not come in time",
    414: "The address is too long",
    429: "Too many calls",
    431: "The headers are too large",
    503: "Not now: see Retry-After",
}
_CHANGES = {
    409: "Not as things are",
    413: "The body is too large",
    415: "Not this kind of body",
    422: "What the body holds cannot be taken",
    502: "Another server did not do its part",
    504: "Another server did not answer in time",
    507: "The disk is full",
}
#: What the descriptions of steps say; see job_calls.py.
_STEP = "Prefer: respond-async"
_STARTED = {
    "description": "The step has begun; Location is its job's address",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["job", "status"],
                "properties": {"job": {"type": "string"}, "status": {"const": "running"}},
            }
        }
    },
}
_SEE_PAGE = {"description": "To a form on a page: see the page", "content": {"text/html": {}}}
_UNCHANGED = {"description": "It is the one of If-None-Match"}
#: Where a call says what its body is, until the description is complete.
_BODY = "x-body"
_SAFE_METHODS = {"get", "head", "options"}


def gives(*content_types: str, status: int = 200, told: str = "Successful response") -> _Responses:
    """For ``calls.doc(responses=…)``: an answer that is no JSON."""
    return {status: {"description": told, "content": {each: {} for each in content_types}}}


def gives_json(schema: type[BaseModel]) -> _Responses:
    """For ``calls.doc(responses=…)``: an answer of that shape, which may tell more besides."""
    shape = schema.model_json_schema(ref_template="#/$defs/{model}", mode="serialization")
    content = {"application/json": {"schema": _inlined(shape, shape.pop("$defs", {}))}}
    return {200: {"description": "Successful response", "content": content}}


def _inlined(shape: Any, parts: dict[str, Any]) -> Any:
    """A schema without references to its own parts."""
    if isinstance(shape, list):
        return [_inlined(each, parts) for each in shape]
    if not isinstance(shape, dict):
        return shape
    if reference := shape.get("$ref"):
        return _inlined(parts[reference.rpartition("/")[2]], parts)
    return {name: _inlined(each, parts) for name, each in shape.items()}


def expects(content_type: str) -> dict[str, Any]:
    """For ``calls.doc(extensions=…)``: a body that is no JSON, but of that type."""
    return {_BODY: content_type}


def init_app(app: APIFlask) -> None:
    """Complete the description of ``app`` when somebody asks for it."""

    @app.spec_processor
    def complete(spec: dict[Any, Any] | str) -> dict[Any, Any] | str:
        if isinstance(spec, str):  # YAML, which is not offered
            return spec
        spec.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM
        for calls in spec["paths"].values():
            for method, call in calls.items():
                if method != "parameters":
                    _complete(method, call)
        return spec


def _complete(method: str, call: dict[str, Any]) -> None:
    responses: dict[str, Any] = call["responses"]
    problems = _ANY_CALL if method in _SAFE_METHODS else _ANY_CALL | _CHANGES
    for status, told in problems.items():
        before = responses.get(str(status), {})
        responses[str(status)] = {
            "description": before.get("description", told),
            "content": {"application/problem+json": {"schema": _REFERENCE}, "text/html": {}},
        }
    if method in _SAFE_METHODS:
        responses.setdefault("304", _UNCHANGED)
    else:
        responses.setdefault("303", _SEE_PAGE)
    if kind := call.pop(_BODY, None):
        schema = {"type": "string", "format": "binary"}
        call["requestBody"] = {"content": {kind: {"schema": schema}}, "required": True}
    if _STEP in call.get("description", ""):
        responses["202"] = _STARTED
