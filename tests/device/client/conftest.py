import logging
from collections.abc import Iterator

import pytest

from shared.device.trainer_process import trainer_environment


@pytest.fixture
def process_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a client sets up for its own process is undone."""
    for name, value in trainer_environment(2).items():
        monkeypatch.setenv(name, value)
    logger = logging.getLogger("shared")
    before = logger.level
    yield
    logger.setLevel(before)
