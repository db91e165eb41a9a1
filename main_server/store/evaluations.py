"""How well versions did: what devices told, and their mean over all test pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from main_server.store.tables import Evaluation
from shared.federated.evaluation import DeviceEvaluation


@dataclass(frozen=True)
class FederatedEvaluation:
    """The devices' evaluations of one version, averaged by their numbers of test samples.

    Attributes:
        personal_accuracy: the same with the layers that stay on each device, over those that have
            some; None where none has.
    """

    accuracy: float
    loss: float
    num_samples: int
    personal_accuracy: float | None = None

    @property
    def accuracy_in_use(self) -> float:
        """That of what devices answer with: with their own layers, where there are some."""
        return self.accuracy if self.personal_accuracy is None else self.personal_accuracy

    def as_json(self) -> dict[str, float | int]:
        """Ready for JSON."""
        told = {"accuracy": self.accuracy, "loss": self.loss, "num_samples": self.num_samples}
        personal = self.personal_accuracy
        return told if personal is None else told | {"personal_accuracy": personal}


def note_evaluation(
    session: Session, task: str, version: int, device: str, evaluation: DeviceEvaluation
) -> None:
    """Keep how well a version did on a device; said twice, it counts once.

    Said again without its confusion, which is large, it keeps the one it has.
    """
    row = session.get(Evaluation, (task, version, device))
    if row is None:
        row = Evaluation(task=task, version=version, device=device)
        session.add(row)
    told = evaluation.model_dump(mode="json")
    confusion = told.pop("confusion")
    if confusion is not None or any(getattr(row, name) != told[name] for name in told):
        row.confusion = confusion
    for name, value in told.items():
        setattr(row, name, value)


def federated_evaluations(
    session: Session, task: str, versions: Sequence[int | None]
) -> dict[int, FederatedEvaluation]:
    """The federated evaluation of each of ``versions`` that a device has evaluated."""
    weight = Evaluation.num_samples
    query = (
        select(
            Evaluation.version,
            func.sum(Evaluation.accuracy * weight),
            func.sum(Evaluation.loss * weight),
            func.sum(weight),
            func.sum(Evaluation.personal_accuracy * weight),
            func.sum(case((Evaluation.personal_accuracy.is_not(None), weight))),
        )
        .where(Evaluation.task == task, Evaluation.version.in_(versions))
        .group_by(Evaluation.version)
    )
    return {
        version: FederatedEvaluation(
            accuracy / total, loss / total, total, personal / measured if measured else None
        )
        for version, accuracy, loss, total, personal, measured in session.execute(query)
    }
