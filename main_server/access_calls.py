"""Calls about who may take part: a device's token is revoked, or made anew."""

from typing import Annotated

from apiflask import APIBlueprint
from flask import jsonify, redirect, request, url_for
from pydantic import BaseModel, StringConstraints
from werkzeug.wrappers import Response

from main_server.device_calls import token_of
from main_server.schemas import Strict
from main_server.server import MainServer
from shared.web.problems import is_page


class NewToken(Strict):
    """A device's new token: its SHA-256, in hex."""

    token_hash: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class TokenRotated(BaseModel):
    """The device's new token counts."""

    device: str
    rotated: bool


def blueprint(server: MainServer) -> APIBlueprint:
    """``/devices/<name>/revoke``, ``/devices/<name>/rotate`` and ``/devices/token``."""
    calls = APIBlueprint("tokens", __name__, tag="Who may take part")
    tokens = server.devices.tokens

    @calls.post("/devices/<device>/revoke")
    @calls.doc(
        summary="Revoke a device's token, for good",
        description="Its calls are answered with 401 from then on, and no step is asked of it. "
        "What it gave to rounds stays.",
    )
    def revoke_token(device: str) -> Response:
        tokens.revoke(device)
        return _answer({"device": device, "revoked": True})

    @calls.post("/devices/<device>/rotate")
    @calls.doc(
        summary="Have a device make itself another token",
        description="With its next heartbeat; until the new one counts, the old one does.",
    )
    def rotate_token(device: str) -> Response:
        tokens.ask_for_rotation(device)
        return _answer({"device": device, "rotation_asked": True})

    @calls.post("/devices/token")
    @calls.input(NewToken, location="json")
    @calls.output(TokenRotated)
    @calls.doc(
        summary="A device that was asked to changes its token",
        description="Authorised by the old token; said again with the old or the new one, it "
        "changes nothing more.",
    )
    def change_token(json_data: NewToken) -> dict[str, object]:
        return {"device": tokens.rotate(token_of(request), json_data.token_hash), "rotated": True}

    return calls


def _answer(told: dict[str, object]) -> Response:
    """To a program, what was done; to a form, the page about it."""
    if is_page(request):
        return redirect(url_for("access_pages.access_page"), code=303)
    return jsonify(told)
