"""The devices of one task as pages show them: what each last said, and whether it is there."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from main_server.server import MainServer
from shared.federated.activity import Activity


@dataclass(frozen=True)
class Participant:
    """A device that knows the task. Times are seconds since 1970.

    Attributes:
        version: the one it has installed.
        problem: why it cannot take part.
        reservation: what it cannot do although it takes part.
        activity: what it is at, as long as it is there to tell.
        comes_by_itself: nobody can call it.
        failures: in how many rounds in a row it was asked and gave no update.
        rests_until: the number of the first round that asks it again; None: it is not rested.
    """

    name: str
    page_url: str | None
    is_online: bool
    last_seen: float
    num_samples: int
    version: int | None
    problem: str | None
    reservation: str | None
    activity: Activity | None
    comes_by_itself: bool = False
    failures: int = 0
    rests_until: int | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it can take a step now."""
        return self.is_online and self.num_samples > 0 and not self.problem

    @property
    def left_out(self) -> str | None:
        """Why it takes no part, in a sentence; None when it does."""
        if self.num_samples:
            return None
        return self.problem or "It has no training picture of this task."


def participants(server: MainServer, task: str) -> list[Participant]:
    """The devices that know ``task``, by name."""
    told = []
    for name, (device, row) in server.devices.with_task(task).items():
        is_online = server.is_online(device.last_seen)
        told.append(
            Participant(
                name=name,
                page_url=device.page_url,
                is_online=is_online,
                last_seen=device.last_seen,
                num_samples=row.num_samples,
                version=row.version,
                problem=row.problem,
                reservation=row.reservation,
                activity=_activity(row.activity) if is_online else None,
                comes_by_itself=device.url is None,
                failures=row.failures,
                rests_until=row.rests_until,
            )
        )
    return told


def _activity(told: dict[str, Any] | None) -> Activity | None:
    if told is None:
        return None
    try:
        return Activity.model_validate(told)
    except ValidationError:  # kept by another version of this server
        return None
