"""What every strategy is: parameters, a paper, and how updates become the next version."""

import hashlib
import inspect
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from shared.errors import FedbellError
from shared.federated.aggregation.state import Arrival, ServerState, with_samples
from shared.federated.aggregation.streams import mean
from shared.federated.names import is_trained
from shared.federated.update import UpdateFact
from shared.federated.weights import Schema, Weights, joined, part, with_slots

Kind = Literal["average", "server optimiser", "robust", "personal"]

_ARXIV = re.compile(r"\barXiv:(\d{4}\.\d{4,5})\b")


class NothingShared(FedbellError):
    """A strategy that leaves every array of the network on the devices."""

    status = 409
    title = "The strategy leaves nothing to combine"


class NothingStays(FedbellError):
    """A personal strategy that leaves no array of the network on the devices."""

    status = 409
    title = "The strategy leaves nothing on the devices"


class Strategy(BaseModel, ABC):
    """How a round's updates become the next version. Its fields are its parameters.

    A subclass says in its docstring what it does, with the formula and its paper, and has one
    method to write: :meth:`combine`.

    Attributes:
        name: what a task gives as its ``strategy``.
        title: what people call it.
        paper: authors, year, and where it is to be found.
        combines_statistics: :meth:`combine` is given all arrays. Otherwise the trained ones alone,
            and the others are averaged.
        counts_unchanged: a device that sent nothing may count as one that changed nothing.
        needs: what an update's header has to tell of its training.
        carries: the slots that an update brings besides weights.
        sends: the slots of the state that devices are given with a version.
        keeps: what a device keeps of it from round to round, in words; empty: nothing.
        owes: what top_k leaves out of an update is added to the next one. Not where what devices
            keep brings it along by itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    kind: ClassVar[Kind]
    combines_statistics: ClassVar[bool] = False
    counts_unchanged: ClassVar[bool] = False
    needs: ClassVar[tuple[UpdateFact, ...]] = ()
    carries: ClassVar[tuple[str, ...]] = ()
    sends: ClassVar[tuple[str, ...]] = ()
    keeps: ClassVar[str] = ""
    owes: ClassVar[bool] = True

    @abstractmethod
    def combine(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """The next weights, and the slots that go with them.

        Args:
            state: the global model, and the slots that this strategy gave it.
            arrivals: at least one, in order of device.
            num_devices: how many take part in the task, at least as many as have sent.

        Returns:
            Weights of the same schema, computed as they are read.
        """

    @property
    def takes_any_update(self) -> bool:
        """Whether it can combine updates that were trained for FedAvg."""
        return not (self.needs or self.carries or self.keeps)

    def least_updates(self) -> int:
        """With fewer updates it makes no version."""
        return 1

    def stays(self, array: str) -> bool:
        """Whether an array stays on its device: it is in no update, and no round changes it."""
        return False

    @property
    def key(self) -> str:
        """The name, and what tells other parameters from these; an update says it."""
        if self == type(self)():
            return self.name
        parameters = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return f"{self.name}-{hashlib.sha256(parameters.encode()).hexdigest()[:8]}"

    def update_schema(self, schema: Schema) -> Schema:
        """What an update has of a network of some schema; its slots are named SLOT:ARRAY."""
        shared = [(name, shape) for name, shape in schema.shapes if not self.stays(name)]
        carried = [
            (f"{slot}:{name}", shape)
            for slot in self.carries
            for name, shape in shared
            if is_trained(name)
        ]
        return Schema(tuple(sorted([*shared, *carried])))

    def check_network(self, schema: Schema) -> None:
        """Raise NothingShared or NothingStays where the strategy makes no sense for a network."""
        self.check_shares(schema)

    def check_shares(self, schema: Schema) -> None:
        """Raise NothingShared where no trained array of a network would be combined."""
        names = [name for name, _ in schema.shapes if is_trained(name)]
        if all(self.stays(name) for name in names):
            raise NothingShared(
                f"{self.title} would leave all of the network on the devices: {', '.join(names)}. "
                "Choose other layers, or let the task train more (trainable)."
            )

    def next(
        self, state: ServerState, arrivals: Sequence[Arrival], num_devices: int
    ) -> ServerState:
        """The state after a round.

        The order in which updates arrived changes no bit.

        Args:
            arrivals: at least one; their updates have the schema of :meth:`update_schema`.

        Raises:
            SchemaMismatch: an update, its base, or a slot has another schema.
            NothingShared
            TooFewForStrategy: this strategy cannot do with so few.
        """
        schema = Schema.of(state.weights)
        self.check_shares(schema)
        shared = [name for name, _ in schema.shapes if not self.stays(name)]
        combined = shared if self.combines_statistics else [*filter(is_trained, shared)]
        came = self._in_order(arrivals, schema)
        # A device may have sent twice, from two versions: what came late counts too.
        devices = {arrival.update.device for arrival in came}
        made = self.combine(state.of(combined), _of(came, combined), max(num_devices, len(devices)))
        averaged = [name for name in shared if name not in combined]
        kept = [name for name, _ in schema.shapes if self.stays(name)]
        weights = joined(
            made.weights,
            mean([arrival.update.of(averaged).weights for arrival in came], by_samples(came)),
            part(state.weights, kept),
        )
        return ServerState(weights, with_samples(state, arrivals), made.slots)

    def _in_order(self, arrivals: Sequence[Arrival], schema: Schema) -> list[Arrival]:
        """Checked, and in order of device name; those of one device in the order given."""
        sent = self.update_schema(schema)
        for arrival in arrivals:
            schema.check(Schema.of(arrival.base))
            sent.check(with_slots(arrival.update.weights, arrival.update.carried).schema)
        return sorted(arrivals, key=lambda arrival: arrival.update.device)

    @classmethod
    def described(cls) -> dict[str, Any]:
        """What people are told of it, ready for JSON."""
        properties = cls.model_json_schema().get("properties", {})
        return {
            "name": cls.name,
            "title": cls.title,
            "kind": cls.kind,
            "paper": cls.paper,
            "link": link_of(cls.paper),
            **told_in(cls.__doc__),
            "carries": list(cls.carries),
            "keeps": cls.keeps,
            "parameters": [described_field(name, told) for name, told in properties.items()],
        }


def link_of(paper: str) -> str | None:
    """Where a paper is to be read; None: what is told of it names no such place."""
    found = _ARXIV.search(paper)
    return f"https://arxiv.org/abs/{found[1]}" if found else None


def told_in(docstring: str | None) -> dict[str, str]:
    """The summary of a docstring, and the explanation after it up to its sections, if any."""
    summary, _, rest = inspect.cleandoc(docstring or "").partition("\n")
    explanation = re.split(r"\n\n\w+:\n", rest)[0]
    return {"summary": summary, "explanation": explanation.strip()}


def described_field(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """What people are told of a parameter: its name, and what its JSON schema says."""
    return {"name": name, **{key: schema[key] for key in schema if key != "title"}}


def by_samples(arrivals: Sequence[Arrival]) -> list[float]:
    """By how much each counts: its number of samples, less for its staleness."""
    return [arrival.update.num_samples * arrival.update.weight for arrival in arrivals]


def weights_of(arrivals: Sequence[Arrival]) -> list[Weights]:
    """What each has sent."""
    return [arrival.update.weights for arrival in arrivals]


def _of(arrivals: Sequence[Arrival], names: Sequence[str]) -> list[Arrival]:
    """The same of some arrays; bases that were one object are one again."""
    bases: dict[int, Weights] = {}
    for arrival in arrivals:
        if id(arrival.base) not in bases:
            bases[id(arrival.base)] = part(arrival.base, names)
    return [Arrival(arrival.update.of(names), bases[id(arrival.base)]) for arrival in arrivals]
