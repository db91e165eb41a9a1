"""How Gunicorn's threads are kept from clients that dawdle; see docs/hostile_input.md."""

from shared.web.serving.limits import Limits
from shared.web.serving.worker import PatientWorker

__all__ = ["Limits", "PatientWorker"]
