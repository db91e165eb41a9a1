"""TLS as Fedbell's servers and clients speak it: 1.2 or newer, and the other side is checked."""

import ssl
from pathlib import Path

from shared.errors import ConfigurationError


def client_context(
    authority: Path | None, certificate: Path | None, key: Path | None
) -> ssl.SSLContext | None:
    """How calls to a server are made; None where nothing is chosen: as calls to any other.

    Args:
        authority: PEM file of the authority that signed the server's certificate; None: those
            that this system trusts.
        certificate, key: PEM files of what is shown to a server that asks (mutual TLS); None:
            nothing.

    Raises:
        ConfigurationError: a file cannot be used; it is named.
    """
    if authority is None and certificate is None:
        return None
    try:
        context = ssl.create_default_context(cafile=authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(str(file) for file in (authority, certificate, key) if file)
        raise ConfigurationError(f"Of {named} one cannot be used for TLS: {error}.") from error
    return context
