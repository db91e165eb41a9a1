"""Who can take part in a round, by what the store knows of the devices."""

import time
from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from main_server.selection import Candidate
from main_server.store.tables import Device, DeviceTask
from shared.web.database import Database


class Presence:
    """Which devices are there.

    A server that was away has heard nothing meanwhile: as long as it was started less than
    ``lost_after_seconds`` ago, those count that were there when it was last told anything. So a
    round asks the same devices whether or not its server was killed before.

    Args:
        lost_after_seconds: a device that was not seen for so long is lost.
    """

    def __init__(self, database: Database, lost_after_seconds: float) -> None:
        self.lost_after_seconds = lost_after_seconds
        self._started = time.time()
        with database.read() as session:
            heard = session.scalar(select(func.max(Device.last_seen)))
        self._heard = self._started if heard is None else min(heard, self._started)

    def since(self) -> float:
        """Devices that were seen after this, in seconds since 1970, are there."""
        now = time.time()
        just_started = now - self._started < self.lost_after_seconds
        return (self._heard if just_started else now) - self.lost_after_seconds


def candidates(session: Session, task: str, seen_since: float) -> Mapping[str, Candidate]:
    """The devices that have pictures of ``task``, by name; revoked ones are none."""
    query = (
        select(Device.name, Device.last_seen, DeviceTask.problem, DeviceTask.rests_until)
        .join(DeviceTask, DeviceTask.device == Device.name)
        .where(DeviceTask.task == task, DeviceTask.num_samples > 0, Device.revoked.is_(None))
        .order_by(Device.name)
    )
    return {
        name: Candidate(last_seen > seen_since and not problem, rests_until, last_seen > seen_since)
        for name, last_seen, problem, rests_until in session.execute(query)
    }
