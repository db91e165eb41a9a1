"""The key that signs session cookies, made at the first start and kept beside the store."""

import hashlib
import hmac
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path


def are_equal(told: str, expected: str) -> bool:
    """Compare secrets; how long it takes tells neither their content nor their length."""
    digests = (
        hashlib.sha256(text.encode(errors="surrogatepass")).digest() for text in (told, expected)
    )
    return hmac.compare_digest(*digests)


def kept_key(file: Path) -> str:
    """The secret in ``file``, made when missing; only its owner can read it (mode 0600).

    Whichever process is first has made it for all.
    """
    with suppress(FileNotFoundError):
        return file.read_text().strip()
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w") as content:
            content.write(secrets.token_hex(32))
            content.flush()
            os.fsync(content.fileno())
        with suppress(FileExistsError):
            Path(file).hardlink_to(temporary)
    finally:
        Path(temporary).unlink()
    return file.read_text().strip()
