"""Tokens that were revoked: they are no device's any more, whatever it is called."""

from sqlalchemy.orm import Mapped, mapped_column

from main_server.store.tables import Tables


class RevokedToken(Tables):
    """A token that was revoked, by its SHA-256. ``revoked``: when, in seconds since 1970."""

    __tablename__ = "revoked_tokens"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    device: Mapped[str]
    revoked: Mapped[float]
