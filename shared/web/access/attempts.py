"""Guessing tokens is slow: after a few wrong ones an address has to wait, longer each time.

Kept in the store, so that all workers count together and a restart forgives nothing.
"""

import ipaddress
import math
import time
from typing import Any

from sqlalchemy import delete, select

from shared.errors import FedbellError
from shared.web.access.addresses import parse_address
from shared.web.access.tables import FailedLogIns
from shared.web.database import Database
from shared.web.events import record

#: So many wrong tokens cost nothing; each further one doubles the wait, in seconds.
FREE_ATTEMPTS = 5
_FIRST_WAIT, _LONGEST_WAIT = 10.0, 900.0
#: Wrong tokens are forgotten after a day without another one.
_FORGOTTEN_SECONDS = 24 * 3600


class TooManyLogIns(FedbellError):
    """Too many wrong tokens came from this address."""

    status = 429
    title = "Too many wrong tokens"

    def __init__(self, seconds: int) -> None:
        super().__init__(
            f"Too many wrong tokens came from your address. Wait {seconds} s, then try again."
        )
        self.seconds = seconds

    @property
    def retry_after(self) -> int:  # type: ignore[override]
        """Seconds until a token is looked at again."""
        return self.seconds


class Attempts:
    """The wrong tokens of each address.

    Args:
        of: whose they are, in words before the address; empty: people's. They are counted apart.
    """

    def __init__(self, database: Database, of: str = "") -> None:
        self._database = database
        self._of = of

    def check(self, address: str) -> None:
        """Raise TooManyLogIns while ``address`` has to wait."""
        with self._database.read() as session:
            until = session.scalar(
                select(FailedLogIns.blocked_until).where(
                    FailedLogIns.address == self._place(address)
                )
            )
        wait = (until or 0) - time.time()
        if wait > 0:
            raise TooManyLogIns(math.ceil(wait))

    def failed(
        self, address: str, kind: str = "log_in_failed", message: str = "A wrong token"
    ) -> None:
        """A wrong token came; it is in the log, as an event of that kind."""
        now = time.time()
        with self._database.write() as session:
            session.execute(
                delete(FailedLogIns).where(FailedLogIns.last < now - _FORGOTTEN_SECONDS)
            )
            row = session.get(FailedLogIns, self._place(address))
            if row is None:
                row = FailedLogIns(address=self._place(address), number=0)
                session.add(row)
            row.number, row.last = row.number + 1, now
            row.blocked_until = now + wait_after(row.number)
            record(session, kind, f"{message}, the {_ordinal(row.number)} in a row")

    def tell(self, kind: str, message: str) -> None:
        """A token came that was right once: the log tells of it, and it counts as no guess."""
        with self._database.write() as session:
            record(session, kind, message)

    def forgive(self, address: str) -> None:
        """A right token came: what was before does not count any more."""
        with self._database.write() as session:
            session.execute(
                delete(FailedLogIns).where(FailedLogIns.address == self._place(address))
            )

    def _place(self, address: str) -> str:
        return self._of + group(address)

    def recent(self) -> list[dict[str, Any]]:
        """Where wrong tokens came from: address, number, last, blocked_until; newest first."""
        query = select(FailedLogIns).order_by(FailedLogIns.last.desc()).limit(20)
        names = ("address", "number", "last", "blocked_until")
        with self._database.read() as session:
            return [{name: getattr(row, name) for name in names} for row in session.scalars(query)]


def wait_after(number: int) -> float:
    """Seconds to wait after so many wrong tokens in a row."""
    if number < FREE_ATTEMPTS:
        return 0.0
    return float(min(_FIRST_WAIT * 2 ** min(number - FREE_ATTEMPTS, 20), _LONGEST_WAIT))


def group(address: str) -> str:
    """What counts as one address: of IPv6, whoever has one has all of its last 64 bits."""
    parsed = parse_address(address)
    if parsed is None:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 // 10 != 1 else 0, "th")
    return f"{number}{ending}"
