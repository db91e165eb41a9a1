"""Versions of the global model: never overwritten, one safetensors file each."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session, lazyload

from main_server import rounds as rules
from main_server.store.round_ends import give_up_round
from main_server.store.tables import Round, Version
from shared.errors import ConfigurationError, FedbellError
from shared.federated.task import Task
from shared.federated.weights import move_durably
from shared.web.database import Database
from shared.web.events import record
from shared.web.problems import NotFound

#: In the place of a version's suffix, where its slots are.
SLOTS_SUFFIX = ".slots.safetensors"


class VersionPruned(FedbellError):
    """A version whose weights are not kept any more."""

    status = 410
    title = "The version's weights are gone"


class Versions:
    """The versions of all tasks.

    Args:
        directory: where their files lie.
    """

    def __init__(self, database: Database, directory: Path) -> None:
        self._database = database
        self._directory = directory

    def adopt(self, row: Version, file: Path, slots: Path | None = None) -> None:
        """Move fsynced files to where the version ``row`` has its own; the row comes after.

        Args:
            slots: the file of its strategy's slots; None: there are none.
        """
        if slots is not None:
            move_durably(slots, self.slots_path(row))
        move_durably(file, self.path(row))

    def add_initial(self, row: Version, file: Path, device: str) -> bool:
        """Make a fsynced file version 0 of a task, unless it has one.

        Returns:
            Whether it was taken.
        """
        if self.find(row.task, 0) is not None:
            return False
        self.adopt(row, file)
        with self._database.write() as session:
            if session.get(Version, (row.task, 0)) is not None:
                return False
            session.add(row)
            text = f"version 0, from {device}"
            record(session, "version_made", text, task=row.task, device=device)
        return True

    def add_promoted(self, row: Version, file: Path, slots: Path | None = None) -> None:
        """Make a fsynced file the newest version, from which the next round starts.

        A round that is not through is abandoned with that: the updates of an open one do not
        count, and the version of an aggregated one does not go out. For callers who hold the
        task's step lock, so that no other version comes between.
        """
        self.adopt(row, file, slots)
        with self._database.write() as session:
            session.add(row)
            text = f"version {row.version}: the weights of version {row.promoted_from} again"
            given_up = give_up_round(session, row.task)
            told = f"; {_given_up(given_up)}" if given_up else ""
            record(session, "version_promoted", f"{text}{told}", task=row.task)

    def check_networks(self, tasks: Iterable[Task]) -> None:
        """Refuse a task whose network is no longer that of its versions.

        Raises:
            ConfigurationError: names the task, the changed key and the ways out.
        """
        for task in tasks:
            row = self.find(task.name, 0)
            if row is None:
                continue
            for key, value in task.network().items():
                if row.network[key] != value:
                    raise ConfigurationError(
                        f"tasks.{task.name}: {key} was {row.network[key]!r} and is now {value!r}, "
                        "but the store holds versions of the old network. Take the change back, "
                        "or give the changed task a new name and its picture folders too "
                        f"(dataset/<device>/{task.name}). Forgetting the state (make clean-state) "
                        "would forget all tasks."
                    )

    def path(self, row: Version) -> Path:
        """Where the file of a version lies. Its hash is part of the name, so that two
        processes that make the same version never write the same file.

        Raises:
            VersionPruned: it was deleted.
        """
        if row.pruned is not None:
            raise pruned(row)
        return self._directory / row.task / f"{row.version}-{row.sha256[:16]}.safetensors"

    def slots_path(self, row: Version) -> Path:
        """Where the slots of a version lie, if its strategy keeps some. Raises VersionPruned."""
        return slots_beside(self.path(row))

    def find(self, task: str, version: int) -> Version | None:
        """That version, or None."""
        with self._database.read() as session:
            return session.get(Version, (task, version))

    def newest(self, task: str) -> Version:
        """The newest version. Raises NoModelYet."""
        with self._database.read() as session:
            return newest_version(session, task)

    def newest_numbers(self) -> Mapping[str, tuple[int, int | None]]:
        """By task: the newest version, and the newest whose distribution has begun."""
        told = {}
        with self._database.read() as session:
            # From task to task and from its end, by the key: there may be very many versions.
            task = session.scalar(select(func.min(Version.task)))
            while task is not None:
                newest = (
                    select(Version.version)
                    .where(Version.task == task)
                    .order_by(Version.version.desc())
                    .limit(1)
                )
                released = session.scalar(newest.where(Version.released))
                told[task] = (session.scalars(newest).one(), released)
                task = session.scalar(select(func.min(Version.task)).where(Version.task > task))
        return told

    def get(self, task: str, version: int) -> Version:
        """That version. Raises NotFound."""
        row = self.find(task, version) if version < 2**31 else None
        if row is None:
            raise NotFound(f"There is no version {version} of task {task}.")
        return row

    def page(self, task: str, limit: int, before: int | None = None) -> list[Version]:
        """Versions, newest first; with ``before``, only older ones."""
        query = (
            select(Version)
            .where(Version.task == task)
            .order_by(Version.version.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(Version.version < before)
        with self._database.read() as session:
            return [*session.scalars(query)]

    def round_of(self, row: Version) -> Round | None:
        """The round that made a version, without its updates; None where it was no round."""
        query = select(Round).where(Round.task == row.task, Round.version == row.version)
        with self._database.read() as session:
            return session.scalar(query.options(lazyload(Round.updates)))

    def release(self, task: str, version: int) -> None:
        """Let devices that were away fetch this version by themselves.

        On the disk with the end of its distribution, before which nothing is acknowledged.
        """
        with self._database.write(durable=False) as session:
            row = session.get(Version, (task, version))
            if row is not None and not row.released:
                row.released = True


def slots_beside(version: Path) -> Path:
    """The file of a version's slots, beside the version's own."""
    return version.with_suffix(SLOTS_SUFFIX)


def newest_promoted(session: Session, task: str) -> int | None:
    """The newest version that is an older one again, within a transaction; None: there is none."""
    return session.scalar(
        select(Version.version)
        .where(Version.task == task, Version.promoted_from.is_not(None))
        .order_by(Version.version.desc())
        .limit(1)
    )


def has_weights(row: Version | None) -> bool:
    """Whether a version was made, and its weights are kept."""
    return row is not None and row.pruned is None


def pruned(row: Version) -> VersionPruned:
    """What to tell who wants the weights of a version that are not kept any more."""
    return VersionPruned(
        f"The weights of version {row.version} of {row.task} are not kept any more: the task's "
        "settings (keep) say which are. GET /models tells which are there, GET /models/latest is "
        "the newest."
    )


def find_newest_version(session: Session, task: str) -> Version | None:
    """The newest version, within a transaction; None before there is one."""
    query = select(Version).where(Version.task == task).order_by(Version.version.desc()).limit(1)
    return session.scalar(query)


def newest_version(session: Session, task: str) -> Version:
    """The newest version, within a transaction. Raises NoModelYet."""
    row = find_newest_version(session, task)
    if row is None:
        raise rules.NoModelYet(
            f"No device has offered version 0 of {task} yet. Start a device that has pictures "
            f"of it, in dataset/<device>/{task}; the page's device table says what is wrong."
        )
    return row


def _given_up(row: Round) -> str:
    """What is given up with a round, in words."""
    told = f"round {row.number} is abandoned"
    if row.version is not None:
        return f"{told}, its version {row.version} does not go out"
    number = len(row.updates)
    if not number:
        return told
    return f"{told}, its {number} update{' does' if number == 1 else 's do'} not count"
