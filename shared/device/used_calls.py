"""The main server's calls that were made: each proof counts once, also over a restart."""

from sqlalchemy import delete

from shared.device.tables import UsedCall
from shared.web.access.call_proof import REMEMBERED_SECONDS
from shared.web.database import Database


class UsedCalls:
    """Their numbers, kept before a call is answered.

    Args:
        database: of the device's store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def use(self, number: str, now: float) -> bool:
        """Note that a call of this number comes, on the disk; whether none came before."""
        with self._database.write() as session:
            session.execute(delete(UsedCall).where(UsedCall.used < now - REMEMBERED_SECONDS))
            if session.get(UsedCall, number) is not None:
                return False
            session.add(UsedCall(number=number, used=now))
        return True
