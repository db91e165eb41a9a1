"""Where a server may listen: for everybody only when it is protected, or told so in words."""

import ipaddress
import socket
from collections.abc import Mapping, Sequence

from shared.errors import ConfigurationError

ALLOW = "ALLOW_PUBLIC_WITHOUT_TOKENS"
_NEEDED = ("ADMIN_TOKEN", "JOIN_TOKEN")
_TLS = ("TLS_CERTIFICATE", "TLS_KEY", "TLS_CLIENT_AUTHORITY")


def check_binding(binds: Sequence[str], environment: Mapping[str, str]) -> None:
    """Refuse to listen where others can call unless they need tokens.

    Args:
        binds: as Gunicorn takes them: HOST:PORT, unix:PATH, fd://NUMBER.
        environment: ADMIN_TOKEN and JOIN_TOKEN, or their _FILE, make it safe.

    Raises:
        ConfigurationError: one sentence with what to set.
    """
    missing = [
        name
        for name in _NEEDED
        if not any(environment.get(each, "").strip() for each in (name, f"{name}_FILE"))
    ]
    if environment.get("LISTEN_FDS"):  # systemd's sockets take the place of BIND
        binds = [f"fd://{environment['LISTEN_FDS']}"]
    public = [bind for bind in binds if not is_private(bind)]
    if not missing or not public or environment.get(ALLOW) == "1":
        return
    raise ConfigurationError(
        f"BIND={public[0]} can be reached from other machines, and there is no "
        f"{' and no '.join(missing)}. Set {' and '.join(missing)}, or BIND=127.0.0.1:PORT, or "
        f"{ALLOW}=1 if something else keeps others away."
    )


def check_tls(environment: Mapping[str, str]) -> None:
    """Refuse TLS settings that would leave the server without TLS.

    Raises:
        ConfigurationError: one sentence with what to set.
    """
    given = [name for name in _TLS if environment.get(name)]
    missing = [name for name in _TLS[:2] if not environment.get(name)]
    if given and missing:
        raise ConfigurationError(
            f"{given[0]} is set and {missing[0]} is not: there would be no TLS. Set "
            f"{' and '.join(_TLS[:2])}, or none of them."
        )


def is_private(bind: str) -> bool:
    """Whether only programs on this machine can connect to ``bind``."""
    if bind.startswith("unix:"):
        return True
    address = bind.partition("://")[2] if bind.startswith("tcp://") else bind
    host = address.rpartition(":")[0] if ":" in address else address
    host = host.strip("[]")
    if not host or bind.startswith("fd://"):
        return False  # every address; or whatever the one who opened it chose
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
        return all(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in found)
    except (OSError, UnicodeError, ValueError):
        return False
