"""A device's database and its folders, opened.

Files are written whole and durably first, their rows after: a row never names a
file that is not there. A kill in between leaves a file without a row, which the
next start removes.
"""

import secrets
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from shared.device.migrations import CHAIN
from shared.device.store.models import Models
from shared.device.store.tasks import Tasks
from shared.device.store.updates import Updates
from shared.device.tables import DeviceTables, InstalledModel, PendingUpdate
from shared.federated.weights import write_durably
from shared.web.access.tables import AccessTables
from shared.web.database import Database
from shared.web.events import EventTables
from shared.web.jobs import JobTables


class Store(Tasks, Models, Updates):
    """The device's database and files.

    Args:
        directory: the device's state.
        device: its name, for the event log.
    """

    def __init__(self, directory: Path, device: str) -> None:
        for folder in ("models", "updates", "incoming"):
            (directory / folder).mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{(directory / 'device.db').absolute()}"
        tables = (
            DeviceTables.metadata,
            JobTables.metadata,
            EventTables.metadata,
            AccessTables.metadata,
        )
        super().__init__(directory, Database(url, *tables, migrations=CHAIN), device)
        self._remove_leftovers()

    def token(self) -> str:
        """This device's own secret, made and kept before its first use."""
        path = self.directory / "token"
        if not path.exists():
            write_durably(path, secrets.token_urlsafe(32).encode())  # mode 0600, as temporary files
        return path.read_text().strip()

    def new_file(self, folder: str, task: str) -> Path:
        """A name in ``folder`` that no file has."""
        stamp = f"{time.time():.0f}-{uuid4().hex[:12]}"
        return self.directory / folder / f"{task}-{stamp}.safetensors"

    def _remove_leftovers(self) -> None:
        with self.database.read() as session:
            named = {
                "models": _named(session, InstalledModel.file, InstalledModel.sent),
                "updates": _named(
                    session, PendingUpdate.file, PendingUpdate.kept, PendingUpdate.keeps
                ),
                "incoming": set[str](),
            }
        for folder, files in named.items():
            for path in (self.directory / folder).iterdir():
                if path.name not in files:
                    path.unlink()
        # What write_durably had begun.
        for path in self.directory.glob(".token.*"):
            path.unlink()


def _named(session: Session, *columns: InstrumentedAttribute[Any]) -> set[str]:
    """The files that some columns of a table name."""
    return {name for row in session.execute(select(*columns)) for name in row if name}
