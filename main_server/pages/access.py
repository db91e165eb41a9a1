"""The page about who may do what: the devices' tokens, log-ins that failed, what is protected."""

from typing import Annotated

from apiflask import APIBlueprint
from flask import Response, redirect, url_for
from pydantic import BeforeValidator, Field
from werkzeug.wrappers import Response as AnyResponse

from main_server.schemas import TaskQuery
from main_server.server import MainServer
from shared.web.access.people import People
from shared.web.access.who import ANONYMOUS, OPERATOR, VIEWER
from shared.web.events import newest_events, newest_id
from shared.web.live import page

_EVENTS_SHOWN = 100


class AccessQuery(TaskQuery):
    """Whose actions are shown."""

    #: What the log calls them; None: all.
    actor: Annotated[
        Annotated[str, Field(max_length=64)] | None,
        BeforeValidator(lambda told: None if told == "" else told),
    ] = None


def blueprint(server: MainServer, people: People) -> APIBlueprint:
    """``GET /access``, and the form that only this page has."""
    pages = APIBlueprint("access_pages", __name__, enable_openapi=False)
    joining = bool(server.settings.join_secret())

    @pages.get("/access")
    @pages.input(AccessQuery, location="query")
    def access_page(query_data: AccessQuery) -> Response:
        newest = newest_id(server.database)
        task, devices = server.task(query_data.task), server.devices.all()
        return page(
            "access.html",
            task=task,
            tasks=server.task_names,
            task_name=task.name,
            live_after=newest,
            devices=devices,
            online={each.name for each in devices if server.is_online(each.last_seen)},
            failed=people.attempts.recent(),
            viewers=bool(people.tokens.viewer),
            joining=joining,
            actors=[OPERATOR, VIEWER, ANONYMOUS, *(each.name for each in devices)],
            actor=query_data.actor,
            events=newest_events(server.database, _EVENTS_SHOWN, actor=query_data.actor),
        )

    @pages.post("/access/devices/<device>/forget")
    def forget_device(device: str) -> AnyResponse:
        server.forget(device)
        return redirect(url_for("access_pages.access_page"), code=303)

    return pages
