"""What a client keeps: who it is, how far it is, and the files that this names.

Files are written whole and durably first; state.json, which names them, is replaced after.
So a client that is killed anywhere goes on from the last state that was whole.
"""

import secrets
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.device.model_file import sha256_of
from shared.errors import ConfigurationError
from shared.federated.task import Task
from shared.federated.weights import write_durably
from shared.web.locks import try_lock

_STATE, _TOKEN, _LOCK = "state.json", "token", "client.lock"


class Base(BaseModel):
    """The global model that was pulled last.

    ``sent``: the file of what came with it for the task's strategy. ``pulled_for``: the sequence
    number of the update that is trained from it.
    """

    model_config = ConfigDict(frozen=True)

    version: int
    file: str
    etag: str
    sent: str | None = None
    pulled_for: int

    def as_start(self) -> "Own":
        """What to train from: nothing has been learned since."""
        return Own(
            base_version=self.version, base_sha256=sha256_of(self.etag), file=self.file, chunks={}
        )


class Own(BaseModel):
    """What was trained last: an update, and the weights to train on from while offline.

    ``base_sha256``: of the file of the version that it started from. ``chunks``: those that no
    update acknowledged before holds, with the number of samples of each. ``keeps``: the file of
    what was kept of the training for the task's strategy.
    """

    model_config = ConfigDict(frozen=True)

    base_version: int
    base_sha256: str | None = None
    file: str
    keeps: str | None = None
    chunks: dict[int, int]
    is_acknowledged: bool = False

    @property
    def uncounted(self) -> dict[int, int]:
        """The chunks that no acknowledged update holds."""
        return {} if self.is_acknowledged else self.chunks


class Progress(BaseModel):
    """How far a client is in one task.

    ``sequence``: of the last update it has trained; ``answered``: the version that the last
    acknowledged one started from. ``kept``: the file of what was kept for the task's strategy
    before ``own`` was trained.
    """

    model_config = ConfigDict(frozen=True)

    federation: str | None = None
    task: Task | None = None
    sequence: int = 0
    next_chunk: int = 1
    base: Base | None = None
    own: Own | None = None
    answered: int | None = None
    kept: str | None = None

    def kept_for(self, version: int) -> str | None:
        """What is kept for the task's strategy, as a training from a version finds it.

        What the last training has kept counts once its update is acknowledged, and another version
        is trained from: trained from the same one again, the update takes that one's place. In an
        asynchronous task every update counts.
        """
        own = self.own
        if own is None or not own.is_acknowledged:
            return self.kept
        is_async = self.task is not None and self.task.mode == "async"
        return own.keeps if is_async or own.base_version != version else self.kept

    @property
    def pending(self) -> Own | None:
        """The update that no answer has come for."""
        return self.own if self.own and not self.own.is_acknowledged else None


class ClientState:
    """The state directory of one client; one process has it at a time.

    Args:
        directory: of the client; each task has a folder in it.
        task: what it trains.

    Raises:
        ConfigurationError: another process has it, or it is damaged.
    """

    def __init__(self, directory: Path, task: str) -> None:
        self._directory = directory
        self._folder = directory / task
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = try_lock(directory / _LOCK)
        if lock is None:
            raise ConfigurationError(
                f"Another client works with {directory} already. Stop it, or give this one "
                "another --id (and with it a state directory of its own)."
            )
        self._lock: FileLock = lock
        self.progress = self._read()
        self._remove_leftovers()

    def close(self) -> None:
        """Let another process have it."""
        self._lock.release()

    def token(self) -> str:
        """This client's own secret, made and kept before its first use."""
        path = self._directory / _TOKEN
        if not path.exists():
            write_durably(path, secrets.token_urlsafe(32).encode())  # mode 0600, as temporary files
        return path.read_text().strip()

    def path(self, file: str) -> Path:
        """Where a file that the state names lies, or will."""
        return self._folder / file

    def keep(self, **changes: object) -> None:
        """Keep the progress with some fields changed."""
        self.save(self.progress.model_copy(update=changes))

    def save(self, progress: Progress) -> None:
        """Keep ``progress``; files that it no longer names are removed."""
        before = self.progress
        write_durably(self.path(_STATE), progress.model_dump_json().encode())
        self.progress = progress
        for file in _files(before) - _files(progress):
            self.path(file).unlink(missing_ok=True)

    def _read(self) -> Progress:
        path = self.path(_STATE)
        if not path.exists():
            return Progress()
        try:
            progress = Progress.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise ConfigurationError(
                f"{path} cannot be read ({error.errors()[0]['msg']}). Delete {path.parent} to "
                "begin anew; what the main server has is not lost."
            ) from error
        missing = [file for file in _files(progress) if not self.path(file).exists()]
        if missing:
            raise ConfigurationError(
                f"{self.path(missing[0])} is gone. Delete {path.parent} to begin anew; what the "
                "main server has is not lost."
            )
        return progress

    def _remove_leftovers(self) -> None:
        kept = _files(self.progress) | {_STATE}
        for path in self._folder.iterdir():
            if path.name not in kept:
                path.unlink()
        for path in self._directory.glob(f".{_TOKEN}.*"):
            path.unlink()


def _files(progress: Progress) -> set[str]:
    base, own = progress.base, progress.own
    parts = [progress.kept, *((base.file, base.sent) if base else ())]
    parts += (own.file, own.keeps) if own else ()
    return {file for file in parts if file}
