"""What callers are told of errors that no code foresees one by one."""

import errno
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from main_server.settings import MainServerSettings
from shared.errors import FedbellError
from shared.web.app import create_base


class Busy(FedbellError):
    """Comes again in a while."""

    status = 503
    retry_after = 7


SQLITE = sqlite3.OperationalError


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 507, "disk-full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 507, "disk-full"),
        (OperationalError("", {}, SQLITE("database or disk is full")), 507, "disk-full"),
        (OperationalError("", {}, SQLITE("database is locked")), 500, "unexpected"),
        (OSError(errno.EACCES, "Permission denied"), 500, "unexpected"),
    ],
)
def test_a_full_disk_is_told(tmp_path: Path, error: Exception, status: int, kind: str) -> None:
    app = create_base(__name__, "Test", MainServerSettings(state_directory=tmp_path))

    @app.post("/change")
    def change() -> None:
        raise error

    answer = app.test_client().post("/change", base_url="http://localhost:8000")
    assert answer.status_code == status
    assert answer.json["type"] == f"urn:fedbell:problem:{kind}"
    assert ("Make room" in answer.json["detail"]) == (status == 507)


def test_when_to_come_again_is_told(tmp_path: Path) -> None:
    app = create_base(__name__, "Test", MainServerSettings(state_directory=tmp_path))

    @app.post("/change")
    def change() -> None:
        raise Busy("Come again.")

    answer = app.test_client().post("/change", base_url="http://localhost:8000")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
