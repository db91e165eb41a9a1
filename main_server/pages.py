"""The control page. Plain forms and server-rendered state: it works without JavaScript."""

from collections.abc import Sequence
from typing import Any

from apiflask import APIBlueprint
from flask import redirect, render_template, url_for
from werkzeug.wrappers import Response

from main_server.list_calls import devices_as_json, rounds_as_json
from main_server.rounds import OPEN, next_step
from main_server.schemas import PageQuery, TaskQuery
from main_server.server import MainServer
from shared.web.events import newest_events
from shared.web.jobs import Job

_ROUNDS_SHOWN = 20
_EVENTS_SHOWN = 15
_JOBS_LOOKED_AT = 20

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
        ready = [
            device["name"]
            for device in devices
            if device["online"] and not device["tasks"][task.name]["problem"]
        ]
        rows = server.rounds.page(task.name, _ROUNDS_SHOWN, query_data.before)
        newest = server.rounds.newest(task.name)
        status = newest.status if newest else None
        sent = [update.device for update in newest.updates] if newest else []
        version = server.versions.newest_numbers().get(task.name, (None,))[0]
        job = _job_to_show(server.jobs.recent(task.name, _JOBS_LOOKED_AT))
        return render_template(
            "control.html",
            tasks=list(server.tasks),
            task=task,
            devices=devices,
            ready=ready,
            rounds=rounds_as_json(server, rows),
            round_is_open=status == OPEN,
            older=rows[-1].number if len(rows) == _ROUNDS_SHOWN else None,
            steps=STEPS,
            next_step=next_step(status, sent, ready) if ready and version is not None else None,
            version=version,
            evaluations=server.rounds.evaluations(task.name, [0, version]),
            job=job,
            running=job is not None and job.status == "running",
            events=newest_events(server.database, _EVENTS_SHOWN, task.name),
        )

    @pages.post("/devices/<device>/forget")
    @pages.input(TaskQuery, location="query")
    def forget_device(device: str, query_data: TaskQuery) -> Response:
        server.forget(device)
        return redirect(url_for("pages.control_page", task=query_data.task), code=303)

    pages.add_app_template_filter(failures)
    pages.add_app_template_filter(rounds_done)
    return pages


def failures(job: Job) -> dict[str, str]:
    """By device, what went wrong on it: in a step, or last in whole rounds."""
    devices = (job.result or job.problem or {}).get("devices", {})
    of_steps = {name: told["error"]["detail"] for name, told in devices.items() if "error" in told}
    of_rounds = {
        place.rpartition(" on ")[2]: detail
        for each in rounds_done(job)
        for place, detail in each["errors"].items()
    }
    return of_steps | of_rounds


def rounds_done(job: Job) -> list[dict[str, Any]]:
    """The whole rounds that a job has finished; none for a step."""
    finished: list[dict[str, Any]] = (job.result or {}).get("rounds") or (job.progress or {}).get(
        "done", []
    )
    return finished


def _job_to_show(jobs: Sequence[Job]) -> Job | None:
    """The job that runs, or else the one that ended last.

    A second click while a job runs is refused, and that refusal is a newer job: it is not
    what people want to see.
    """
    running = [job for job in jobs if job.status == "running"]
    if running:
        return min(running, key=lambda job: job.started)
    return max(jobs, key=lambda job: job.finished or 0, default=None)
