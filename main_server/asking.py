"""Whom a round asks, and how long its steps wait."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from main_server.fleet import Patience
from main_server.rounds import OPEN
from main_server.selection import Candidate, Chosen, selects, wanted
from main_server.store.candidates import Presence, candidates
from main_server.store.places import is_given_up, note_stand_ins
from main_server.store.round_rows import newest_round, own_senders
from main_server.store.round_steps import RoundSteps, trained
from main_server.store.tables import Round
from shared.federated.policies import RoundSettings
from shared.federated.task import Task
from shared.web.database import Database

#: What a step ends with on a device that the round goes on without.
ROUND_OVER = "urn:fedbell:problem:round-over"
#: The share of a round's time that is kept for sending: trainings end before.
_SENDING_SHARE = 0.1
#: How long, at the least, a task with deadlines waits for devices that install a version.
_INSTALLING_SECONDS = 30.0


def opens_first(settings: RoundSettings) -> bool:
    """Whether a round has to be open before a device is asked: it chooses, or it has an end."""
    return selects(settings) or settings.deadline_seconds is not None


@dataclass(frozen=True)
class Asked:
    """The round that steps are taken in.

    Attributes:
        number: the open round's, or the one that the next round will have.
        row: the open round; None: none is open.
        candidates: the devices that have pictures, by name.
        names: those that a step asks now.
    """

    task: Task
    number: int
    row: Round | None
    candidates: Mapping[str, Candidate]
    names: frozenset[str]

    @property
    def sent(self) -> set[str]:
        """The devices whose own update is here, not only a late one of an earlier round."""
        return own_senders(self.row) if self.row else set()

    @property
    def is_overdue(self) -> bool:
        """Whether its deadline has passed."""
        return self.row is not None and is_overdue(self.row)

    def resting(self) -> dict[str, int]:
        """The devices that are rested in this round, and until which round."""
        return {
            name: each.rests_until
            for name, each in self.candidates.items()
            if name not in self.names and each.rests(self.number) and each.rests_until is not None
        }


class Asking:
    """Answers from the store alone: every process says the same.

    Args:
        presence: which devices are there.
    """

    def __init__(self, database: Database, presence: Presence, round_steps: RoundSteps) -> None:
        self._database = database
        self._presence = presence
        self._round_steps = round_steps

    def now(self, task: Task) -> Asked:
        """Whom the open round asks, or the one to come would."""
        with self._database.read() as session:
            row = newest_round(session, task.name)
            known = candidates(session, task.name, self._presence.since())
        number = 1 if row is None else row.number + (row.status != OPEN)
        is_open = row is not None and row.status == OPEN
        chosen = Chosen(row.selected, row.quorum) if is_open and row is not None else None
        sent = own_senders(row) if is_open and row is not None else set()
        gives_up = is_open and row is not None and is_given_up(row)
        names = wanted(task, number, known, chosen, sent, is_given_up=gives_up)
        return Asked(task, number, row if is_open else None, known, frozenset(names))

    def join(self, task: Task, only: Collection[str] | None) -> None:
        """Note whom a step asks in the open round too, if it has chosen whom it asks.

        Args:
            only: whom somebody named; None: whoever stands in for devices that are gone.
        """
        names = self.now(task).names if only is None else only
        with self._database.write() as session:
            row = newest_round(session, task.name, with_updates=False)
            if row is None or row.status != OPEN or row.selected is None:
                return
            if only is None:
                note_stand_ins(row, sorted(names))
            else:
                row.selected = sorted({*row.selected, *names})

    def not_left(self, task: Task, names: Collection[str]) -> Collection[str]:
        """Those of ``names`` that may have something to send: not who was told to stop training.

        All of them where nobody else remains: what they answer tells why.
        """
        row = self.now(task).row
        if row is None or task.rounds.late_updates == "merge":
            return names
        left = {
            step.device
            for step in self._round_steps.of_round(task.name, row.number)
            if step.step == "modeltrain" and (step.problem or {}).get("type") == ROUND_OVER
        }
        return set(names) - left or names

    def patience(self, task: Task, step: str) -> Patience:
        """How long ``modeltrain`` or ``sendmodel`` waits, in the round that is open.

        Never past its deadline, and a round that takes the first updates not for more of them.
        Past the deadline a step waits until there are enough updates, and no longer than the
        round was to last.
        """
        asked, settings = self.now(task), task.rounds
        row = asked.row
        if row is None or task.mode != "sync" or not (row.deadline or settings.over_selection):
            return Patience()
        already = asked.sent
        if step == "modeltrain":
            already |= trained(self._round_steps.of_round(task.name, row.number))
        enough = task.needed_updates if asked.is_overdue else row.quorum
        is_first_come = enough is not None and (asked.is_overdue or settings.over_selection > 0)

        def is_enough(well: Collection[str]) -> bool:
            return is_first_come and enough is not None and len(already | set(well)) >= enough

        stops = step == "modeltrain" and settings.late_updates == "drop"
        return Patience(_end(row, step, settings), is_enough, stops)

    def installing(self, task: Task) -> Patience:
        """How long the distribution waits: a device that is lost must not keep the next round."""
        seconds = task.rounds.deadline_seconds
        if seconds is None or task.mode != "sync":
            return Patience()
        return Patience(time.time() + max(_INSTALLING_SECONDS, seconds * _SENDING_SHARE))

    def installers(self, task: Task) -> set[str]:
        """Who is asked to install a version: not the lost ones where they would be waited for.

        They fetch it by themselves when they are back.
        """
        asked = self.now(task)
        lost_wait = task.rounds.deadline_seconds is None
        return {
            name
            for name, each in asked.candidates.items()
            if each.is_present or (lost_wait and not each.rests(asked.number))
        }


def is_overdue(row: Round) -> bool:
    """Whether a round is open although its deadline has passed."""
    return row.status == OPEN and row.deadline is not None and row.deadline <= time.time()


def _end(row: Round, step: str, settings: RoundSettings) -> float | None:
    now = time.time()
    if row.deadline is None or settings.deadline_seconds is None:
        return None
    if row.deadline <= now:
        return now + settings.deadline_seconds
    begins_to_send = row.deadline - _SENDING_SHARE * settings.deadline_seconds
    return begins_to_send if step == "modeltrain" and now < begins_to_send else row.deadline
