"""A main server and a learner in memory, for the client's loop; and a kill at a chosen moment."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from shared.device.client.learner import training_seed
from shared.device.client.learning import OnEpoch, OnLook
from shared.device.connection import MainServerAway
from shared.device.greeting import Greeting
from shared.device.main_server_client import Download
from shared.device.remote import RemoteProblem
from shared.federated.task import Task, TrainingSettings
from shared.federated.update import UpdateHeader
from shared.federated.weights import Schema, open_weights, read_weights, write_weights
from shared.learning.local.kept import Files

BACKBONE = "0" * 64
FINGERPRINT = Schema((("w", (2,)),)).fingerprint(BACKBONE)
CHUNK = 10


class Killed(BaseException):
    """The process ended here."""


class Fate:
    """Kills at moment number ``at``; 0 never does."""

    def __init__(self, at: int = 0) -> None:
        self.at, self.moments = at, 0

    def moment(self) -> None:
        """One at which a process may be killed."""
        self.moments += 1
        if self.moments == self.at:
            raise Killed


class FakeMainServer:
    """Makes a version of each update that comes, or of each ``needs`` of them.

    Attributes:
        needs: how many updates make a version.
        waiting: the weights of those that have not made one yet.
        accepted: updates that count, in order.
        versions: the number w[0] of each version's weights.
        strategy: what comes with a version of what it is to be trained for.
        fails: called before each call; raises what goes wrong.
    """

    def __init__(self, directory: Path, task: Task) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.task = task
        self.federation = "first"
        self.accepted: list[bytes] = []
        self.versions: list[Path] = []
        self.fate = Fate()
        self.fails: Callable[[str], None] = lambda _call: None
        self.asks = True
        self.strategy: str | None = None
        self.calls: list[str] = []
        self.needs = 1
        self.waiting: list[dict[str, Any]] = []

    def go_back(self, versions: int, accepted: int) -> None:
        """As from a backup of the time when there were so many versions and updates."""
        del self.versions[versions:], self.accepted[accepted:], self.waiting[:]

    def tell(self, _status: dict[str, Any]) -> Greeting:
        """See MainServer."""
        self._call("tell")
        newest = len(self.versions) - 1 if self.versions else None
        offer = {
            "task": self.task.model_dump(mode="json"),
            "version": newest,
            "distributed_version": newest,
            "round": {"number": 7, "asked": self.asks, "sent": bool(self.waiting)},
        }
        return Greeting.model_validate(
            {
                "federation": self.federation,
                "heartbeat_seconds": 1,
                "tasks": {self.task.name: offer},
            }
        )

    def download(self, _task: str, _version: int | None, etag: str, target: Path) -> Download:
        """See MainServer."""
        self._call("download")
        if not self.versions:
            raise RemoteProblem({"type": "urn:fedbell:problem:not-found", "status": 404})
        content = self.versions[-1].read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 == etag:
            return Download(None, self.strategy)
        target.write_bytes(content)
        self.fate.moment()
        return Download(sha256, self.strategy)

    def offer(self, _task: str, file: Path) -> None:
        """See MainServer."""
        self._call("offer")
        if not self.versions:
            self._make(read_weights(file))
        self.fate.moment()

    def send(self, _task: str, content: BinaryIO) -> dict[str, Any]:
        """See MainServer."""
        self._call("send")
        body = content.read()
        if body not in self.accepted:
            file = self.directory / "update"
            file.write_bytes(body)
            with open_weights(file) as opened:
                header = UpdateHeader.parse(opened.metadata)
                weights = dict(opened)
            self._check_base(header)
            self.accepted.append(body)
            self.waiting.append(weights)
            if len(self.waiting) >= self.needs:
                self.end_round()
        self.fate.moment()
        return {"round": len(self.accepted)}

    def end_round(self) -> None:
        """Make a version of what is here."""
        self._make(self.waiting[-1])
        self.waiting.clear()

    def _check_base(self, header: UpdateHeader) -> None:
        base, newest = header.base_version, len(self.versions) - 1
        kind = None
        if base > newest or (self.task.mode == "sync" and base != newest):
            kind = "stale-update"
        elif header.base_sha256 != hashlib.sha256(self.versions[base].read_bytes()).hexdigest():
            kind = "other-base"
        if kind:
            raise RemoteProblem({"type": kind, "status": 409, "detail": "Another version."})

    def headers(self) -> list[UpdateHeader]:
        """Of the updates that count."""
        return [header_of(body, self.directory / "update") for body in self.accepted]

    def _call(self, name: str) -> None:
        self.calls.append(name)
        self.fails(name)
        self.fate.moment()

    def _make(self, weights: dict[str, Any]) -> None:
        number = len(self.versions)
        file = self.directory / f"{self.federation}-{number}"
        metadata = {
            "task": self.task.name,
            "version": str(number),
            "fingerprint": FINGERPRINT,
            "federation": self.federation,
        }
        write_weights(file, weights, metadata)
        self.versions.append(file)


def header_of(body: bytes, file: Path) -> UpdateHeader:
    """An update's header; ``file`` is written over."""
    file.write_bytes(body)
    with open_weights(file) as opened:
        return UpdateHeader.parse(opened.metadata)


class FakeLearner:
    """What it learns is a function of where it starts, the chunk and the seed."""

    fingerprint, backbone, num_samples = FINGERPRINT, BACKBONE, 3 * CHUNK

    def __init__(self, task: Task, fate: Fate) -> None:
        self._task = task
        self._fate = fate

    def write_initial(self, file: Path) -> None:
        """See Learning."""
        write_weights(file, {"w": np.ones(2, np.float32)})

    def train(
        self,
        task: Task,
        files: Files,
        chunks: dict[int, int],
        chunk: int,
        settings: TrainingSettings,
        base_version: int,
        base_sha256: str | None,
        sequence: int,
        on_epoch: OnEpoch,
        on_look: OnLook,
        should_stop: Callable[[], bool],
    ) -> dict[int, int]:
        """See Learning."""
        assert not should_stop()
        self._fate.moment()
        random = np.random.default_rng(training_seed(self._task, "alice", sequence))
        weights = read_weights(files.start)["w"] / 2 + chunk + random.random(2, np.float32)
        on_look(0.5, 1.0, 0.5)
        on_epoch(1, {"loss": 1.0, "accuracy": 0.5})
        learned = chunks | {chunk: CHUNK}
        header = UpdateHeader(
            task=self._task.name,
            device="alice",
            base_version=base_version,
            num_samples=sum(learned.values()),
            metrics={"loss": 1.0},
            sequence=sequence,
            base_sha256=base_sha256,
            fingerprint=FINGERPRINT,
        )
        write_weights(files.update, {"w": weights.astype(np.float32)}, header.as_metadata())
        self._fate.moment()
        return learned


def away() -> MainServerAway:
    """What a call raises while nobody answers."""
    return MainServerAway("The main server cannot be reached.")
