"""The control page. Plain forms and server-rendered state: it works without JavaScript."""

import shutil
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from apiflask import APIBlueprint
from flask import Response, redirect, url_for
from pydantic import BeforeValidator, Field
from werkzeug.wrappers import Response as AnyResponse

from main_server.asking import Asked
from main_server.offers import offers
from main_server.pages.arrivals import ARRIVALS_SHOWN, arrivals
from main_server.pages.device_rows import Current
from main_server.pages.history import Curves, curves, history
from main_server.pages.participants import Participant, participants
from main_server.pages.round_words import aggregates_in_words, ending
from main_server.pages.step_words import DOES
from main_server.pages.stepper import stepper
from main_server.pages.strategies import goes_by
from main_server.pages.work import JOBS_LOOKED_AT, announcement, in_words, work
from main_server.rounds import AGGREGATED, OPEN
from main_server.schemas import TaskQuery
from main_server.server import MainServer
from main_server.store.arrived import overview
from main_server.store.round_steps import trained
from main_server.store.tables import DeviceStep, Round
from shared.federated.names import Name
from shared.federated.task import Task
from shared.web.events import newest_events, newest_id
from shared.web.live import page, wanted

_EVENTS_SHOWN = 50
#: Cards of more devices are folded away.
_CARDS_SHOWN = 12
#: While something runs, or devices start, where there is no JavaScript.
_REFRESH_SECONDS = 2

#: A field of a form; left empty it chooses nothing.
_Empty = BeforeValidator(lambda told: None if told == "" else told)
_Number = Annotated[int | None, _Empty, Field(ge=0, le=2**31 - 1)]
_Device = Annotated[Name | None, _Empty]


class ControlQuery(TaskQuery):
    """What of a task is shown."""

    #: Rounds of lower number only.
    before: _Number = None
    #: The log of this device only.
    device: _Device = None
    #: The round whose training curves are drawn, and of which device.
    curves: _Number = None
    of: _Device = None


def blueprint(server: MainServer) -> APIBlueprint:
    """``GET /`` and the forms that only the page has."""
    pages = APIBlueprint("pages", __name__, enable_openapi=False)

    @pages.get("/")
    @pages.input(ControlQuery, location="query")
    def control_page(query_data: ControlQuery) -> Response:
        task = server.task(query_data.task)
        newest = newest_id(server.database)  # before anything is read: what comes later is told
        devices = participants(server, task.name)
        told = _now(server, task, devices)
        if wanted("task"):
            told["goes_by"] = goes_by(server, task)
        if wanted("devices"):
            told["last_trainings"] = server.round_steps.last_trainings(task.name)
            told["last_problems"] = server.round_steps.last_problems(task.name)
        if task.mode == "async" and wanted("round"):
            told["arrivals"] = arrivals(task, overview(server.database, task.name, ARRIVALS_SHOWN))
        if wanted("history"):
            told["history"] = history(server, task.name, query_data.before)
        if wanted("curves"):
            told["curves"] = _curves(server, task, told["steps_of_round"], query_data)
        if wanted("log"):
            told["events"] = newest_events(
                server.database, _EVENTS_SHOWN, task.name, query_data.device
            )
        return page(
            "control.html",
            task=task,
            task_name=task.name,
            tasks=server.task_names,
            query=query_data,
            devices=devices,
            live_after=newest,
            cards_shown=_CARDS_SHOWN,
            **told,
        )

    @pages.post("/devices/<device>/forget")
    @pages.input(TaskQuery, location="query")
    def forget_device(device: str, query_data: TaskQuery) -> AnyResponse:
        server.forget(device)
        return redirect(url_for("pages.control_page", task=query_data.task), code=303)

    return pages


class _Newest(NamedTuple):
    """The round that is under way, or the one that ended last.

    Attributes:
        newest: the newest round that has a row, which may be the one before this.
        row: None for a round in which no device has trained yet: it has none.
        steps: its own.
    """

    newest: Round | None
    row: Round | None
    number: int
    steps: list[DeviceStep]


def _newest(server: MainServer, task: str) -> _Newest:
    row = server.rounds.newest(task)
    if row is None:
        return _Newest(None, None, 1, server.round_steps.of_round(task, 1))
    if row.status not in (OPEN, AGGREGATED):
        # The next round begins with a training, and has a row once that is over.
        number = row.number + 1
        if steps := server.round_steps.of_round(task, number):
            return _Newest(row, None, number, steps)
    return _Newest(row, row, row.number, server.round_steps.of_round(task, row.number))


def _now(server: MainServer, task: Task, devices: list[Participant]) -> dict[str, Any]:
    """How things are: the current round, what runs, and the newest version."""
    newest, row, number, steps = _newest(server, task.name)
    version, _ = server.versions.newest_numbers().get(task.name, (None, None))
    jobs = server.jobs.recent(task.name, JOBS_LOOKED_AT)
    busy = any(job.status == "running" for job in jobs)
    status = newest.status if newest else None
    asked = server.asking.now(task)
    is_begun = row is None or row.status == OPEN
    current = stepper(
        Current(
            number=number,
            row=row,
            device_steps=steps,
            participants=devices,
            offers=offers(
                status,
                {update.device for update in newest.updates} if newest else set(),
                [
                    device.name
                    for device in devices
                    if device.is_ready and device.name in asked.names and not device.comes_by_itself
                ],
                trained(steps) if status == OPEN else set(),
                task.needed_updates,
                version,
                quorum=asked.row.quorum if asked.row else None,
                comes=[each.name for each in devices if each.is_ready and each.comes_by_itself],
            ),
            busy=busy,
            version=version,
            asked=asked.names if is_begun else None,
        )
    )
    began = min((step.started for step in steps if step.step == "modeltrain"), default=None)
    shown = work(jobs, began)
    made = row.version if row else None
    evaluations = server.rounds.evaluations(task.name, [0, version, made])
    promoted_from = (
        None if version is None else server.versions.get(task.name, version).promoted_from
    )
    is_starting = not devices or (version is None and any(each.is_ready for each in devices))
    return {
        "current": current,
        "steps_of_round": steps,
        "row": row,
        "aggregates": aggregates_in_words(task),
        "ending": ending(task, row, len(row.selected if row and row.selected else asked.names)),
        "not_asked": _not_asked(asked),
        "work": shown,
        "work_in_words": in_words(shown) if shown else "",
        "busy": busy,
        "announcement": announcement(current, shown),
        "version": version,
        "promoted_from": promoted_from,
        "does": DOES,
        "evaluations": evaluations,
        "disk": _disk(server),
        "may_upload_to": _waiting_pages(devices),
        "refresh_seconds": _REFRESH_SECONDS if busy or is_starting else None,
    }


def _not_asked(asked: Asked) -> list[str]:
    """The devices that an open round has not chosen; those that rest are told by themselves."""
    if asked.row is None or asked.row.selected is None:
        return []
    others = asked.candidates.keys() - asked.names - asked.sent
    return sorted(name for name in others if name not in asked.resting())


def _curves(
    server: MainServer, task: Task, steps: Sequence[DeviceStep], query: ControlQuery
) -> Curves | None:
    """The chosen round's trainings; without a choice, the newest; None before there is one."""
    if query.curves is not None:
        found = server.round_steps.trainings(task.name, [query.curves])
        return curves(found, query.curves, query.of)
    done = [step for step in steps if step.step == "modeltrain" and step.result]
    if not done and steps and steps[0].round > 1:
        done = server.round_steps.trainings(task.name, [steps[0].round - 1])
    return curves(done, done[0].round, query.of) if done else None


def _disk(server: MainServer) -> dict[str, Any]:
    """Free bytes where the state lies; low, when two of the largest uploads would not fit."""
    free = shutil.disk_usage(server.settings.state_directory).free
    return {"free": free, "is_low": free < 2 * server.settings.most_upload_bytes}


def _waiting_pages(devices: Sequence[Participant]) -> dict[str, str]:
    """The pages of some devices where pictures can be uploaded; none once a device has any."""
    if any(device.num_samples for device in devices):
        return {}
    return {
        device.name: device.page_url
        for device in devices
        if device.is_online and device.page_url is not None
    }
