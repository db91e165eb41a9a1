"""TLS as Fedbell's servers and clients speak it: 1.2 or newer, and the other side is checked."""

import ssl
from pathlib import Path

from shared.errors import ConfigurationError


def check_is_tls(url: str, named: str) -> None:
    """Refuse a setting for TLS that would have no effect: tokens would go in the clear.

    Args:
        url: of the server that is called.
        named: the setting, as people know it.

    Raises:
        ConfigurationError
    """
    if not url.startswith("https:"):
        raise ConfigurationError(f"{named} is for TLS, and {url} is without: say https://….")


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
    if certificate is None and key is not None:
        raise ConfigurationError(f"{key} is a key without its certificate: name that too.")
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
