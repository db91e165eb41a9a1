"""What a heartbeat is told of the round, and what that begins.

Devices that come by themselves press no button, so their heartbeats lead the round: it opens
when they are told that they are asked, and its time runs from then on; when those that it asks
are lost, or its deadline has passed and they have sent too little, others are told to stand in.
"""

import threading
import time
from typing import Any

from sqlalchemy.orm import Session

from main_server.asking import Asking, is_overdue, opens_first
from main_server.rounds import ABANDONED, DISTRIBUTED, OPEN
from main_server.selection import Candidate, selects
from main_server.store.candidates import Presence
from main_server.store.places import ask_stand_ins, is_time_to_open, missing_stand_ins
from main_server.store.round_rows import newest_round, open_round
from main_server.store.tables import Device, DeviceTask, ReceivedUpdate, Round
from main_server.store.versions import find_newest_version
from shared.federated.task import Task
from shared.web.database import Database


class Telling:
    """Answers heartbeats. Many devices ask often, so all others are looked at only now and then.

    Args:
        presence: which devices are there.
        look_seconds: as long as a round has not changed, a process looks at the others of its
            devices once in this time. What it finds is kept in the store, so another process may
            find it sooner.
    """

    def __init__(
        self, database: Database, presence: Presence, asking: Asking, look_seconds: float
    ) -> None:
        self._database = database
        self._presence = presence
        self._asking = asking
        self._look_seconds = look_seconds
        self._guard = threading.Lock()
        #: By task, what was looked at last, and when it is looked at again.
        self._looked: dict[str, tuple[object, float]] = {}

    def told(self, task: Task, device: str) -> dict[str, Any] | None:
        """What a heartbeat of ``device`` is told of the round; None where a task has none."""
        if task.mode != "sync":
            return None
        with self._database.read() as session:
            row = newest_round(session, task.name, with_updates=False)
            known = session.get(DeviceTask, (device, task.name))
            has_sent = row is not None and _has_sent(session, row, device)
            begins = known is not None and self._may_begin(session, task, row, known)
        if begins and self._is_time_to_look(task, row):
            with self._database.read() as session:
                is_due = self._is_due(session, task, row)
            if is_due:
                before, row = row, self._begin(task)
                has_sent &= before is not None and row is not None and before.id == row.id
        is_open = row is not None and row.status == OPEN
        number = 1 if row is None else row.number + (not is_open)
        selected = row.selected if row is not None and is_open else None
        if selected is not None:
            asked = device in selected
        elif selects(task.rounds) or (known and Candidate(True, known.rests_until).rests(number)):
            asked = device in self._asking.now(task).names
        else:
            asked = True
        return {
            "number": number,
            "asked": asked,
            "sent": is_open and has_sent,
            "deadline": row.deadline if row is not None and is_open else None,
        }

    def _may_begin(
        self, session: Session, task: Task, row: Round | None, known: DeviceTask
    ) -> bool:
        """Whether a heartbeat is one that may open a round, or let its device stand in."""
        if not known.num_samples or known.problem:
            return False
        if row is not None and row.status == OPEN:
            return row.selected is not None and known.device not in row.selected
        if not opens_first(task.rounds) or not (row is None or _is_over(row)):
            return False
        comes_by_itself = session.get_one(Device, known.device).url is None
        return comes_by_itself and find_newest_version(session, task.name) is not None

    def _is_time_to_look(self, task: Task, row: Round | None) -> bool:
        state = None if row is None else (row.number, row.status, row.selected, is_overdue(row))
        now = time.monotonic()
        with self._guard:
            looked, again = self._looked.get(task.name, (None, 0.0))
            if looked == state and now < again:
                return False
            self._looked[task.name] = state, now + self._look_seconds
            return True

    def _is_due(self, session: Session, task: Task, row: Round | None) -> bool:
        """Whether something begins; nothing is written for that."""
        since = self._presence.since()
        if row is not None and row.status == OPEN:
            return bool(missing_stand_ins(session, task, row, since))
        model = find_newest_version(session, task.name)
        patience = self._presence.lost_after_seconds
        return model is not None and is_time_to_open(session, task, row, model, since, patience)

    def _begin(self, task: Task) -> Round | None:
        """Let begin what is due, if it still is: another process may have done so."""
        since = self._presence.since()
        with self._database.write() as session:
            row = newest_round(session, task.name, with_updates=False)
            if row is not None and row.status == OPEN:
                ask_stand_ins(session, task, row, since)
            elif row is None or _is_over(row):
                model = find_newest_version(session, task.name)
                if model is not None:
                    row = open_round(session, task, time.time(), model, since)
            return row


def _has_sent(session: Session, row: Round, device: str) -> bool:
    """Whether an update of a device that started from the round's version is here."""
    return session.get(ReceivedUpdate, (row.id, device, 0)) is not None


def _is_over(row: Round) -> bool:
    return row.status in (DISTRIBUTED, ABANDONED)
