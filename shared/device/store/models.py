"""The global models that a device has installed."""

from pathlib import Path
from typing import Any

from sqlalchemy import update

from shared.device.store.part import Part, check_federation
from shared.device.tables import InstalledModel, UnreadablePictures
from shared.web.events import record


class Models(Part):
    """One of each task: its file in the folder ``models``, and how good it is here."""

    def installed(self, task: str) -> InstalledModel | None:
        """The global model of a task."""
        with self.database.read() as session:
            return session.get(InstalledModel, task)

    def install(
        self,
        task: str,
        version: int,
        file: Path,
        etag: str,
        federation: str,
        sent: Path | None = None,
    ) -> InstalledModel:
        """Make a file in ``models`` the installed model; the one before it is removed.

        Args:
            sent: beside it, what came with it for the task's strategy.

        Raises:
            FederationChanged: the model belongs to another federation.
        """
        with self.database.write() as session:
            check_federation(session, federation)
            row = session.get(InstalledModel, task)
            before = {row.file, row.sent} if row else set()
            if row is None:
                row = InstalledModel(task=task)
                session.add(row)
            row.version, row.file, row.etag = version, file.name, etag
            row.sent = sent.name if sent else None
            row.evaluation = row.problem = None
            message = f"Version {version} installed"
            record(session, "installed", message, task=task, device=self._device)
            session.flush()
            session.expunge(row)
        for name in before - {row.file, row.sent}:
            if name is not None:
                (file.parent / name).unlink(missing_ok=True)
        return row

    def evaluated(self, task: str, version: int, measured: dict[str, Any]) -> None:
        """Keep what the trainer answered to ``evaluate``: evaluation, problem, skipped."""
        evaluation, problem = measured["evaluation"], measured["problem"]
        with self.database.write(durable=False) as session:  # it can be measured again
            session.merge(UnreadablePictures(task=task, pictures=measured["skipped"]))
            session.execute(
                update(InstalledModel)
                .where(InstalledModel.task == task, InstalledModel.version == version)
                .values(evaluation=evaluation, problem=problem)
            )
            told = f"accuracy {evaluation['accuracy']:.3f}" if evaluation else problem
            message = f"Version {version} on own test pictures: {told}"
            record(session, "evaluated", message, task=task, device=self._device)

    def unreadable(self, task: str) -> list[dict[str, str]]:
        """Test pictures that could not be read when a model was measured last."""
        with self.database.read() as session:
            row = session.get(UnreadablePictures, task)
        return row.pictures if row else []

    def model_file(self, row: InstalledModel) -> Path:
        """Where an installed model lies."""
        return self.directory / "models" / row.file

    def sent_file(self, row: InstalledModel) -> Path | None:
        """Where what came with it for the task's strategy lies; None: nothing did."""
        return self.directory / "models" / row.sent if row.sent else None
