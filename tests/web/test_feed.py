"""One look at the store for all streams: nothing is missed, and without listeners no look."""

import logging
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from shared.web.database import Database, DatabaseAway
from shared.web.events import Event, EventTables, record
from shared.web.feed import Feed
from tests.server import wait_until


class Store:
    """A database with events, and a glance that a test sets; looks are counted."""

    def __init__(self, directory: Path) -> None:
        self.database = Database(f"sqlite:///{directory / 'events.db'}", EventTables.metadata)
        self.glance, self.looks = 0, 0
        #: When it was looked while the database was away.
        self.is_away, self.away = False, list[float]()
        self.feed = Feed(self.database, Event.id, self.look)

    def look(self, _session: Session) -> int:
        self.looks += 1
        if self.is_away:
            self.away.append(time.monotonic())
            raise DatabaseAway("The database has told it.")
        return self.glance

    def write(self) -> None:
        with self.database.write() as session:
            record(session, "test", "something happened")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_events_and_progress_are_told_apart(store: Store) -> None:
    with store.feed.listening() as listener:
        assert listener.wait(5) is not None  # the first look
        assert listener.wait(0.6) is None
        store.write()
        news = listener.wait(5)
        assert news is not None
        assert not news.progress
        store.glance = 1
        news = listener.wait(5)
        assert news is not None
        assert news.progress


def test_many_listeners_cost_one_look(store: Store) -> None:
    heard = []
    ready = threading.Barrier(21)

    def listen() -> None:
        with store.feed.listening() as listener:
            listener.wait(5)
            ready.wait(30)
            while not (news := listener.wait(30)) or news.progress:
                pass
            heard.append(news)

    threads = [threading.Thread(target=listen) for _ in range(20)]
    for thread in threads:
        thread.start()
    ready.wait(30)
    before = store.looks
    store.write()
    for thread in threads:
        thread.join(30)
    assert len(heard) == 20
    assert store.looks - before < 20


def test_nobody_listens_nobody_looks(store: Store) -> None:
    with store.feed.listening() as listener:
        listener.wait(5)
    wait_until(lambda: "event-feed" not in {thread.name for thread in threading.enumerate()})
    looks = store.looks
    time.sleep(0.6)
    assert store.looks == looks
    with store.feed.listening() as listener:  # and somebody listens again
        assert listener.wait(5) is not None


def test_while_the_database_is_away_looks_are_fewer_and_no_traceback_is_logged(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("shared.web.feed._LOOK_SECONDS", 0.05)
    monkeypatch.setattr("shared.web.feed._LONGEST_PAUSE_SECONDS", 0.3)
    with store.feed.listening() as listener, caplog.at_level(logging.DEBUG):
        assert listener.wait(5) is not None
        store.is_away = True
        wait_until(lambda: len(store.away) >= 6)
        store.is_away = False
        store.write()
        assert listener.wait(5) is not None
    pauses = [later - earlier for earlier, later in pairwise(store.away)]
    for pause, least in zip(pauses, (0.05, 0.1, 0.2, 0.3, 0.3), strict=False):
        assert pause >= 0.9 * least, pauses
    assert [record for record in caplog.records if record.exc_info] == []


def test_who_closes_the_database_waits_for_a_look(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be cut off in the middle, and go on into what comes after."""
    looking, go_on, seen = threading.Event(), threading.Event(), []

    def slowly() -> int:
        looking.set()
        go_on.wait(5)
        seen.append("looked")
        return 0

    monkeypatch.setattr(store.feed, "_glance", lambda _session: slowly())
    with store.feed.listening():
        assert looking.wait(5)
        threading.Timer(0.3, go_on.set).start()
        store.database.close()
        assert seen == ["looked"]
        time.sleep(0.6)
        assert seen == ["looked"], "somebody still listens, and nobody looks"
