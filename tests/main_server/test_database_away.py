"""While PostgreSQL is away, a round that is to end by itself costs a few lines of the log; when it
is back, the round ends."""

import logging
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from main_server import auto_aggregate
from tests.postgresql import PostgreSQL
from tests.server import wait_until

from .conftest import ThinDevice
from .deadlines import open_server
from .stores import STORES

FIRST_PAUSE_SECONDS = 0.1
AWAY_SECONDS = 3.0


@pytest.fixture
def own_postgresql(postgresql: PostgreSQL) -> Iterator[PostgreSQL]:
    """One that a test may stop: nobody else uses it meanwhile, and it is started again."""
    STORES.lie_in(postgresql)
    yield postgresql
    postgresql.start_again()


class Kept(logging.Handler):
    """What the threads that look after deadlines log. An app takes pytest's own handler away."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.threadName == "auto-aggregate-digits":
            self.records.append(record)


@pytest.fixture
def log() -> Iterator[list[logging.LogRecord]]:
    kept = Kept()
    for name in ("main_server", "shared"):
        logging.getLogger(name).addHandler(kept)
    yield kept.records
    for name in ("main_server", "shared"):
        logging.getLogger(name).removeHandler(kept)


def test_it_is_told_in_single_lines_ever_more_seldom(
    own_postgresql: PostgreSQL,
    tmp_path: Path,
    log: list[logging.LogRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(auto_aggregate, "_FIRST_PAUSE_SECONDS", FIRST_PAUSE_SECONDS)
    client = open_server(tmp_path, "deadline_seconds = 2", heartbeat_seconds=0.5)
    device = ThinDevice(client, "device1")
    device.status()
    device.offer()
    assert device.send().status_code == 200
    own_postgresql.stop()
    wait_until(lambda: log)
    time.sleep(AWAY_SECONDS)
    assert [record.exc_info for record in log] == [None] * len(log)
    assert all("\n" not in record.getMessage() for record in log)
    # Each time it asks when to look, and then looks: two lines.
    tries = [record.created for record in log][1::2]
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert len(pauses) >= 2
    for number, pause in enumerate(pauses):
        # 1.5 s: three heartbeats, the time after which it looks anyway.
        assert pause >= min(2**number * FIRST_PAUSE_SECONDS, 1.5) * 0.9, pauses
    own_postgresql.start()
    wait_until(lambda: client.get("/rounds/1").json["version"] == 1, 30)
