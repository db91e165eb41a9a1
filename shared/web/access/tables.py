"""What a server keeps of log-ins. Times are seconds since 1970."""

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class AccessTables(DeclarativeBase):
    """The tables of this module."""


class FailedLogIns(AccessTables):
    """Wrong tokens from one address since somebody logged in there.

    ``address``: an IPv4 address, or the first 64 bits of an IPv6 one; with words before it for
    those of devices. ``blocked_until``: no token
    from there is looked at before.
    """

    __tablename__ = "failed_log_ins"

    address: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    last: Mapped[float]
    blocked_until: Mapped[float]


class EndedSession(AccessTables):
    """A session that was logged out; its cookie is worth nothing until it would expire anyway."""

    __tablename__ = "ended_sessions"

    id: Mapped[str] = mapped_column(primary_key=True)
    expires: Mapped[float]
