"""``fedbell certificates``: an authority of one's own, and certificates for each server."""

from collections.abc import Collection, Iterable
from pathlib import Path

import click

from shared.command_line.servers import MAIN_SERVER, device_names
from shared.errors import ConfigurationError


@click.command("certificates")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("certificates"),
    show_default=True,
    help="Where they go; an authority that is there signs them.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="SERVER=HOST",
    help="A host name or IP address that a server is reached at, besides localhost; repeatable.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    help="Whom to make one for; repeatable. [default: main_server and each device here]",
)
@click.option("--days", default=30, show_default=True, help="How long they count.")
def certificates(
    directory: Path, hosts: tuple[str, ...], names: tuple[str, ...], days: int
) -> None:
    """Make a certificate authority for development, and certificates for all servers.

    Run again it makes new certificates and keeps the authority. Keys can be read by their owner
    alone; authority.key signs whatever one wants: keep it off the servers.
    """
    # Here: the other commands do without it.
    try:
        from shared.command_line.authority import Authority
    except ImportError as error:
        raise ConfigurationError(
            "This needs the package cryptography: pip install cryptography."
        ) from error

    authority = Authority.open(directory)
    chosen = names or (MAIN_SERVER, *device_names(Path.cwd()))
    reached_at = _by_server(hosts, chosen)
    for name in chosen:
        certificate, _ = authority.issue(directory, name, reached_at[name], days)
        click.echo(f"Wrote {certificate} and its key, for {days} days")
    click.echo(
        f"They count for who trusts {directory / 'authority.pem'}. docs/security.md goes on."
    )


def _by_server(told: Iterable[str], names: Collection[str]) -> dict[str, list[str]]:
    """The hosts of each server: nobody's certificate counts for another one's host."""
    hosts: dict[str, list[str]] = {name: [] for name in names}
    for each in told:
        name, _, host = each.partition("=")
        if name not in hosts or not host:
            raise ConfigurationError(
                f"--host {each}: write it like {next(iter(hosts))}=fedbell.example; there are: "
                f"{', '.join(hosts)}."
            )
        hosts[name].append(host)
    return hosts
