"""The call about pictures of tasks that are gone: what nobody trains on takes no more room."""

from typing import Any

from apiflask import APIBlueprint
from flask import jsonify, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from shared.device.device import Device
from shared.errors import FedbellError
from shared.web.problems import NotFound, is_page


class TaskNotGone(FedbellError):
    """The task is still there, and so are its pictures."""

    status = 409
    title = "The task is not gone"


def blueprint(device: Device) -> APIBlueprint:
    """``POST /pictures/<task>/delete_all``."""
    calls = APIBlueprint("gone_pictures", __name__, tag="Uploaded pictures")

    @calls.post("/pictures/<task>/delete_all")
    @calls.doc(
        summary="Delete all pictures of a task that the main server no longer has, for good",
        description="GET /status tells of such pictures as gone_pictures.",
        responses={409: "The main server has the task"},
    )
    def delete_all(task: str) -> AnyResponse:
        known = [row.name for row in device.store.tasks()]
        if task in known:
            raise TaskNotGone(
                f"The main server has task {task}. Its pictures are deleted one by one, on this "
                f"device's page or by DELETE /pictures/{task}/<id>."
            )
        number = device.uploads.of_gone_tasks(known).get(task)
        if number is None:
            raise NotFound(f"There is no picture of a task {task[:80]} here.")
        number = device.uploads.delete_all(task)
        told = f"{number:,} picture{'s' if number != 1 else ''} of a task that is gone deleted"
        device.uploads.tell(task, told)
        if is_page(request):
            return redirect("/", code=303)
        answer: dict[str, Any] = {"task": task, "deleted": number}
        return jsonify(answer)

    return calls
