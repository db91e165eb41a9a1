"""Put first on the PYTHONPATH of a server under test: stops it at one of its durable writes.

Python imports this by its name in every process of the server, its trainer too. The folder
FEDBELL_TRAP holds, while the trap is armed, ``plan.json``: {"point", "how", "groups",
"ignored"}. From then on writes are counted over all processes, of several servers too: each
fsync, each rename and each commit of SQLite or PostgreSQL. At number ``point`` the server that
writes is killed, ``how`` "before" or "after" the write, or with "hold" waits before it until the
trap is disarmed. ``groups`` are the process groups of the servers; a process that is in none of
them, a trainer, takes the first one with it, and with none at all its own. Writes under functions
of the names ``ignored`` are not counted. ``writes.log`` gets a line for each write that is.
"""

import fcntl
import json
import os
import signal
import sqlite3
import sqlite3.dbapi2
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

_TRAP = Path(os.environ["FEDBELL_TRAP"])
_PLAN, _LOG = _TRAP / "plan.json", _TRAP / "writes.log"
_ROOT = Path(__file__).parents[3]
_PRODUCT = (str(_ROOT / "main_server"), str(_ROOT / "shared"))


def _guarded(kind: str, write: Callable[[], Any]) -> Any:
    how, groups = _count(kind)
    if how == "before":
        _die(groups)
    while how == "hold" and _PLAN.exists():
        time.sleep(0.01)
    answer = write()
    if how == "after":
        _die(groups)
    return answer


def _count(kind: str) -> tuple[str, list[int]]:
    """How this write is to be disturbed, if at all, and the servers' process groups."""
    if not _PLAN.exists():
        return "", []
    names, place = _stack()
    with _LOG.open("a+") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        try:
            plan = json.loads(_PLAN.read_text())
        except FileNotFoundError:
            return "", []
        if names & set(plan["ignored"]):
            return "", []
        log.seek(0)
        number = len(log.readlines()) + 1
        log.write(f"{number} {kind} in {place} of process {os.getpid()}\n")
    return (plan["how"] if number == plan["point"] else ""), plan["groups"]


def _stack() -> tuple[set[str], str]:
    """The names of all functions at work, and the innermost one of the product."""
    names, place = set(), "?"
    frame: FrameType | None = sys._getframe(3)
    while frame is not None:
        code = frame.f_code
        names.add(code.co_name)
        if place == "?" and code.co_filename.startswith(_PRODUCT):
            place = f"{Path(code.co_filename).relative_to(_ROOT)}:{code.co_name}"
        frame = frame.f_back
    return names, place


def _die(groups: list[int]) -> None:
    mine = os.getpgrp()
    os.killpg(mine if mine in groups or not groups else groups[0], signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)  # a trainer is in no server's group
    signal.pause()


class _Connection(sqlite3.Connection):
    def commit(self) -> None:
        if self.in_transaction:
            _guarded("COMMIT", super().commit)


def _watch(name: str) -> None:
    original = getattr(os, name)

    def watched(*arguments: Any, **options: Any) -> Any:
        return _guarded(name, lambda: original(*arguments, **options))

    setattr(os, name, watched)


def _connect(*arguments: Any, **options: Any) -> Any:
    return _original_connect(*arguments, **{"factory": _Connection} | options)


def _watch_postgresql() -> None:
    import psycopg

    original = psycopg.Connection.commit

    def commit(self: Any) -> None:
        if self.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
            _guarded("COMMIT", lambda: original(self))
        else:
            original(self)

    setattr(psycopg.Connection, "commit", commit)  # noqa: B010 - as below


_original_connect = sqlite3.connect
for _module in (sqlite3, sqlite3.dbapi2):
    setattr(_module, "connect", _connect)  # noqa: B010 - no such assignment has the right type
for _name in ("fsync", "replace", "rename"):
    _watch(_name)
if "DATABASE_URL" in os.environ:
    _watch_postgresql()
