"""Trying the model: what the installed version says of a picture, which goes nowhere else."""

import tempfile
import time
from typing import Any

from apiflask import APIBlueprint
from flask import Response, jsonify, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from shared.datasets.cleaning import CleanPicture, clean
from shared.device.device import Device
from shared.device.remote import RemoteProblem
from shared.device.schemas import Prediction, PredictQuery
from shared.device.uploads.disk import full_disk_told
from shared.device.uploads.receiving import received
from shared.errors import FedbellError
from shared.federated.task import Task
from shared.web.description import expects
from shared.web.problems import BadRequest, is_page


class NoModelYet(FedbellError):
    """The device has no global model of the task."""

    status = 409
    title = "There is no model to try yet"


def blueprint(device: Device) -> APIBlueprint:
    """``POST /predict``."""
    calls = APIBlueprint("predict", __name__, tag="Trying the model", template_folder="templates")

    @calls.post("/predict")
    @calls.input(PredictQuery, location="query")
    @calls.output(Prediction)
    @calls.doc(
        summary="What the installed version of the model says of a picture (JPEG, PNG)",
        description="A form (multipart/form-data) with a file in the field `picture`. A training "
        "does not hold it up. With `keep=1` the picture is kept as one that the model was tried "
        "on, so that it can be labelled: the newest 20 are.",
        extensions=expects("multipart/form-data"),
    )
    def predict(query_data: PredictQuery) -> AnyResponse:
        started = time.perf_counter()
        with received(request, device.settings) as form:
            task = device.store.task(query_data.task or form.fields.get("task") or None)
            files = [file for file in form.files if file.field == "picture"]
            if len(files) != 1:
                raise BadRequest(
                    f"One picture is tried at a time, in the form's field picture; "
                    f"{len(files)} came."
                )
            picture = clean(files[0].read(), device.settings.most_picture_pixels)
        answer = predicted(device, task, picture)
        if query_data.keep:
            answer["picture"] = device.uploads.keep_tried(task, picture, files[0].name).sha256
        answer["seconds"]["total"] = time.perf_counter() - started
        if is_page(request):
            return Response(render_template("predicted.html", task=task, answer=answer))
        return jsonify(answer)

    return calls


def predicted(device: Device, task: Task, picture: CleanPicture) -> dict[str, Any]:
    """What the installed model says of a picture, and which version it is.

    Raises:
        NoModelYet
        DiskFull, RemoteProblem, TrainerDied: it could not answer.
    """
    directory = device.store.directory / "incoming"
    with full_disk_told(directory), tempfile.NamedTemporaryFile(dir=directory) as file:
        file.write(picture.content)
        file.flush()
        while True:
            model = device.store.installed(task.name)
            if model is None:
                raise NoModelYet(
                    f"This device has no global model of task {task.name} yet. It comes from the "
                    "main server as soon as that has one; GET /status says how things are."
                )
            kept = device.store.kept_for(task, model.version)
            try:
                answer = device.trainer.call(
                    "predict",
                    task=task.model_dump(mode="json"),
                    picture=file.name,
                    weights=str(device.store.model_file(model)),
                    kept=kept,
                )
            except RemoteProblem:
                now = device.store.installed(task.name)
                is_same = now is not None and now.file == model.file
                if is_same and device.store.kept_for(task, model.version) == kept:
                    raise
                continue  # there is something newer by now, and a file of these was removed
            return {"task": task.name, "version": model.version, **answer}
