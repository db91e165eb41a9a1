"""``fedbell client``: a whole client in one process, without an open port."""

import os
from pathlib import Path

import click

from shared.command_line.options import authority_option, check_tls_options, server_option
from shared.errors import ConfigurationError

_FOLDER = click.Path(path_type=Path)


@click.command("client")
@click.option("--id", "name", required=True, help="What the federation calls it.")
@server_option
@click.option("--task", required=True, help="What it trains.")
@click.option(
    "--shards",
    nargs=2,
    type=int,
    required=True,
    metavar="FIRST LAST",
    help="Its first and last chunk, from 1.",
)
@click.option(
    "--data",
    type=_FOLDER,
    help="MNIST's four files, or {train,test}/CLASS/.  [default: dataset/TASK]",
)
@click.option("--chunk-size", default=5000, show_default=True, help="Samples in a chunk.")
@click.option("--state", type=_FOLDER, help="What it keeps.  [default: state/clients/ID]")
@click.option("--epochs", type=int, help="Of each training.  [default: as the task says]")
@click.option("--max-retries", default=5, show_default=True, help="Tries of one call.")
@click.option(
    "--max-wait-seconds", default=60.0, show_default=True, help="The longest pause between two."
)
@click.option("--rounds", type=int, help="End after so many updates.  [default: on and on]")
@click.option("--once", is_flag=True, help="End after one update.")
@click.option(
    "--join-token-file",
    type=click.Path(path_type=Path),
    envvar="JOIN_TOKEN_FILE",
    help="Holds what a new client must know; or set JOIN_TOKEN.",
)
@authority_option
@click.option("--certificate", type=_FOLDER, help="What to show it over mutual TLS.")
@click.option("--key", type=_FOLDER, help="That certificate's key.")
def client(
    name: str,
    server: str,
    task: str,
    shards: tuple[int, int],
    data: Path | None,
    chunk_size: int,
    state: Path | None,
    epochs: int | None,
    max_retries: int,
    max_wait_seconds: float,
    rounds: int | None,
    once: bool,
    join_token_file: Path | None,
    authority: Path | None,
    certificate: Path | None,
    key: Path | None,
) -> None:
    """Pull the newest version, train on the next chunk, push the update, and go on.

    Needs no open port. Ctrl-C ends it; the next start goes on where it was. docs/clients.md
    tells what it keeps, and what happens when the main server is away.
    """
    # Here: the other commands do without the libraries of a device.
    from shared.device.client.process import run_client
    from shared.device.client.settings import ClientSettings

    if once and rounds not in (None, 1):
        raise ConfigurationError("--once is --rounds 1: leave one of them out.")
    check_tls_options(server, authority=authority, certificate=certificate, key=key)
    settings = ClientSettings.check(
        id=name,
        main_server_url=server,
        task=task,
        shards=shards,
        data=data or Path("dataset") / task,
        chunk_size=chunk_size,
        state=state,
        epochs=epochs,
        max_retries=max_retries,
        max_wait_seconds=max_wait_seconds,
        updates=1 if once else rounds,
        join_token=_join_token(join_token_file),
        authority=authority,
        certificate=certificate,
        key=key,
    )
    run_client(settings)


def _join_token(file: Path | None) -> str:
    if file is None:
        return os.environ.get("JOIN_TOKEN", "").strip()
    try:
        token = file.read_text().strip()
    except OSError as error:
        raise ConfigurationError(f"--join-token-file: {error}.") from error
    if not token:
        raise ConfigurationError(f"--join-token-file: {file} is empty.")
    return token
