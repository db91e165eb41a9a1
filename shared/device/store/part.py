"""What all parts of a device's store have: its database and its folder."""

from pathlib import Path

from sqlalchemy.orm import Session

from shared.device.tables import Fact
from shared.errors import FedbellError
from shared.web.database import Database

FEDERATION = "federation"


class FederationChanged(FedbellError):
    """The main server began anew while something of the former federation was at work."""

    status = 409
    title = "The federation changed meanwhile"


class Part:
    """A part of the store.

    Args:
        directory: the device's state.
        database: in it.
        device: its name, for the event log.
    """

    def __init__(self, directory: Path, database: Database, device: str) -> None:
        self.directory = directory
        self.database = database
        self._device = device


def federation_of(session: Session) -> str | None:
    """The federation that models and updates here belong to."""
    fact = session.get(Fact, FEDERATION)
    return fact.value if fact else None


def check_federation(session: Session, federation: str) -> None:
    """Raise FederationChanged if it is another one by now."""
    if federation_of(session) != federation:
        raise FederationChanged(
            "The main server began a new federation meanwhile, so this is of no use "
            "to it any more. Do the step again."
        )
