"""What all robust strategies share, and those that have to know how many updates are bad."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from shared.errors import FedbellError
from shared.federated.aggregation.state import Arrival, ServerState, with_samples
from shared.federated.aggregation.strategy import Kind, Strategy


class TooFewForStrategy(FedbellError):
    """Fewer updates than a strategy needs to stand as many bad ones as it is told to."""

    status = 409
    title = "Too few updates for the strategy"


class Robust(Strategy):
    """A rule that some bad updates cannot lead astray, whatever they hold.

    No update's word on how many pictures it has counts. Statistics of batch normalisation are
    combined as all other arrays are: a bad update could spoil the network through them, too.
    """

    kind: ClassVar[Kind] = "robust"
    combines_statistics = True

    def next(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """See :meth:`Strategy.next`. A device has one vote: its freshest update."""
        votes: dict[str, Arrival] = {}
        for arrival in arrivals:
            before = votes.get(arrival.update.device)
            if before is None or arrival.update.staleness <= before.update.staleness:
                votes[arrival.update.device] = arrival
        made = super().next(state, [*votes.values()], num_devices)
        return replace(made, kept=with_samples(state, arrivals))


class Tolerant(Robust):
    """A rule that is told how many bad updates it has to stand.

    Attributes:
        updates_for_each: with f bad ones it needs so many times f updates, and three more.
    """

    updates_for_each: ClassVar[int]

    byzantine: int | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="f: how many bad updates it has to stand. Krum and Multi-Krum then need "
        "2·f + 3 updates, Bulyan 4·f + 3. Left out: as many as it can.",
    )

    def least_updates(self) -> int:
        """See :meth:`Strategy.least_updates`."""
        return 1 if self.byzantine is None else self.updates_for_each * self.byzantine + 3

    def tolerated(self, came: int) -> int:
        """f, of so many updates that came. Raises TooFewForStrategy."""
        if self.byzantine is None:
            return max(0, (came - 3) // self.updates_for_each)
        needed = self.least_updates()
        if came < needed:
            raise TooFewForStrategy(
                f"{self.title} with byzantine = {self.byzantine} needs at least {needed} updates, "
                f"and {came} are here. Let rounds wait for more (min_updates), choose a smaller "
                "byzantine, or another strategy: it is used at once.",
                needed=needed,
                updates=came,
            )
        return self.byzantine
