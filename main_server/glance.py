"""What open pages follow besides events: running work, what devices are at, who is lost."""

import json
import time
from collections.abc import Hashable

from sqlalchemy import select
from sqlalchemy.orm import Session

from main_server.server import MainServer
from main_server.store.tables import Device, DeviceTask
from shared.web.feed import Glance
from shared.web.job_control import running_work

#: How old what pages say of the last heartbeats may be.
_FRESH_SECONDS = 15


def glance(server: MainServer) -> Glance:
    """A look at what is no event of the log, for the streams of pages."""
    activities = select(DeviceTask.device, DeviceTask.task, DeviceTask.activity)
    activities = activities.where(DeviceTask.activity.is_not(None))

    def look(session: Session) -> Hashable:
        last_seen = session.execute(select(Device.name, Device.last_seen)).all()
        return (
            running_work(session),
            tuple((row[0], row[1], json.dumps(row[2])) for row in session.execute(activities)),
            tuple(name for name, seen in last_seen if server.is_online(seen)),
            time.time() // _FRESH_SECONDS,
        )

    return look
