"""Asks the server of this machine whether it lives: ``python -m shared.web.health_check``.

For containers, whose images hold no curl. It reads the settings that the server reads: BIND, and
TLS_CERTIFICATE, TLS_CLIENT_AUTHORITY where it speaks TLS. The exit status is 0 when it lives.
"""

import http.client
import os
import ssl
import sys
from collections.abc import Mapping

_SECONDS = 4.0
_OK = 200


def lives(settings: Mapping[str, str]) -> bool:
    """Whether ``GET /healthz`` answers 200, over TLS where the server speaks it.

    Args:
        settings: the server's, by name, as in its environment.

    Raises:
        OSError, http.client.HTTPException: nothing answers, or nothing of HTTP.
    """
    port = int(settings.get("BIND", "127.0.0.1:8000").rpartition(":")[2])
    # Proxies are not asked: http.client knows none.
    if settings.get("TLS_CERTIFICATE"):
        call: http.client.HTTPConnection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=_SECONDS, context=_context(settings)
        )
    else:
        call = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        call.request("GET", "/healthz")
        return call.getresponse().status == _OK
    finally:
        call.close()


def _context(settings: Mapping[str, str]) -> ssl.SSLContext:
    """It tells no secret, and whoever listens here is the server: no certificate is looked at."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if settings.get("TLS_CLIENT_AUTHORITY"):
        own = ("TLS_CLIENT_CERTIFICATE", "TLS_CLIENT_KEY")
        if not settings.get(own[0]):  # a main server without devices to call may have none
            own = ("TLS_CERTIFICATE", "TLS_KEY")
        context.load_cert_chain(settings[own[0]], settings.get(own[1]) or None)
    return context


if __name__ == "__main__":
    try:
        sys.exit(not lives(os.environ))
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"{type(error).__name__}: {error}")
