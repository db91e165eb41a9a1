"""Which strategy made a version, and what it keeps beside the weights."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from main_server.store.tables import Version
from shared.federated.aggregation import STRATEGIES, Strategy


class MadeBy(BaseModel):
    """What a version's row tells of the strategy that made it.

    Attributes:
        strategy, parameters: its name, and its parameters.
        began: the version from which it has made one after the other; what it keeps, on the main
            server and on devices, goes back to there.
        slots: the SHA-256, in hex, of the file of its slots; None: it keeps none.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    strategy: str
    parameters: dict[str, Any]
    began: int
    slots: str | None = None

    @property
    def sends(self) -> bool:
        """Whether devices are given the slots with the version."""
        rule = STRATEGIES.get(self.strategy)
        return bool(self.slots and rule and rule.sends)

    @property
    def is_shared_with_devices(self) -> bool:
        """Whether what the main server keeps belongs to what devices keep."""
        rule = STRATEGIES.get(self.strategy)
        return bool(self.slots and rule and rule.keeps)

    def metadata(self) -> dict[str, str]:
        """What the version's file tells devices of it."""
        told = {"strategy": self.strategy, "began": str(self.began)}
        return told | ({"sent": self.slots} if self.slots and self.sends else {})


def made_by(row: Version) -> MadeBy | None:
    """Which strategy made a version; None: none did."""
    return MadeBy.model_validate(row.made_by) if row.made_by is not None else None


def following(rule: Strategy, base: Version) -> MadeBy:
    """What is told of the version that a strategy makes of another one, but for its slots."""
    before = made_by(base)
    goes_on = before is not None and before.strategy == rule.name
    return MadeBy(
        strategy=rule.name,
        parameters=rule.model_dump(mode="json"),
        began=before.began if before is not None and goes_on else base.version,
    )
