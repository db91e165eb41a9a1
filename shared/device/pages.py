"""The device's page. Plain forms and server-rendered state: it works without JavaScript."""

from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, BeforeValidator, Field

from shared.device import page_views
from shared.device.device import Device
from shared.federated.names import Name
from shared.federated.task import Task
from shared.web.events import newest_events, newest_id
from shared.web.live import page, wanted

_EVENTS_SHOWN = 50
#: Pictures on one page, and of those that are asked about at once.
_PICTURES_SHOWN, _ASKED = 48, 12
#: Without JavaScript the page is loaded again so often, in seconds: while something runs, and
#: while this device does not know its tasks.
_RUNNING_SECONDS, _UNSETTLED_SECONDS = 2, 5


class PageQuery(BaseModel):
    """Which task, and which of its uploaded pictures."""

    #: Without it, the first one.
    task: Name | None = None
    #: Pictures of this class alone.
    label: Annotated[str | None, BeforeValidator(lambda text: text or None)] = None
    #: Pictures that were added before that, in seconds since 1970.
    before: float | None = Field(default=None, allow_inf_nan=False)


def blueprint(device: Device) -> APIBlueprint:
    """``GET /``."""
    pages = APIBlueprint(
        "pages",
        __name__,
        enable_openapi=False,
        template_folder="templates",
        static_folder="static",
        static_url_path="/device",
    )

    @pages.get("/")
    @pages.input(PageQuery, location="query")
    def show(query_data: PageQuery) -> Response:
        status = device.overview.status()
        common: dict[str, Any] = {
            "overview": status,
            "steps": page_views.STEPS,
            "tabs": [page_views.tab(name, task) for name, task in status["tasks"].items()],
            "live_after": newest_id(device.store.database),
        }
        if not status["tasks"] and query_data.task is None:
            events = newest_events(device.store.database, _EVENTS_SHOWN)
            return page("waiting.html", **common, events=events, refresh_seconds=_UNSETTLED_SECONDS)
        task = device.store.task(query_data.task)
        shown = status["tasks"][task.name]
        return page(
            "device.html",
            **common,
            task=task,
            task_name=task.name,
            shown=shown,
            next_step=page_views.next_step(shown),
            events=newest_events(device.store.database, _EVENTS_SHOWN, task.name),
            refresh_seconds=_RUNNING_SECONDS if shown["job"] else None,
            **_training(device, task, shown),
            **_pictures(device, task, query_data),
            **_measured(task, shown),
        )

    @pages.app_context_processor
    def names() -> dict[str, str]:
        settings = device.settings
        return {
            "device_name": settings.device_name,
            "main_server_page": settings.main_server_page_url or settings.main_server_url,
        }

    return pages


def _training(device: Device, task: Task, shown: dict[str, Any]) -> dict[str, Any]:
    """The last training, and the curves of the one that runs, or else of that one."""
    update = device.store.pending(task.name)
    result = update.result if update else None
    progress = (shown["job"] or {}).get("progress") or {}
    history = progress.get("history") or (result or {}).get("history") or {}
    return {
        "result": result,
        "curves": {name: page_views.curves(history, name) for name in ("loss", "accuracy")},
    }


def _pictures(device: Device, task: Task, query: PageQuery) -> dict[str, Any]:
    """Uploaded pictures: those that wait for a label, and one page of all."""
    found: dict[str, Any] = {"label": query.label, "before": query.before}
    if wanted("asked"):
        found["asked"] = device.uploads.page(task, unlabelled=True, limit=_ASKED)
    if wanted("pictures"):
        rows = device.uploads.page(
            task, label=query.label, before=query.before, limit=_PICTURES_SHOWN + 1
        )
        labelled = device.uploads.counts(task)
        found |= {
            "pictures": rows[:_PICTURES_SHOWN],
            "older": rows[_PICTURES_SHOWN - 1].added if len(rows) > _PICTURES_SHOWN else None,
            "labelled": {name: sum(labelled.get(name, {}).values()) for name in task.classes},
        }
    return found


def _measured(task: Task, shown: dict[str, Any]) -> dict[str, Any]:
    """How the pictures are spread over the classes, and which classes the model mixes up."""
    confusion = (shown["evaluation"] or {}).get("confusion")
    return {
        "balance": page_views.balance(shown["classes"]),
        "confusion": confusion and page_views.confusion_table(confusion, task.classes),
        "mistakes": confusion and page_views.mistakes(confusion, task.classes),
    }
