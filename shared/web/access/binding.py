"""Where a server may listen: for everybody only when it is protected, or told so in words."""

import ipaddress
import socket
from collections.abc import Mapping, Sequence

from shared.errors import ConfigurationError

ALLOW = "ALLOW_PUBLIC_WITHOUT_TOKENS"
_NEEDED = ("ADMIN_TOKEN", "JOIN_TOKEN")


def check_binding(binds: Sequence[str], environment: Mapping[str, str]) -> None:
    """Refuse to listen where others can call unless they need tokens.

    Args:
        binds: as Gunicorn takes them: HOST:PORT, unix:PATH, fd://NUMBER.
        environment: ADMIN_TOKEN and JOIN_TOKEN, or their _FILE, make it safe.

    Raises:
        ConfigurationError: one sentence with what to set.
    """
    missing = [
        name for name in _NEEDED if not (environment.get(name) or environment.get(f"{name}_FILE"))
    ]
    public = [bind for bind in binds if not is_private(bind)]
    if not missing or not public or environment.get(ALLOW) == "1":
        return
    raise ConfigurationError(
        f"BIND={public[0]} can be reached from other machines, and there is no "
        f"{' and no '.join(missing)}. Set {' and '.join(missing)}, or BIND=127.0.0.1:PORT, or "
        f"{ALLOW}=1 if something else keeps others away."
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
