"""How well one version of the global model did on one device's own test pictures."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.federated.update import MOST_SAMPLES

#: Non-zero cells of a confusion that a device tells; one that has more tells none.
MOST_CELLS = 10_000

_ClassIndex = Annotated[int, Field(ge=0, le=999)]
_Count = Annotated[int, Field(ge=1, le=MOST_SAMPLES)]

#: Index of the right class, index of the answered class, number of pictures (at least one).
Cell = tuple[_ClassIndex, _ClassIndex, _Count]
#: Cells by right and then by answered class; what is not there is 0.
Confusion = list[Cell]


class DeviceEvaluation(BaseModel):
    """What a device tells of a version: numbers about its pictures, never the pictures."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    #: Fraction of the test pictures that were classified rightly.
    accuracy: float = Field(ge=0, le=1)
    #: Mean cross entropy, in nats.
    loss: float = Field(ge=0, allow_inf_nan=False)
    num_samples: int = Field(ge=1, le=MOST_SAMPLES)
    #: The same with the layers that stay on the device; None where none do, or it has none yet.
    personal_accuracy: float | None = Field(default=None, ge=0, le=1)
    personal_loss: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    #: Which classes were taken for which; None where it is too large, or nobody counted.
    confusion: Confusion | None = Field(default=None, max_length=MOST_CELLS)

    @model_validator(mode="after")
    def _confusion_counts_each_picture_once(self) -> Self:
        if self.confusion is None:
            return self
        places = [(right, answered) for right, answered, _ in self.confusion]
        if places != sorted(set(places)):
            raise ValueError("the cells of confusion are not sorted, or one is there twice")
        counted = sum(count for _, _, count in self.confusion)
        if counted != self.num_samples:
            raise ValueError(f"confusion counts {counted} pictures, not {self.num_samples}")
        return self


def federated_confusion(confusions: Iterable[Confusion]) -> Confusion:
    """The confusion over the pictures of several devices: cell by cell their sum."""
    sums: Counter[tuple[int, int]] = Counter()
    for confusion in confusions:
        for right, answered, count in confusion:
            sums[right, answered] += count
    return [(right, answered, count) for (right, answered), count in sorted(sums.items())]


def recalls(confusion: Confusion, classes: int) -> list[float | None]:
    """Of each class the fraction of its pictures that were answered rightly.

    Args:
        classes: how many there are; cells of other classes are left out.

    Returns:
        One number a class; None for a class without pictures.
    """
    pictures, found = [0] * classes, [0] * classes
    for right, answered, count in confusion:
        if right < classes:
            pictures[right] += count
            found[right] += count if right == answered else 0
    return [hit / count if count else None for hit, count in zip(found, pictures, strict=True)]
