"""``fedbell tokens``: the devices' tokens, over the main server's calls."""

import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import httpx
from rich.console import Console
from rich.table import Table

from shared.command_line.options import authority_option, check_tls_options, server_option
from shared.errors import FedbellError
from shared.web.access.tls import client_context
from shared.web.filters import ago

_TIMEOUT_SECONDS = 30.0


class NotDone(FedbellError):
    """The main server did not do it, or cannot be reached."""

    title = "It was not done"


_FILE = click.Path(path_type=Path)


@click.group("tokens")
@server_option
@click.option(
    "--admin-token-file",
    type=_FILE,
    envvar="ADMIN_TOKEN_FILE",
    help="Holds the operator's token; or set ADMIN_TOKEN.",
)
@authority_option
@click.option("--certificate", type=_FILE, help="What to show it over mutual TLS.")
@click.option("--key", type=_FILE, help="That certificate's key.")
@click.pass_context
def tokens(
    context: click.Context,
    server: str,
    admin_token_file: Path | None,
    authority: Path | None,
    certificate: Path | None,
    key: Path | None,
) -> None:
    """List the devices' tokens, revoke one, have a device make itself another, or forget one."""
    check_tls_options(server, authority=authority, certificate=certificate, key=key)
    headers = {"Accept": "application/json"}
    if token := _admin_token(admin_token_file):
        headers["Authorization"] = f"Bearer {token}"
    context.obj = context.with_resource(
        httpx.Client(
            base_url=server,
            headers=headers,
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
            verify=client_context(authority, certificate, key) or True,
        )
    )


@tokens.command("list")
@click.pass_obj
def list_tokens(http: httpx.Client) -> None:
    """The devices, and how it is with the token of each."""
    table = Table("device", "token", "joined", "last heard of")
    for device in _call(http, "GET", "/devices")["devices"]:
        state = "valid"
        if device["revoked"]:
            state = f"revoked {ago(device['revoked'])}"
        elif device["rotation_asked"]:
            state = "to be changed with its next heartbeat"
        joined = time.strftime("%Y-%m-%d", time.gmtime(device["enrolled"]))
        table.add_row(device["name"], state, joined, ago(device["last_seen"]))
    Console().print(table)


@tokens.command()
@click.argument("name")
@click.pass_obj
def revoke(http: httpx.Client, name: str) -> None:
    """Revoke the token of device NAME, for good."""
    _call(http, "POST", f"/devices/{quote(name, safe='')}/revoke")
    click.echo(f"The token of {name} is revoked: its calls are refused from now on.")


@tokens.command()
@click.argument("name")
@click.pass_obj
def rotate(http: httpx.Client, name: str) -> None:
    """Have device NAME make itself another token, with its next heartbeat."""
    _call(http, "POST", f"/devices/{quote(name, safe='')}/rotate")
    click.echo(f"{name} changes its token with its next heartbeat; until then the old one counts.")


@tokens.command()
@click.argument("name")
@click.pass_obj
def forget(http: httpx.Client, name: str) -> None:
    """Forget device NAME: another one may take its name; what it gave to rounds stays."""
    _call(http, "DELETE", f"/devices/{quote(name, safe='')}")
    click.echo(f"{name} is forgotten: whoever uses that name next has it.")


def _admin_token(file: Path | None) -> str:
    if file is None:
        return os.environ.get("ADMIN_TOKEN", "")
    try:
        return file.read_text().strip()
    except OSError as error:
        raise NotDone(f"--admin-token-file: {error}.") from error


def _call(http: httpx.Client, method: str, path: str) -> Any:
    try:
        answer = http.request(method, path)
        told = answer.json() if answer.content else {}
    except httpx.TransportError as error:
        raise NotDone(f"The main server at {http.base_url} cannot be reached: {error}.") from error
    except ValueError as error:
        raise NotDone(f"{http.base_url} answers, but not as a main server does.") from error
    if not answer.is_success:
        raise NotDone(str(told.get("detail", answer.reason_phrase)))
    return told
