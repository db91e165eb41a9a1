"""What train on upload must not forget: whether it is on, and which new pictures were trained on
without an update of them having reached the main server."""

import json
from typing import NamedTuple

from sqlalchemy import delete
from sqlalchemy.orm import Session

from shared.device.tables import Fact, PendingUpdate
from shared.web.database import Database
from shared.web.events import record

_ON = "on"


class NewUpdate(NamedTuple):
    """A pending update that was trained on new pictures.

    Attributes:
        new: how many of its pictures the main server has had no update of.
        by_itself: train on upload began it, and nobody else.
        is_refused: the main server does not take it.
    """

    row: PendingUpdate
    new: int
    by_itself: bool
    is_refused: bool

    def told(self, round_number: int) -> str:
        """What the log says of it, once it was sent."""
        row, new = self.row, f"{self.new} new picture{'s' if self.new > 1 else ''}"
        sent = f"Sent to the main server: counts in round {round_number}"
        if not self.by_itself:
            return f"Nobody had sent what was trained with {new}. {sent}"
        history, epochs = row.result["history"], row.result["epochs"]
        return (
            f"Trained by itself after {new}: {epochs} epoch{'s' if epochs > 1 else ''} on "
            f"{row.num_samples} pictures: accuracy {history['accuracy'][-1]:.3f}, "
            f"loss {history['loss'][-1]:.4f}. {sent}"
        )


class AutoTrainNotes:
    """Facts of the device's store, by task.

    Args:
        database: of the device's store.
        device: its name, for the event log.
    """

    def __init__(self, database: Database, device: str) -> None:
        self._database = database
        self._device = device

    def new_update(self, task: str) -> NewUpdate | None:
        """The pending update, if new pictures are in it and it was not settled."""
        with self._database.read() as session:
            return _noted(session, task)

    def refuse(self, task: str) -> None:
        """The main server refused :meth:`new_update`, and would again."""
        with self._database.write() as session:
            if update := _noted(session, task):
                _note(session, update._replace(is_refused=True))

    def settle(self, task: str, message: str | None = None) -> None:
        """:meth:`new_update` is none any more; ``message`` says in the log what became of it."""
        with self._database.write() as session:
            session.execute(delete(Fact).where(Fact.name == _new_update(task)))
            if message:
                record(session, "auto_train", message, task=task, device=self._device)

    def tell(self, task: str, message: str) -> None:
        """Say something in the log."""
        with self._database.write(durable=False) as session:
            record(session, "auto_train", message, task=task, device=self._device)

    def is_on(self, task: str) -> bool | None:
        """Whether somebody switched it on or off; None: nobody has."""
        with self._database.read() as session:
            fact = session.get(Fact, _switch(task))
        return None if fact is None else fact.value == _ON

    def switch(self, task: str, on: bool) -> None:
        """Keep that somebody switched it."""
        with self._database.write() as session:
            session.merge(Fact(name=_switch(task), value=_ON if on else ""))
            message = f"Train on upload was switched {'on' if on else 'off'}"
            record(session, "auto_train_switched", message, task=task, device=self._device)


def note_new_update(session: Session, row: PendingUpdate, new: int, by_itself: bool) -> None:
    """In the transaction that keeps an update, before it is kept: ``new`` pictures in it were
    never trained on before. Those of the update before are new still if that was never sent."""
    former = _noted(session, row.task)
    if former and former.row.answer is None:
        new += former.new
    if new:
        _note(session, NewUpdate(row, new, by_itself, is_refused=False))


def _noted(session: Session, task: str) -> NewUpdate | None:
    fact, row = session.get(Fact, _new_update(task)), session.get(PendingUpdate, task)
    told = json.loads(fact.value) if fact else {}
    if row is None or row.file != told.get("file"):
        return None
    return NewUpdate(row, told["new"], told.get("by_itself", True), told.get("is_refused", False))


def _note(session: Session, update: NewUpdate) -> None:
    told = {
        "file": update.row.file,
        "new": update.new,
        "by_itself": update.by_itself,
        "is_refused": update.is_refused,
    }
    session.merge(Fact(name=_new_update(update.row.task), value=json.dumps(told)))


def _new_update(task: str) -> str:
    return f"own_update/{task}"


def _switch(task: str) -> str:
    return f"auto_train/{task}"
