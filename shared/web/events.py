"""Events: one row for each thing that happened. The log, and what pages listen to.

A row is written in the transaction of the change it tells of, so the log holds
what happened and nothing else. ``GET /events`` sends rows as server-sent events;
a client that reconnects goes on from its ``Last-Event-ID``.
"""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

from apiflask import APIBlueprint
from flask import Response, request
from sqlalchemy import JSON, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from shared.errors import FedbellError
from shared.web.database import Database

_LOOK_SECONDS = 0.5
#: Also how long the place of a client that hung up stays taken.
_HEARTBEAT_SECONDS = 2.0
_PAGE = 200
#: Each open stream holds one thread; the rest of the threads answer calls.
_MOST_STREAMS = 6


class EventTables(DeclarativeBase):
    """The tables of this module."""

    type_annotation_map: ClassVar = {dict[str, Any]: JSON}


class Event(EventTables):
    """One thing that happened. ``time`` is in seconds since 1970."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    time: Mapped[float]
    kind: Mapped[str]
    task: Mapped[str | None]
    device: Mapped[str | None]
    message: Mapped[str]

    def as_json(self) -> dict[str, Any]:
        """The row, ready for JSON."""
        names = ("id", "time", "kind", "task", "device", "message")
        return {name: getattr(self, name) for name in names}


class TooManyStreams(FedbellError):
    """More event streams are open than one process serves."""

    status = 503
    title = "Too many event streams"


def record(
    session: Session,
    kind: str,
    message: str,
    *,
    task: str | None = None,
    device: str | None = None,
) -> None:
    """Add an event to the transaction of ``session``."""
    session.add(Event(time=time.time(), kind=kind, task=task, device=device, message=message))


def newest_events(database: Database, limit: int, task: str | None = None) -> list[Event]:
    """The newest events, newest first; with ``task``, that task's and those of no task."""
    query = select(Event).order_by(Event.id.desc()).limit(limit)
    if task is not None:
        query = query.where((Event.task == task) | (Event.task.is_(None)))
    with database.read() as session:
        return list(session.scalars(query))


def blueprint(database: Database) -> APIBlueprint:
    """``GET /events``."""
    calls = APIBlueprint("events", __name__, tag="Events")
    places = threading.BoundedSemaphore(_MOST_STREAMS)

    @calls.get("/events")
    @calls.doc(
        summary="What happens, as server-sent events",
        description="Goes on from the header Last-Event-ID, or starts with what comes next.",
    )
    def stream_events() -> Response:
        if not places.acquire(blocking=False):
            raise TooManyStreams("Close a page that is open, or ask again in a moment.")
        after = request.headers.get("Last-Event-ID", "")
        start = int(after[:18]) if after[:18].isdecimal() else _newest(database)
        response = Response(_stream(database, start), mimetype="text/event-stream")
        response.call_on_close(places.release)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"
        return response

    return calls


def _newest(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.max(Event.id))) or 0


def _stream(database: Database, after: int) -> Iterator[str]:
    yield "retry: 2000\n\n"
    spoke = time.monotonic()
    while True:
        query = select(Event).where(Event.id > after).order_by(Event.id).limit(_PAGE)
        with database.read() as session:
            rows = list(session.scalars(query))
        for row in rows:
            yield f"id: {row.id}\nevent: {row.kind}\ndata: {json.dumps(row.as_json())}\n\n"
            after = row.id
        if rows:
            spoke = time.monotonic()
        elif time.monotonic() - spoke > _HEARTBEAT_SECONDS:
            yield ": still here\n\n"
            spoke = time.monotonic()
        time.sleep(_LOOK_SECONDS)
