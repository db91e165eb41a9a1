"""The control page. Plain forms and server-rendered state: it works without JavaScript."""

import time
from typing import Any

from apiflask import APIBlueprint
from flask import redirect, render_template
from werkzeug.wrappers import Response

from main_server.list_calls import devices_as_json, rounds_as_json
from main_server.rounds import next_step
from main_server.schemas import PageQuery
from main_server.server import MainServer
from shared.web.events import newest_events

_ROUNDS_SHOWN = 20
_EVENTS_SHOWN = 15

#: The steps under the names that people know them by, in order.
STEPS = {
    "modeltrain": "Model Training (Locally)",
    "sendmodel": "Send Model to Federated Server",
    "aggregate_models": "Aggregate Local Models",
    "send_model_clients": "Send Aggregated Models to Federated Clients",
}


def blueprint(server: MainServer) -> APIBlueprint:
    """``GET /`` and the forms that only the page has."""
    pages = APIBlueprint("pages", __name__, enable_openapi=False)

    @pages.get("/")
    @pages.input(PageQuery, location="query")
    def control_page(query_data: PageQuery) -> str:
        task = server.task(query_data.task)
        devices = devices_as_json(server, task.name)
        rows = server.rounds.page(task.name, _ROUNDS_SHOWN, query_data.before)
        newest = server.rounds.newest(task.name)
        jobs = server.jobs.recent(task.name, limit=1)
        job = jobs[0] if jobs else None
        model = server.versions.newest_numbers().get(task.name)
        return render_template(
            "control.html",
            tasks=list(server.tasks),
            task=task,
            devices=devices,
            rounds=rounds_as_json(server, rows),
            older=rows[-1].number if len(rows) == _ROUNDS_SHOWN else None,
            steps=STEPS,
            next_step=next_step(
                newest.status if newest else None,
                [update.device for update in newest.updates] if newest else [],
                [
                    device["name"]
                    for device in devices
                    if device["online"] and not device["tasks"][task.name]["problem"]
                ],
            ),
            version=model[0] if model else None,
            job=job,
            running=job is not None and job.status == "running",
            events=newest_events(server.database, _EVENTS_SHOWN, task.name),
        )

    @pages.post("/devices/<device>/forget")
    def forget_device(device: str) -> Response:
        server.devices.forget(device)
        return redirect("/", code=303)

    @pages.app_template_filter("ago")
    def ago(moment: float) -> str:
        seconds = max(0, round(time.time() - moment))
        for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
            if seconds >= size:
                number = seconds // size
                return f"{number} {unit}{'s' if number > 1 else ''} ago"
        return f"{seconds} s ago"

    @pages.app_template_filter("clock")
    def clock(moment: float) -> str:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))

    @pages.app_template_filter("percent")
    def percent(fraction: float) -> str:
        return f"{fraction * 100:.1f} %"

    @pages.app_template_filter("kilobytes")
    def kilobytes(number: int) -> str:
        return f"{number / 1000:,.1f} kB"

    @pages.app_template_filter("failures")
    def failures(result: dict[str, Any] | None) -> dict[str, str]:
        devices = (result or {}).get("devices", {})
        return {name: told["error"]["detail"] for name, told in devices.items() if "error" in told}

    return pages
