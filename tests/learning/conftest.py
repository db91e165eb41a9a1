"""Small pictures and small networks for these tests."""

import os
from pathlib import Path

import pytest

from shared.learning.determinism import make_deterministic
from shared.learning.network import Network, build_network
from tests.learning.samples import make_task


@pytest.fixture(scope="session", autouse=True)
def _deterministic() -> None:
    make_deterministic(1)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of test data that is not part of the repository."""
    path = Path(os.environ.get("FEDBELL_TEST_DATA", "../shared/assets"))
    if not path.is_dir():
        pytest.skip(f"needs the test data in {path} (set FEDBELL_TEST_DATA)")
    return path


@pytest.fixture
def head(tmp_path: Path) -> Network:
    return build_network(make_task(), tmp_path)


@pytest.fixture
def block(tmp_path: Path) -> Network:
    return build_network(make_task(trainable="block"), tmp_path)
