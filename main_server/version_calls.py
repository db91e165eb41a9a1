"""Calls about versions of the global model: what their weights are like, and going back to one."""

from collections.abc import Callable
from typing import Any

from apiflask import APIBlueprint
from flask import Response, jsonify, redirect, request
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response as AnyResponse

from main_server.schemas import TaskQuery
from main_server.server import MainServer
from main_server.version_statistics import VersionStatistics
from shared.federated.statistics import Statistics
from shared.web.problems import is_page


class ChangeQuery(TaskQuery):
    """Since which version."""

    since: int = Field(ge=0, le=2**31)


class Promoted(BaseModel):
    """A new version has the weights of an older one."""

    task: str
    version: int
    promoted_from: int


def blueprint(server: MainServer) -> APIBlueprint:
    """``/models/<v>/statistics``, ``/models/<v>/change`` and ``/models/<v>/promote``."""
    calls = APIBlueprint("versions", __name__, tag="Versions of the global model")
    numbers = VersionStatistics(server.versions)

    @calls.get("/models/<int:version>/statistics")
    @calls.input(TaskQuery, location="query")
    @calls.doc(
        summary="Mean, median, spread and histogram of a version's weights",
        description="Per layer and over all. With ETag: a version never changes.",
    )
    def read_statistics(version: int, query_data: TaskQuery) -> Response:
        row = server.versions.get(server.task(query_data.task).name, version)
        return _answer(row.sha256, {"version": version}, lambda: numbers.of(row))

    @calls.get("/models/<int:version>/change")
    @calls.input(ChangeQuery, location="query")
    @calls.doc(
        summary="The same of what changed since another version, number by number",
        description="Per layer and over all. With ETag: versions never change.",
    )
    def read_change(version: int, query_data: ChangeQuery) -> Response:
        task = server.task(query_data.task).name
        after = server.versions.get(task, version)
        before = server.versions.get(task, query_data.since)
        return _answer(
            f"{before.sha256}-{after.sha256}",
            {"version": version, "since": before.version},
            lambda: numbers.change(before, after),
        )

    @calls.post("/models/<int:version>/promote")
    @calls.input(TaskQuery, location="query")
    @calls.output(Promoted)
    @calls.doc(
        summary="Go back to a version: a new one with its weights starts the next round",
        description="A round that is not through is abandoned. Devices install and measure the new "
        "version by themselves.",
    )
    def promote(version: int, query_data: TaskQuery) -> AnyResponse:
        task = server.task(query_data.task)
        with server.steps.alone(task):
            made = server.models.promote(task, version)
        if is_page(request):
            return redirect(f"/?task={task.name}", code=303)
        return jsonify(
            {"task": task.name, "version": made.version, "promoted_from": made.promoted_from}
        )

    return calls


def _answer(etag: str, told: dict[str, Any], compute: Callable[[], Statistics]) -> Response:
    if request.if_none_match.contains_weak(etag):
        response = Response(status=304)
    else:
        response = jsonify(told | compute().as_json())
    response.set_etag(etag)
    return response
