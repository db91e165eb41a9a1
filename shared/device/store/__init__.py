"""What a device keeps: tasks, the installed model and the pending update of each, its token."""

from shared.device.store.device_store import Store
from shared.device.store.part import FederationChanged
from shared.device.store.tasks import NoTaskYet, UnknownTask
from shared.device.store.updates import NothingToSend

__all__ = ["FederationChanged", "NoTaskYet", "NothingToSend", "Store", "UnknownTask"]
