"""What devices call: heartbeat, versions, updates."""

from typing import Any

from apiflask import APIBlueprint
from flask import Request, Response, request, send_file

from main_server.made_by import made_by
from main_server.rounds import NotAsked, OtherStrategy, RoundFull, StaleUpdate
from main_server.schemas import ClientStatus, HeartbeatAnswer, TaskQuery
from main_server.server import MainServer
from main_server.store.device_tokens import WrongToken
from main_server.store.refused_updates import note_refused
from main_server.store.tables import Version
from main_server.store.versions import VersionPruned, pruned
from shared.federated.answers import Sent
from shared.federated.choice import HEADER, as_header
from shared.federated.task import Task
from shared.web.access.people import bearer
from shared.web.description import expects, gives
from shared.web.problems import NotFound

#: A heartbeat tells of several tasks, each with up to 10,000 cells of its confusion.
_MOST_HEARTBEAT_BYTES = 2 * 1024 * 1024

WEIGHTS = "application/vnd.safetensors"
_STRATEGY = (
    f"The header {HEADER} tells, as JSON, the strategy that the task goes by now and its "
    "parameters: what a device trains for that starts from this version."
)


def blueprint(server: MainServer) -> APIBlueprint:
    """The calls of devices. All but reading versions need the device's token."""
    calls = APIBlueprint("devices", __name__, tag="What devices call")

    @calls.before_request
    def allow_confusions() -> None:
        if request.endpoint == "devices.clientstatus":
            request.max_content_length = _MOST_HEARTBEAT_BYTES

    @calls.post("/clientstatus")
    @calls.input(ClientStatus, location="json")
    @calls.output(HeartbeatAnswer)
    @calls.doc(
        summary="A device registers, later its heartbeat",
        description="The first token that comes with a name is that device's from then on.",
    )
    def clientstatus(json_data: ClientStatus) -> dict[str, Any]:
        tasks = server.tasks
        known = {name: told for name, told in json_data.tasks.items() if name in tasks}
        rotate = server.devices.heartbeat(
            json_data.model_copy(update={"tasks": known}),
            token_of(request),
            request.headers.get("Join-Token", ""),
            request.remote_addr or "",
        )
        # Before the newest versions: the update of a round that ends between the two is not
        # missed, for there is a newer version.
        rounds = {task.name: server.telling.told(task, json_data.device) for task in tasks.values()}
        newest = server.versions.newest_numbers()
        none = (None, None)
        return {
            "federation": server.federation,
            "heartbeat_seconds": server.settings.heartbeat_seconds,
            "rotate_token": rotate,
            "tasks": {
                task.name: {
                    "task": task.model_dump(mode="json"),
                    "version": newest.get(task.name, none)[0],
                    "distributed_version": newest.get(task.name, none)[1],
                    "round": rounds[task.name],
                }
                for task in tasks.values()
            },
        }

    @calls.post("/cmodel")
    @calls.input(TaskQuery, location="query")
    @calls.output(Sent)
    @calls.doc(
        summary="A device sends its update: a safetensors body",
        description="Sent twice, it counts once. Refused as a whole or counted as a whole.",
        extensions=expects(WEIGHTS),
    )
    def cmodel(query_data: TaskQuery) -> dict[str, Any]:
        device = server.devices.authenticate(token_of(request))
        task = server.task(query_data.task)
        usual = server.versions.newest(task.name).bytes
        takes = server.asynchronous if task.mode == "async" else server.models
        try:
            with server.uploads.receive(request, usual * (1 + len(task.rule.carries))) as upload:
                counted = takes.take_update(task, upload, device)
        except (StaleUpdate, OtherStrategy, NotAsked, RoundFull) as error:
            note_refused(server.database, task.name, device, error)
            raise
        server.auto_aggregate.look_again(task)
        return counted

    @calls.put("/models/0")
    @calls.input(TaskQuery, location="query")
    @calls.doc(
        summary="A device offers version 0, a safetensors body",
        description="201 when it was taken; 200 when the task has one: that one counts.",
        responses={200: "The task has one", 201: "This is it"},
        extensions=expects(WEIGHTS),
    )
    def offer_initial(query_data: TaskQuery) -> tuple[dict[str, Any], int]:
        device = server.devices.authenticate(token_of(request))
        task = server.task(query_data.task)
        first = server.versions.find(task.name, 0)
        with server.uploads.receive(request, first.bytes if first else None) as upload:
            taken = server.models.take_initial(task, upload, device)
        return {"task": task.name, "version": 0, "taken": taken}, 201 if taken else 200

    @calls.get("/models/latest")
    @calls.input(TaskQuery, location="query")
    @calls.doc(
        summary="The newest version of the global model, as safetensors",
        description=_STRATEGY,
        responses=gives(WEIGHTS) | gives(WEIGHTS, status=206, told="The range asked for"),
    )
    def read_latest(query_data: TaskQuery) -> Response:
        task = server.task(query_data.task)
        if server.versions.find(task.name, 0) is None:
            raise NotFound(f"There is no version of {task.name} yet.")
        row = server.versions.newest(task.name)
        try:
            return _send(task, row)
        except VersionPruned:  # many were made since
            return _send(task, server.versions.newest(task.name))

    @calls.get("/models/<int:version>")
    @calls.input(TaskQuery, location="query")
    @calls.doc(
        summary="One version of the global model, as safetensors, with ETag",
        description=_STRATEGY,
        responses=gives(WEIGHTS) | gives(WEIGHTS, status=206, told="The range asked for"),
    )
    def read_version(version: int, query_data: TaskQuery) -> Response:
        if version > 2**31:
            raise NotFound("There is no such version.")
        task = server.task(query_data.task)
        return _send(task, server.versions.get(task.name, version))

    @calls.get("/models/<int:version>/sent")
    @calls.input(TaskQuery, location="query")
    @calls.doc(
        summary="What devices are given with a version for its strategy, as safetensors",
        description="SCAFFOLD's control variate. 404 where nothing goes with the version.",
        responses=gives(WEIGHTS),
    )
    def read_sent(version: int, query_data: TaskQuery) -> Response:
        if version > 2**31:
            raise NotFound("There is no such version.")
        row = server.versions.get(server.task(query_data.task).name, version)
        told = made_by(row)
        if told is None or not told.sends:
            raise NotFound(f"Nothing goes with version {version} of {row.task} but its weights.")
        try:
            return send_file(
                server.versions.slots_path(row).absolute(), mimetype=WEIGHTS, etag=told.slots or ""
            )
        except FileNotFoundError:
            raise pruned(row) from None

    def _send(task: Task, row: Version) -> Response:
        answer = _content(row)
        # Heartbeats are rare: who trains now has to know what for.
        if task.mode == "sync" and (told := as_header(task)) is not None:
            answer.headers[HEADER] = told
        return answer

    def _content(row: Version) -> Response:
        if request.if_none_match.contains_weak(row.sha256):
            unchanged = Response(status=304)
            unchanged.set_etag(row.sha256)
            return unchanged
        try:
            # It is opened here: pruned while it is sent, it is read to its end all the same.
            # The server's file wrapper, which Gunicorn sends with sendfile(2); or a range of it.
            response = send_file(
                server.versions.path(row).absolute(),
                mimetype=WEIGHTS,
                as_attachment=True,
                download_name=f"{row.task}-{row.version}.safetensors",
                etag=row.sha256,
            )
        except FileNotFoundError:
            raise pruned(row) from None
        response.headers["Fedbell-Version"] = str(row.version)
        return response

    return calls


def token_of(call: Request) -> str:
    """The device's token that comes with a call. Raises WrongToken when none does."""
    if not (token := bearer(call)):
        raise WrongToken("A device's call carries the header Authorization: Bearer <its token>.")
    return token
