"""What came of one round: its updates, and what devices measured of its version."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from main_server import rounds as rules
from main_server.store.evaluations import FederatedEvaluation
from main_server.store.rounds import Rounds
from main_server.store.tables import Evaluation, Round
from shared.federated.evaluation import Confusion, federated_confusion

#: How many shades of a confusion matrix there are besides none.
SHADES = 8


@dataclass(frozen=True)
class Cell:
    """One cell of a confusion matrix.

    Attributes:
        shade: 0 for no picture, up to SHADES for all pictures of the right class.
        is_right: whether the answered class is the right one.
    """

    count: int
    shade: int
    is_right: bool


@dataclass(frozen=True)
class RoundResults:
    """One round and what is known of its version.

    Attributes:
        devices: what each measured, by name.
        confusion: over all devices that told one; None where none did.
        reservation: what is missing, in a sentence; empty when nothing is.
    """

    row: Round
    evaluation: FederatedEvaluation | None
    devices: dict[str, Evaluation]
    confusion: Confusion | None
    reservation: str

    @classmethod
    def read(cls, rounds: Rounds, row: Round) -> "RoundResults":
        """What came of a round."""
        if row.version is None:
            why = "is open" if row.status == rules.OPEN else f"was {row.status}"
            return cls(row, None, {}, None, f"Round {row.number} {why}: it has no version.")
        told = rounds.device_evaluations(row.task, row.version)
        evaluation = rounds.evaluations(row.task, [row.version]).get(row.version)
        confusions = [
            [(cell[0], cell[1], cell[2]) for cell in each.confusion]
            for each in told
            if each.confusion is not None
        ]
        confusion = federated_confusion(confusions) if confusions else None
        devices = {each.device: each for each in told}
        return cls(row, evaluation, devices, confusion, _reservation(row, told))

    @cached_property
    def num_samples(self) -> dict[str, int]:
        """Of all updates of each device, by device."""
        told: Counter[str] = Counter()
        for update in self.row.updates:
            told[update.device] += update.num_samples
        return dict(told)

    @property
    def bytes_received(self) -> int:
        """Of all updates."""
        return sum(update.bytes for update in self.row.updates)

    @property
    def seconds(self) -> float | None:
        """From its beginning to its end; None while it is open."""
        return self.row.finished - self.row.started if self.row.finished else None

    def matrix(self, classes: int) -> list[list[Cell]]:
        """By right class, then by answered class; empty where there is no confusion."""
        if self.confusion is None:
            return []
        counts = [[0] * classes for _ in range(classes)]
        for right, answered, count in self.confusion:
            if max(right, answered) < classes:
                counts[right][answered] = count
        return [
            [
                Cell(count, -(-count * SHADES // sum(row)) if count else 0, answered == right)
                for answered, count in enumerate(row)
            ]
            for right, row in enumerate(counts)
        ]

    def mistakes(self, classes: int) -> dict[tuple[int, int], int] | None:
        """By right and answered class, how many pictures; None where there is no confusion."""
        if self.confusion is None:
            return None
        return {
            (right, answered): count
            for right, answered, count in self.confusion
            if right != answered and max(right, answered) < classes
        }


def _reservation(row: Round, told: Sequence[Evaluation]) -> str:
    silent = [each.device for each in told if each.confusion is None]
    if not told:
        return f"No device has measured version {row.version}."
    if len(silent) == len(told):
        return (
            f"Version {row.version} was measured before confusions were kept, or they are too "
            "large to be told: nothing is known of single classes."
        )
    if silent:
        names = ", ".join(silent)
        return f"What is told of single classes in version {row.version} is without {names}."
    return ""
