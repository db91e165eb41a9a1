"""Events: one row for each thing that happened. The log, and what pages listen to.

A row is written in the transaction of the change it tells of, so the log holds
what happened and nothing else. ``GET /events`` sends rows as server-sent events;
a client that reconnects goes on from its ``Last-Event-ID``.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from apiflask import APIBlueprint
from flask import Response, g, request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import JSON, Select, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from shared.errors import FedbellError
from shared.web.access.who import current
from shared.web.column_types import TEXT, WHOLE
from shared.web.database import Database
from shared.web.description import gives
from shared.web.feed import Feed, Glance
from shared.web.filters import clock

#: Also how long the place of a client that hung up stays taken.
_HEARTBEAT_SECONDS = 2.0
_PAGE = 200
#: Each open stream holds one thread; the rest of the threads answer calls. A page that gets
#: no stream asks every few seconds instead.
_MOST_STREAMS = 6
#: Whole logs that are sent at the same time by one process; who does not read holds a thread.
_MOST_DOWNLOADS = 2


class EventTables(DeclarativeBase):
    """The tables of this module."""

    type_annotation_map: ClassVar = {str: TEXT, int: WHOLE, dict[str, Any]: JSON}


class Event(EventTables):
    """One thing that happened. ``time`` is in seconds since 1970.

    ``actor``: who did it: operator, viewer, a device's name; None: the server itself.
    ``address``: the IP address that the call came from.
    """

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    time: Mapped[float]
    kind: Mapped[str]
    task: Mapped[str | None]
    device: Mapped[str | None]
    message: Mapped[str]
    actor: Mapped[str | None]
    address: Mapped[str | None]

    def as_json(self) -> dict[str, Any]:
        """The row, ready for JSON."""
        names = ("id", "time", "kind", "task", "device", "message", "actor", "address")
        return {name: getattr(self, name) for name in names}

    def as_text(self) -> str:
        """The row as a line of the log."""
        where = " ".join(filter(None, (self.device, self.task)))
        told = " ".join(self.message.split())
        return f"{clock(self.time)}  {where:24}  {self.by:28}  {told}"

    @property
    def by(self) -> str:
        """Who did it and from where, in words; empty for the server itself."""
        words = (self.actor, f"from {self.address}" if self.actor and self.address else None)
        return " ".join(filter(None, words))


class TooManyStreams(FedbellError):
    """More event streams are open than one process serves."""

    status = 503
    title = "Too many event streams"


class EventQuery(BaseModel):
    """Which events: of one task (and of none), of one device, by one actor."""

    model_config = ConfigDict(extra="forbid")

    task: str | None = Field(default=None, max_length=64)
    device: str | None = Field(default=None, max_length=64)
    actor: str | None = Field(default=None, max_length=64)


class StreamQuery(EventQuery):
    """Which events, and from where on."""

    #: The id of the last one that is known; the header Last-Event-ID wins.
    after: int | None = Field(default=None, ge=0, lt=2**63)


def record(
    session: Session,
    kind: str,
    message: str,
    *,
    task: str | None = None,
    device: str | None = None,
) -> None:
    """Add an event to the transaction of ``session``: it tells who acts just now, from where."""
    caller = current()
    session.add(
        Event(
            time=time.time(),
            kind=kind,
            task=task,
            device=device,
            message=message,
            actor=caller.name,
            address=caller.address,
        )
    )


def newest_events(
    database: Database,
    limit: int,
    task: str | None = None,
    device: str | None = None,
    actor: str | None = None,
) -> list[Event]:
    """The newest events, newest first.

    Args:
        task: that task's and those of no task; None: all.
        device: that device's alone; None: all.
        actor: what that one did alone; None: all.
    """
    query = _of(task, device, actor).order_by(Event.id.desc()).limit(limit)
    with database.read() as session:
        return list(session.scalars(query))


def newest_id(database: Database) -> int:
    """The id of the newest event; 0 when there is none."""
    with database.read() as session:
        return session.scalar(select(func.max(Event.id))) or 0


def blueprint(database: Database, glance: Glance) -> APIBlueprint:
    """``GET /events`` and ``GET /events.txt``.

    Args:
        glance: what is no event but worth a look of an open page: see :class:`Feed`.
    """
    calls = APIBlueprint("events", __name__, tag="Events")
    places = threading.BoundedSemaphore(_MOST_STREAMS)
    downloads = threading.BoundedSemaphore(_MOST_DOWNLOADS)
    feed = Feed(database, Event.id, glance)

    @calls.get("/events")
    @calls.input(StreamQuery, location="query")
    @calls.doc(
        summary="What happens, as server-sent events",
        description="Goes on from the header Last-Event-ID, or from ?after=, or starts with what "
        "comes next; ends soon after the log-in that it was opened with. An event named progress, "
        "without data, says that running work went on.",
        responses=gives("text/event-stream"),
    )
    def stream_events(query_data: StreamQuery) -> Response:
        if not places.acquire(blocking=False):
            raise TooManyStreams("Close a page that is open, or ask again in a moment.")
        told = request.headers.get("Last-Event-ID", "")[:18]
        start = int(told) if told.isdecimal() else query_data.after
        newest = newest_id(database)
        if start is None or start > newest:  # or of a store that is no more
            start = newest
        log_in = _LogIn(g.get("log_in_lasts", _always))
        lines = _stream(database, feed, start, query_data, log_in)
        response = Response(lines, mimetype="text/event-stream")
        response.call_on_close(places.release)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"
        return response

    @calls.get("/events.txt")
    @calls.input(EventQuery, location="query")
    @calls.doc(
        summary="The log as text, oldest first: a line an event",
        responses=gives("text/plain"),
    )
    def download_events(query_data: EventQuery) -> Response:
        if not downloads.acquire(blocking=False):
            raise TooManyStreams("Others read the log just now. Ask again in a moment.")
        response = Response(_lines(database, query_data), mimetype="text/plain")
        response.call_on_close(downloads.release)
        response.headers["Content-Disposition"] = "attachment; filename=fedbell-log.txt"
        return response

    return calls


def _of(task: str | None, device: str | None, actor: str | None) -> Select[Event]:
    query = select(Event)
    if task is not None:
        query = query.where((Event.task == task) | (Event.task.is_(None)))
    if device is not None:
        query = query.where(Event.device == device)
    if actor is not None:
        query = query.where(Event.actor == actor)
    return query


def _page(database: Database, after: int, chosen: EventQuery) -> list[Event]:
    found = _of(chosen.task, chosen.device, chosen.actor)
    query = found.where(Event.id > after).order_by(Event.id).limit(_PAGE)
    with database.read() as session:
        return list(session.scalars(query))


def _lines(database: Database, chosen: EventQuery) -> Iterator[str]:
    after = 0
    while rows := _page(database, after, chosen):
        yield "".join(f"{row.as_text()}\n" for row in rows)
        after = rows[-1].id


def _always() -> bool:
    return True


class _LogIn:
    """The log-in that a stream was opened with; looked at once in a heartbeat at the most."""

    def __init__(self, lasts: Callable[[], bool]) -> None:
        self._lasts = lasts
        self._looked = time.monotonic()

    def is_over(self) -> bool:
        """Whether whoever listens may listen no more."""
        now = time.monotonic()
        if now - self._looked < _HEARTBEAT_SECONDS:
            return False
        self._looked = now
        return not self._lasts()


def _stream(
    database: Database, feed: Feed, after: int, chosen: EventQuery, log_in: _LogIn
) -> Iterator[str]:
    yield "retry: 2000\n\n"
    with feed.listening() as listener:
        while not log_in.is_over():
            if rows := _page(database, after, chosen):
                for row in rows:
                    yield f"id: {row.id}\ndata: {json.dumps(row.as_json())}\n\n"
                after = rows[-1].id
                continue
            seen = listener.wait(_HEARTBEAT_SECONDS)
            if seen is None:
                yield ": still here\n\n"
            elif seen.progress:
                yield "event: progress\ndata: {}\n\n"
