"""What the main server knows, as lists: tasks, devices, rounds, versions."""

from collections.abc import Sequence
from typing import Any

from apiflask import APIBlueprint
from flask import jsonify, redirect, request, url_for
from werkzeug.wrappers import Response

from main_server.asking import is_overdue
from main_server.rounds import OPEN
from main_server.schemas import PageQuery, RoundsTold, RoundTold, TaskQuery, UpdateTold
from main_server.server import MainServer
from main_server.store.refused_updates import refused_in
from main_server.store.rests import wake
from main_server.store.tables import DeviceStep, Evaluation, Round
from shared.web.description import gives_json
from shared.web.problems import NotFound, is_page

_SEVERAL = (
    "updates is by device: the last one that came of each, and as further those of the same round "
    "that came before it. A device has several in a buffer of FedBuff, and where late updates are "
    "merged. num_updates counts all."
)


def rounds_as_json(server: MainServer, rows: Sequence[Round]) -> list[dict[str, Any]]:
    """Rounds of one task, as the API and the page show them."""
    if not rows:
        return []
    evaluations = server.rounds.evaluations(rows[0].task, [row.version for row in rows])
    told = []
    for row in rows:
        evaluation = evaluations.get(row.version) if row.version is not None else None
        told.append(
            {
                "task": row.task,
                "number": row.number,
                "status": row.status,
                "strategy": row.strategy,
                "parameters": row.parameters,
                "base_version": row.base_version,
                "version": row.version,
                "unchanged": row.unchanged or {},
                "selected": row.selected,
                "quorum": row.quorum,
                "deadline": row.deadline,
                "overdue": is_overdue(row),
                "missing_updates": _missing(server, row),
                "resting": _resting(server, row),
                "updates": _updates(row),
                "num_updates": len(row.updates),
                "evaluation": evaluation.as_json() if evaluation else None,
                "bytes_received": sum(update.bytes for update in row.updates),
                "started": row.started,
                "seconds": round(row.finished - row.started, 3) if row.finished else None,
            }
        )
    return told


def _missing(server: MainServer, row: Round) -> int:
    """How many updates an open round waits for before it can be aggregated."""
    if row.status != OPEN or row.task not in server.task_names:
        return 0
    task = server.task(row.task)
    return max(0, task.needed_updates - len({update.device for update in row.updates}))


def _resting(server: MainServer, row: Round) -> dict[str, int]:
    """The devices that an open round does not ask for they rest, and until which round."""
    if row.status != OPEN or row.task not in server.task_names:
        return {}
    task = server.task(row.task)
    return server.asking.now(task).resting() if task.mode == "sync" else {}


def _updates(row: Round) -> dict[str, dict[str, Any]]:
    """A round's updates by device: the last one of each, with those that came before it."""
    told: dict[str, list[dict[str, Any]]] = {}
    for update in sorted(row.updates, key=lambda each: (each.device, each.received, each.number)):
        shown = {name: getattr(update, name) for name in UpdateTold.model_fields}
        told.setdefault(update.device, []).append(shown)
    return {name: each[-1] | {"further": each[:-1]} for name, each in told.items()}


def _evaluation(row: Evaluation) -> dict[str, Any]:
    """How well a version did on a device; personal numbers only where there are some."""
    told = {name: getattr(row, name) for name in ("accuracy", "loss", "num_samples", "confusion")}
    personal = {name: getattr(row, name) for name in ("personal_accuracy", "personal_loss")}
    return told | {name: value for name, value in personal.items() if value is not None}


def steps_as_json(steps: Sequence[DeviceStep]) -> dict[str, dict[str, dict[str, Any]]]:
    """The steps of a round, by step and device; the main server itself is the device ""."""
    names = ("state", "started", "finished", "attempts", "result", "problem")
    told: dict[str, dict[str, dict[str, Any]]] = {}
    for row in steps:
        shown = {name: getattr(row, name) for name in names}
        told.setdefault(row.step, {})[row.device] = shown
    return told


def devices_as_json(server: MainServer, task: str | None) -> list[dict[str, Any]]:
    """Devices, as the API and the page show them; with ``task``, only those that take part."""
    per_task = {name: server.devices.of_task(name) for name in server.task_names}
    sent = {name: _sent(server, name) for name in server.task_names}
    told = []
    for device in server.devices.all():
        online = server.is_online(device.last_seen)
        tasks = {
            name: {
                "num_samples": rows[device.name].num_samples,
                "version": rows[device.name].version,
                "problem": rows[device.name].problem,
                "reservation": rows[device.name].reservation,
                "activity": rows[device.name].activity if online else None,
                "update_sent": device.name in sent[name],
                "failures": rows[device.name].failures,
                "rests_until": rows[device.name].rests_until,
            }
            for name, rows in per_task.items()
            if device.name in rows
        }
        if task is None or task in tasks:
            told.append(
                {
                    "name": device.name,
                    "url": device.url,
                    "page_url": device.page_url,
                    "online": online,
                    "last_seen": device.last_seen,
                    "enrolled": device.enrolled,
                    "revoked": device.revoked,
                    "rotation_asked": device.rotation_asked,
                    "tasks": tasks,
                }
            )
    return told


def _sent(server: MainServer, task: str) -> set[str]:
    newest = server.rounds.newest(task)
    if newest is None or newest.status != OPEN:
        return set()
    return {update.device for update in newest.updates}


def blueprint(server: MainServer) -> APIBlueprint:
    """``GET /tasks``, ``/devices``, ``/rounds``, ``/rounds/<n>`` and ``/models``."""
    calls = APIBlueprint("lists", __name__, tag="What the main server knows")

    @calls.get("/tasks")
    @calls.doc(summary="The tasks and their newest versions")
    def list_tasks() -> dict[str, Any]:
        newest = server.versions.newest_numbers()
        return {
            "tasks": [
                task.model_dump(mode="json") | {"version": newest.get(task.name, (None,))[0]}
                for task in server.tasks.values()
            ]
        }

    @calls.get("/devices")
    @calls.input(TaskQuery, location="query")
    @calls.doc(
        summary="The devices: where they are, and how they do",
        description="All of them; with ?task= those that know the task.",
    )
    def list_devices(query_data: TaskQuery) -> dict[str, Any]:
        task = server.task(query_data.task).name if query_data.task else None
        return {"devices": devices_as_json(server, task)}

    @calls.post("/devices/<device>/wake")
    @calls.input(TaskQuery, location="query")
    @calls.doc(
        summary="Ask a device again that is rested because it failed in several rounds",
        description="In the task ?task=; without it, in all tasks.",
    )
    def wake_device(device: str, query_data: TaskQuery) -> Response:
        tasks = [server.task(query_data.task).name] if query_data.task else server.task_names
        woken = wake(server.database, device, tasks)
        if is_page(request):
            return redirect(url_for("pages.control_page", task=query_data.task), code=303)
        return jsonify({"device": device, "woken": woken})

    @calls.delete("/devices/<device>")
    @calls.doc(
        summary="Forget a device that is lost; it may enrol anew, with another token",
        description="409 while it is online.",
    )
    def forget_device(device: str) -> dict[str, str]:
        server.forget(device)
        return {"forgotten": device}

    @calls.get("/rounds")
    @calls.input(PageQuery, location="query")
    @calls.doc(
        summary="The rounds of a task, newest first",
        description=_SEVERAL,
        responses=gives_json(RoundsTold),
    )
    def list_rounds(query_data: PageQuery) -> dict[str, Any]:
        task = server.task(query_data.task)
        rows = server.rounds.page(task.name, query_data.limit, query_data.before)
        return {"task": task.name, "rounds": rounds_as_json(server, rows)}

    @calls.get("/rounds/<int:number>")
    @calls.input(TaskQuery, location="query")
    @calls.doc(
        summary="One round, with each device's evaluation and how each step went on it",
        description=_SEVERAL,
        responses=gives_json(RoundTold),
    )
    def read_round(number: int, query_data: TaskQuery) -> dict[str, Any]:
        task = server.task(query_data.task)
        row = server.rounds.get(task.name, number) if number < 2**31 else None
        if row is None:
            raise NotFound(f"There is no round {number} of task {task.name}.")
        per_device = (
            server.rounds.device_evaluations(task.name, row.version)
            if row.version is not None
            else []
        )
        following = server.rounds.get(task.name, number + 1)
        return rounds_as_json(server, [row])[0] | {
            "evaluations": {each.device: _evaluation(each) for each in per_device},
            "steps": steps_as_json(server.round_steps.of_round(task.name, number)),
            "refused": refused_in(server.database, row, following.started if following else None),
        }

    @calls.get("/models")
    @calls.input(PageQuery, location="query")
    @calls.doc(summary="The versions of a task's global model, newest first")
    def list_models(query_data: PageQuery) -> dict[str, Any]:
        task = server.task(query_data.task)
        rows = server.versions.page(task.name, query_data.limit, query_data.before)
        names = (
            "version",
            "sha256",
            "fingerprint",
            "bytes",
            "created",
            "released",
            "promoted_from",
            "pruned",
        )
        return {
            "task": task.name,
            "versions": [{name: getattr(row, name) for name in names} for row in rows],
        }

    return calls
