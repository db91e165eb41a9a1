"""What has to hold of a federation at every moment."""

import hashlib
from pathlib import Path
from typing import Any

from shared.federated.weights import open_weights
from tests.federation import Federation
from tests.server import Server


class Undisturbed:
    """A federation like the one that is killed, which nobody kills: how it ought to be."""

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._hashes = federation.versions()
        self._rounds: list[dict[str, Any]] = []

    def hashes(self, newest: int) -> dict[int, str]:
        """The SHA-256 of each version up to ``newest``."""
        while max(self._hashes) < newest:
            self._federation.main.do("/run_rounds", {"rounds": 1})
            self._hashes = self._federation.versions()
            self._rounds = self._federation.rounds()
        return {number: each for number, each in self._hashes.items() if number <= newest}

    def metrics(self, number: int) -> Any:
        """What each device said of its training in a round."""
        return {device: update["metrics"] for device, update in self._updates(number).items()}

    def samples(self, number: int) -> dict[str, int]:
        """How many pictures each device trained on in a round."""
        updates = self._updates(number)
        return {device: update["num_samples"] for device, update in updates.items()}

    def _updates(self, number: int) -> Any:
        self.hashes(number)
        return self._rounds[number - 1]["updates"]


class Ledger:
    """What the main server has acknowledged; nothing of it may be lost or change."""

    def __init__(self, federation: Federation) -> None:
        self.versions = federation.versions()
        self.rounds = {row["number"]: _told(federation, row) for row in federation.rounds()}

    def check_kept(self, now: "Ledger") -> None:
        """Whether all of this is in ``now`` too."""
        assert self.versions.items() <= now.versions.items()
        for number, row in self.rounds.items():
            after = now.rounds[number]
            assert row["updates"].items() <= after["updates"].items()
            assert row["evaluations"].items() <= after["evaluations"].items()
            if row["version"] is not None:
                assert row["version"] == after["version"]
                assert row["updates"] == after["updates"], "a closed round grew"


def _told(federation: Federation, row: dict[str, Any]) -> dict[str, Any]:
    more = federation.main.get(f"/rounds/{row['number']}")
    return row | {"evaluations": more["evaluations"]}


def check_main_server(federation: Federation, undisturbed: Undisturbed) -> None:
    """Whether versions and rounds follow one another, and are what they should be."""
    versions, rounds = federation.versions(), federation.rounds()
    assert sorted(versions) == list(range(len(versions)))
    assert versions == undisturbed.hashes(max(versions))
    for number, told in versions.items():
        content = federation.main.http.get(f"/models/{number}").content
        assert hashlib.sha256(content).hexdigest() == told
    made = [row["version"] for row in rounds if row["version"] is not None]
    assert made == list(range(1, len(versions)))
    assert [row["number"] for row in rounds] == list(range(1, len(rounds) + 1))
    for row in rounds:
        samples = {name: each["num_samples"] for name, each in row["updates"].items()}
        metrics = {name: each["metrics"] for name, each in row["updates"].items()}
        due, told = undisturbed.samples(row["number"]), undisturbed.metrics(row["number"])
        if row["version"] is None:
            assert samples.items() <= due.items()
        else:
            assert (samples, metrics) == (due, told)
            assert row["version"] == row["base_version"] + 1
    check_files(federation, rounds)


def check_files(federation: Federation, rounds: list[dict[str, Any]]) -> None:
    """Whether every file of the main server is whole, and an open round has all of its own."""
    for file in (federation.main.state / "models").rglob("*.safetensors"):
        with open_weights(file) as weights:
            weights.check_finite()
    for row in rounds:
        folder = federation.main.state / "updates" / row["task"] / str(row["number"])
        if row["version"] is None:
            for device in row["updates"]:
                for file in folder.glob(f"{device}-*.safetensors"):
                    name = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
                    assert file.name == f"{device}-{name}.safetensors"
                assert list(folder.glob(f"{device}-*.safetensors"))


def _files(device: Server, folder: str) -> tuple[list[Path], list[Path]]:
    """The files with weights in a device's folder, and those with what a strategy keeps."""
    weights: list[Path] = []
    slots: list[Path] = []
    for file in (device.state / folder).iterdir():
        with open_weights(file) as opened:
            (slots if all(":" in name for name in opened) else weights).append(file)
    return weights, slots


def check_device(device: Server, federation: Federation) -> None:
    """Whether a device holds whole files and no others, and knows what it has sent."""
    task = device.get("/status")["tasks"]["shades"]
    rounds = federation.rounds()
    models, sent = _files(device, "models")
    updates, kept = _files(device, "updates")
    assert (len(models), len(updates)) == (1, int(task["pending"] is not None))
    if "scaffold" in federation.tasks:
        # Before the last training, and of it; what came with the version, unless it is the first.
        assert len(kept) == min(2, len(rounds))
        assert len(sent) == (task["version"] > 0)
    else:
        assert not kept + sent
    with open_weights(models[0]) as model:
        assert int(model.metadata["version"]) == task["version"]
    if task["pending"]:
        with open_weights(updates[0]) as update:
            assert int(update.metadata["base_version"]) == task["pending"]["base_version"]
        if task["pending"]["sent"]:
            bases = {row["base_version"]: row for row in rounds}
            assert device.name in bases[task["pending"]["base_version"]]["updates"]
    for folder in ("models", "updates", "incoming"):
        hidden = [file for file in (device.state / folder).iterdir() if file.name[0] == "."]
        assert not hidden, "left by a write that a kill broke off"
