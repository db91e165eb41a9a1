"""The calls about uploaded pictures: bring them, list them, look at them, label, delete."""

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from apiflask import APIBlueprint
from flask import Response, jsonify, redirect, render_template, request, send_file
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from werkzeug.wrappers import Response as AnyResponse

from shared.device.device import Device
from shared.device.tables import UploadedPicture
from shared.device.uploads.classes import check_class
from shared.device.uploads.disk import DiskFull
from shared.device.uploads.intake import NoPictureKept, take_in
from shared.device.uploads.kept import Split
from shared.device.uploads.receiving import received
from shared.federated.names import Name
from shared.federated.task import Task
from shared.web.description import expects, gives
from shared.web.problems import BadRequest, NotFound, is_page, problem

#: A picture opened by itself can do nothing at all.
_PICTURE_POLICY = "default-src 'none'; frame-ancestors 'none'"
_ID = re.compile("[0-9a-f]{64}")

#: A form's field that was left empty says nothing.
_Choice = Annotated[str | None, BeforeValidator(lambda value: value or None)]


class UploadQuery(BaseModel):
    """Where pictures belong; the form's own fields can say it, too."""

    model_config = ConfigDict(extra="forbid")

    task: Name | None = None
    #: Of those whose names tell no class.
    label: _Choice = None


class PageQuery(BaseModel):
    """Which pictures to list."""

    model_config = ConfigDict(extra="forbid")

    task: Name | None = None
    label: _Choice = None
    unlabelled: bool = False
    #: The member ``next`` of the page before.
    before: float | None = None
    limit: int = Field(default=100, ge=1, le=500)


class PictureChange(BaseModel):
    """What a picture is to be."""

    model_config = ConfigDict(extra="forbid")

    label: _Choice = None
    split: Annotated[Split | None, BeforeValidator(lambda value: value or None)] = None


def blueprint(device: Device) -> APIBlueprint:
    """``/pictures`` and what is below it."""
    calls = APIBlueprint("pictures", __name__, tag="Uploaded pictures", template_folder="templates")
    uploads = device.uploads

    @calls.post("/pictures")
    @calls.input(UploadQuery, location="query")
    @calls.doc(
        summary="Upload pictures (JPEG, PNG) to this device, which they never leave",
        description="A form (multipart/form-data) with a file in each field `pictures`. The label "
        "is the class whose name the file's name holds as a word, if it is exactly one; else the "
        "one chosen here. Each file is told of.",
        responses={
            201: "At least one is kept, or was here already",
            413: "More bytes or pictures than one call takes",
            422: "None is a picture that can be kept; or there is no such class",
            503: "Four others are being checked; Retry-After says when to come again",
            507: "There is no room for them",
        },
        extensions=expects("multipart/form-data"),
    )
    def upload(query_data: UploadQuery) -> AnyResponse | tuple[str, int]:
        with received(request, device.settings) as form:
            task = device.store.task(query_data.task or form.fields.get("task") or None)
            label = query_data.label or form.fields.get("label") or None
            check_class(task, label)
            files = [file for file in form.files if file.field == "pictures"]
            if not files:
                raise BadRequest("No picture came: the form has no file in a field pictures.")
            try:
                outcome = take_in(uploads, device.settings, task, files, label)
            except (NoPictureKept, DiskFull) as error:
                if is_page(request):
                    return _outcome_page(task, error.members, error.status)
                return problem(error.as_problem())
        device.pictures_changed(task.name)
        if is_page(request):
            return _outcome_page(task, outcome, 201)
        response = jsonify(outcome)
        response.status_code = 201
        return response

    @calls.get("/pictures")
    @calls.input(PageQuery, location="query")
    @calls.doc(
        summary="The uploaded pictures, newest first",
        description="`next`, when there are more, is what `before` is for the next page.",
    )
    def list_pictures(query_data: PageQuery) -> dict[str, Any]:
        task = device.store.task(query_data.task)
        limit = query_data.limit
        rows = uploads.page(
            task, query_data.label, query_data.unlabelled, query_data.before, limit + 1
        )
        return {
            "task": task.name,
            "total": uploads.total(task),
            "unlabelled": uploads.unlabelled(task),
            "untrained": uploads.untrained(task),
            "pictures": [as_json(row, task) for row in rows[:limit]],
            "next": rows[limit - 1].added if len(rows) > limit else None,
            "limits": device.settings.limits,
        }

    @calls.get("/pictures/<task>/<picture>")
    @calls.doc(
        summary="An uploaded picture, as it is kept: upright and without metadata",
        responses=gives("image/jpeg", "image/png"),
    )
    def read_picture(task: str, picture: str) -> Response:
        row = uploads.find(task, _checked(picture))
        try:
            response = send_file(
                uploads.path(row),
                mimetype=f"image/{row.format}",
                download_name=f"{row.sha256[:12]}.{row.file.rpartition('.')[2]}",
                etag=row.sha256,
            )
        except FileNotFoundError as error:
            raise NotFound(f"The file of picture {picture[:12]} is gone. Delete it.") from error
        return _for_ever(response)

    @calls.get("/pictures/<task>/<picture>/thumbnail")
    @calls.doc(
        summary="An uploaded picture, small: a JPEG of at most 160 by 160 pixels",
        responses=gives("image/jpeg"),
    )
    def read_thumbnail(task: str, picture: str) -> Response:
        response = Response(uploads.thumbnail(task, _checked(picture)), mimetype="image/jpeg")
        response.headers["Content-Disposition"] = f"inline; filename={picture[:12]}.jpg"
        return _for_ever(response)

    def changed(name: str, picture: str, change: PictureChange) -> tuple[Task, UploadedPicture]:
        task = device.store.task(name)
        if change.label is None and change.split is None:
            raise BadRequest("Nothing is to be changed: send a label, or a split.")
        row = uploads.change(task, _checked(picture), change.label, change.split)
        uploads.tell(task.name, f"A picture is {row.label}, in {row.split}")
        device.pictures_changed(task.name)
        return task, row

    @calls.patch("/pictures/<task>/<picture>")
    @calls.input(PictureChange, location="json")
    @calls.doc(summary="Correct a picture's label, or move it to train, valid or test")
    def change_picture(task: str, picture: str, json_data: PictureChange) -> dict[str, Any]:
        known, row = changed(task, picture, json_data)
        return as_json(row, known)

    @calls.post("/pictures/<task>/<picture>/label")
    @calls.input(PictureChange, location="json")
    @calls.doc(summary="The same for a form on a page, which is answered with 303 back to it")
    def label_picture(task: str, picture: str, json_data: PictureChange) -> AnyResponse:
        changed(task, picture, json_data)
        return _back(task)

    def deleted(task: str, picture: str) -> None:
        uploads.delete(task, _checked(picture))  # the task itself may be gone
        uploads.tell(task, "A picture deleted")
        device.pictures_changed(task)

    @calls.delete("/pictures/<task>/<picture>")
    @calls.doc(summary="Delete a picture, for good")
    def delete_picture(task: str, picture: str) -> dict[str, Any]:
        deleted(task, picture)
        return {"task": task, "id": picture, "deleted": True}

    @calls.post("/pictures/<task>/<picture>/delete")
    @calls.doc(summary="The same for a form on a page, which is answered with 303 back to it")
    def delete_by_form(task: str, picture: str) -> AnyResponse:
        deleted(task, picture)
        return _back(task)

    return calls


def as_json(row: UploadedPicture, task: Task) -> dict[str, Any]:
    """A picture as the calls tell of it. A class that the task has no more is no label."""
    names = ("name", "format", "width", "height", "bytes", "added", "label_from", "trained")
    label = row.label if row.label in task.classes else None
    return {
        "id": row.sha256,
        "label": label,
        "split": row.split if label else None,
        **{name: getattr(row, name) for name in names},
    }


def _outcome_page(task: Task, outcome: dict[str, Any], status: int) -> tuple[str, int]:
    return render_template("uploaded.html", task=task, outcome=outcome, status=status), status


def _checked(picture: str) -> str:
    if not _ID.fullmatch(picture):
        raise NotFound("There is no such picture: its id is 64 digits from 0 to f.")
    return picture


def _for_ever(response: Response) -> Response:
    """A picture's address is that of its content, which never changes."""
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    response.headers["Content-Security-Policy"] = _PICTURE_POLICY
    return response


def _back(task: str) -> AnyResponse:
    """303 to the page of this server that the form is on."""
    page = urlsplit(request.referrer or "")
    if page.netloc != request.host or page.path == "/predict":  # that page answers a POST alone
        return redirect(f"/?task={task}", code=303)
    # No more than one slash at its beginning: two begin a host's name.
    path = re.sub(r"^[/\\]*", "/", page.path)
    return redirect(f"{path}?{page.query}" if page.query else path, code=303)
