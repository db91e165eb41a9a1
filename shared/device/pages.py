"""The device's page. Plain forms and server-rendered state: it works without JavaScript."""

from typing import Any

from apiflask import APIBlueprint
from flask import render_template

from shared.device.device import Device
from shared.web.events import newest_events

_EVENTS_SHOWN = 10

#: The steps under the names that people know them by, in order.
STEPS = {
    "modeltrain": "Model Training (Locally)",
    "sendmodel": "Send Model to Federated Server",
    "aggmodel": "Install the newest global model",
}


def blueprint(device: Device) -> APIBlueprint:
    """``GET /``."""
    pages = APIBlueprint("pages", __name__, enable_openapi=False, template_folder="templates")

    @pages.get("/")
    def page() -> str:
        status = device.overview.status()
        trained = {
            name: row.result
            for name in status["tasks"]
            if (row := device.store.pending(name)) is not None
        }
        return render_template(
            "device.html",
            status=status,
            trained=trained,
            steps=STEPS,
            busy=any(task["job"] for task in status["tasks"].values()),
            unsettled=not status["tasks"] or not status["main_server"]["reachable"],
            events=newest_events(device.store.database, _EVENTS_SHOWN),
        )

    pages.add_app_template_filter(next_step)
    return pages


def next_step(task: dict[str, Any]) -> str | None:
    """The step of a task that sensibly comes next here; None while something hinders it."""
    if not task["can_train"]:
        return None
    pending = task["pending"]
    waits = pending and not pending["sent"] and pending["base_version"] == task["version"]
    return "sendmodel" if waits else "modeltrain"
