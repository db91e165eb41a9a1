"""Who can take part in a round, by what the store knows of the devices."""

import time
from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from main_server.selection import Candidate
from main_server.store.tables import Device, DeviceTask, Federation
from shared.web.database import Database


class Presence:
    """Which devices are there.

    A server that was away has heard nothing meanwhile: as long as it was started less than
    ``lost_after_seconds`` ago, those count that were there when it was last told anything. So a
    round asks the same devices whether or not its server was killed before. One that is killed
    again within that time has not heard all of them yet; so the store keeps from which moment on
    they count as there, and however many quick restarts there are, it stays.

    Args:
        lost_after_seconds: a device that was not seen for so long is lost.
    """

    def __init__(self, database: Database, lost_after_seconds: float) -> None:
        self.lost_after_seconds = lost_after_seconds
        self._started = time.time()
        with database.write() as session:
            heard = session.scalar(select(func.max(Device.last_seen)))
            before = session.scalar(select(Federation))
            self._heard = self._started if heard is None else min(heard, self._started)
            if before is None:
                return
            if heard is not None and self._was_listening_anew(before, heard):
                self._heard = min(before.last_heard or heard, self._heard)
            before.last_heard, before.last_started = self._heard, self._started

    def _was_listening_anew(self, before: Federation, heard: float) -> bool:
        """Whether who started last had no time to hear every device that was there."""
        started = before.last_started
        return started is not None and heard < started + self.lost_after_seconds

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
