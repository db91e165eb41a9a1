"""Which servers there are: the main server, and a device per folder with a device.toml."""

import errno
import os
import socket
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shared.errors import ConfigurationError, FedbellError

MAIN_SERVER = "main_server"


class PortTaken(FedbellError):
    """Another program, or another of our servers, listens where a server should."""

    status = 409
    title = "A port is taken"


@dataclass(frozen=True)
class Server:
    """One server to start.

    Attributes:
        name: its top-level folder, which is also its Python package.
        host: address to listen on.
        port: port to listen on.
        change: what a person does to give it another port.
    """

    name: str
    host: str
    port: int
    change: str

    @property
    def reached_at(self) -> str:
        """The address that reaches it from this machine."""
        return "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104

    @property
    def url(self) -> str:
        """Its address, for other programs on this machine."""
        host = f"[{self.reached_at}]" if ":" in self.reached_at else self.reached_at
        return f"{'https' if os.environ.get('TLS_CERTIFICATE') else 'http'}://{host}:{self.port}"


def device_names(root: Path) -> list[str]:
    """Names of the top-level folders with a device.toml, sorted."""
    return sorted(
        path.parent.name
        for path in root.glob("*/device.toml")
        if not path.parent.name.startswith(".")
    )


def find_servers(root: Path, port: int, only: Collection[str] = ()) -> list[Server]:
    """The main server on ``port`` and every device where its ``device_url`` says.

    The environment's BIND, as HOST:PORT, is where the main server listens instead, or the
    only server there is to start.

    Args:
        only: names of those to start; empty: all.

    Raises:
        ConfigurationError: not Fedbell's folder, no server of that name, or a device.toml
            without a usable device_url.
        PortTaken: two servers want one port.
    """
    if not (root / "gunicorn.conf.py").exists() or not (root / MAIN_SERVER).is_dir():
        raise ConfigurationError(
            f"{root} is not Fedbell's folder: it has no gunicorn.conf.py and {MAIN_SERVER}. "
            "Change to the folder with the Makefile and try again."
        )
    names = [MAIN_SERVER, *device_names(root)]
    if unknown := set(only) - set(names):
        raise ConfigurationError(
            f"There is no server {min(unknown)} in {root}. There are: {', '.join(names)}."
        )
    main = Server(
        MAIN_SERVER, "127.0.0.1", port, "choose another one: BIND=127.0.0.1:8080 make run"
    )
    servers = [
        main if name == MAIN_SERVER else _device(root / name / "device.toml")
        for name in names
        if name in only or not only
    ]
    if (bind := os.environ.get("BIND")) and (servers[0] is main or len(servers) == 1):
        servers[0] = _bound(servers[0].name, bind)
    for key in ("device_name", "dataset_directory"):
        _check_distinct(root, [server.name for server in servers], key)
    by_port: dict[int, Server] = {}
    for server in servers:
        other = by_port.setdefault(server.port, server)
        if other is not server:
            raise PortTaken(
                f"{other.name} and {server.name} both want port {server.port}: {server.change}."
            )
    return servers


def check_ports(servers: list[Server]) -> None:
    """Raise PortTaken when something listens already where a server should."""
    for server in servers:
        family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((server.host, server.port))
            except OSError as error:
                taken = error.errno == errno.EADDRINUSE
                reason = "is taken by another program" if taken else f"is no good: {error}"
                way_out = "Stop that program, or" if taken else "Please"
                raise PortTaken(
                    f"Port {server.port} of {server.host}, for {server.name}, {reason}. "
                    f"{way_out} {server.change}."
                ) from error


def _check_distinct(root: Path, names: Collection[str], key: str) -> None:
    """Raise ConfigurationError when two devices of ``names`` say the same of themselves."""
    said: dict[str, Path] = {}
    for name in names:
        path = root / name / "device.toml"
        if not path.exists():
            continue
        value = tomllib.loads(path.read_text(encoding="utf-8")).get(key)
        other = said.setdefault(str(value), path) if value is not None else path
        if other != path:
            raise ConfigurationError(
                f"{other} and {path} both say {key} = {value!r}. Each device needs its own."
            )


def _bound(name: str, bind: str) -> Server:
    host, port = urlsplit(f"//{bind}").hostname, bind.rpartition(":")[2]
    if not host or not port.isdecimal():
        raise ConfigurationError(f'BIND is {bind!r}. Write it like "0.0.0.0:8000".')
    return Server(name, host, int(port), "change BIND")


def _device(path: Path) -> Server:
    name = path.parent.name
    try:
        url = str(tomllib.loads(path.read_text(encoding="utf-8"))["device_url"])
        host, port = urlsplit(url).hostname, urlsplit(url).port
    except (OSError, KeyError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be used: {error}.") from error
    if not host or not port:
        raise ConfigurationError(
            f"{path}: device_url is {url!r}, which names no host and port. "
            'Write it like "http://127.0.0.1:8001".'
        )
    return Server(name, host, port, f"change device_url in {name}/device.toml")
