"""The device's calls: the steps of a round, its status, the picture of its last training."""

from collections.abc import Callable
from typing import Any

from apiflask import APIBlueprint
from flask import Response, jsonify, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from shared.device.device import Device
from shared.device.schemas import RoundChoice, Status, Switch, TaskQuery, VersionChoice
from shared.federated.answers import Installed, Sent, Trained
from shared.federated.task import Task, TrainingSettings
from shared.web.description import gives
from shared.web.jobs import JobControl, Work
from shared.web.problems import NotFound, is_page

_PREFER = "Answers when the work is done; with Prefer: respond-async, 202 and a job at once."
#: A picture opened by itself styles itself; it can do nothing else.
_SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def blueprint(device: Device) -> APIBlueprint:
    """``/modeltrain``, ``/sendmodel``, ``/aggmodel``, ``/status``, ``/plots/training.svg``."""
    calls = APIBlueprint("device", __name__, tag="A device's steps")
    steps = device.steps

    def named(name: str | None) -> Task:
        """The task of that name, if it is not at work already."""
        task = device.store.task(name)
        steps.turns.check(task.name)  # refused at once, not as a job
        return task

    def told(work: Callable[[JobControl], dict[str, Any]]) -> Work:
        """``work``, after which the main server is told how the device is.

        When all went well it is called only if that has changed: in a round, it knows.
        """

        def run(control: JobControl) -> dict[str, Any]:
            went_well = False
            try:
                result = work(control)
                went_well = True
            finally:
                device.heartbeat.wake(only_news=went_well)
            return result

        return run

    @calls.post("/modeltrain")
    @calls.input(TaskQuery, location="query")
    @calls.input(TrainingSettings, location="json")
    @calls.output(Trained)
    @calls.doc(
        summary="Model Training (Locally): train the newest global model on own pictures",
        description=f"What the body does not name is as the task says. {_PREFER}",
    )
    def modeltrain(query_data: TaskQuery, json_data: TrainingSettings) -> AnyResponse:
        task = named(query_data.task)
        choice = json_data.model_dump(exclude_unset=True)
        return device.calls.answer(
            "modeltrain", task.name, told(lambda job: steps.train(task, choice, job))
        )

    @calls.post("/modeltrain/cancel")
    @calls.input(TaskQuery, location="query")
    @calls.doc(summary="Stop the training of a task that runs; it ends as cancelled")
    def cancel_training(query_data: TaskQuery) -> dict[str, bool]:
        task = device.store.task(query_data.task)
        jobs = device.jobs.recent(task.name, limit=20)
        running = [job.id for job in jobs if job.kind == "modeltrain" and job.status == "running"]
        for job in running:
            device.jobs.cancel(job)
        return {"cancelled": bool(running)}

    @calls.post("/sendmodel")
    @calls.input(TaskQuery, location="query")
    @calls.input(RoundChoice, location="json")
    @calls.output(Sent)
    @calls.doc(
        summary="Send Model to Federated Server: send what was trained last",
        description=f"Sent already for that round: the same answer again. {_PREFER}",
    )
    def sendmodel(query_data: TaskQuery, json_data: RoundChoice) -> AnyResponse:
        task, number = named(query_data.task), json_data.round
        return device.calls.answer(
            "sendmodel", task.name, told(lambda job: steps.send(task, number, job))
        )

    @calls.post("/aggmodel")
    @calls.input(TaskQuery, location="query")
    @calls.input(VersionChoice, location="json")
    @calls.output(Installed)
    @calls.doc(
        summary="Fetch a version from the main server, install it, measure it on own pictures",
        description=f"Without a version, the newest. {_PREFER}",
    )
    def aggmodel(query_data: TaskQuery, json_data: VersionChoice) -> AnyResponse:
        task, version = named(query_data.task), json_data.version
        return device.calls.answer(
            "aggmodel", task.name, told(lambda job: steps.install(task, version, job))
        )

    @calls.post("/auto_train")
    @calls.input(TaskQuery, location="query")
    @calls.input(Switch, location="json")
    @calls.doc(
        summary="Switch training on upload on or off, for a task",
        description="Stays as it is over restarts. Off also stops a training that it has begun.",
    )
    def auto_train(query_data: TaskQuery, json_data: Switch) -> AnyResponse:
        task = device.store.task(query_data.task)
        device.auto_train.switch(task.name, json_data.on)
        if is_page(request):
            return redirect(f"/?task={task.name}", code=303)
        return jsonify({"task": task.name, "auto_train": json_data.on})

    @calls.get("/status")
    @calls.output(Status)
    @calls.doc(summary="How this device is: main server, trainer, tasks, what runs, what is wrong")
    def status() -> dict[str, Any]:
        return device.overview.status()

    @calls.get("/plots/training.svg")
    @calls.input(TaskQuery, location="query")
    @calls.doc(
        summary="Loss and accuracy of the last training, drawn", responses=gives("image/svg+xml")
    )
    def training_plot(query_data: TaskQuery) -> Response:
        task = device.store.task(query_data.task)
        update = device.store.pending(task.name)
        if update is None:
            raise NotFound(
                f"{task.name} has not been trained here yet. Train first: "
                f"POST /modeltrain?task={task.name}"
            )
        response = Response(mimetype="image/svg+xml")
        response.set_etag(update.file)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Content-Security-Policy"] = _SVG_POLICY
        if request.if_none_match.contains(update.file):
            response.status_code = 304
        else:
            title = (
                f"{device.settings.device_name}: {task.name}, from version {update.base_version}, "
                f"{update.num_samples} pictures"
            )
            drawn = device.trainer.call("draw", history=update.result["history"], title=title)
            response.set_data(drawn["svg"])
        return response

    return calls
