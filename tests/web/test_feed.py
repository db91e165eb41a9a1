"""One look at the store for all streams: nothing is missed, and without listeners no look."""

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from shared.web.database import Database
from shared.web.events import Event, EventTables, record
from shared.web.feed import Feed
from tests.server import wait_until


class Store:
    """A database with events, and a glance that a test sets; looks are counted."""

    def __init__(self, directory: Path) -> None:
        self.database = Database(f"sqlite:///{directory / 'events.db'}", EventTables.metadata)
        self.glance, self.looks = 0, 0
        self.feed = Feed(self.database, Event.id, self.look)

    def look(self, _session: Session) -> int:
        self.looks += 1
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
