"""The steps of a round, over HTTP: one call each."""

from apiflask import APIBlueprint
from werkzeug.wrappers import Response

from main_server.schemas import (
    Aggregated,
    Distributed,
    FanOut,
    RoundsRun,
    RunRounds,
    StepQuery,
    TaskQuery,
    TrainFanOut,
)
from main_server.server import MainServer

_PREFER = "Answers when the work is done; with Prefer: respond-async, 202 and a job at once."
_DEVICE = f"With ?device=, on that device alone: 404 or 409 where it takes no part. {_PREFER}"


def blueprint(server: MainServer) -> APIBlueprint:
    """The four steps of a round, and ``run_rounds`` for all of them."""
    calls = APIBlueprint("steps", __name__, tag="Steps of a round")
    steps = server.steps

    @calls.post("/modeltrain")
    @calls.input(StepQuery, location="query")
    @calls.output(TrainFanOut)
    @calls.doc(summary="Model Training (Locally): every device trains", description=_DEVICE)
    def modeltrain(query_data: StepQuery) -> Response:
        task, device = server.task(query_data.task), query_data.device
        steps.check_device(task, device)
        return server.calls.answer(
            "modeltrain", task.name, lambda job: steps.train(task, device, job)
        )

    @calls.post("/sendmodel")
    @calls.input(StepQuery, location="query")
    @calls.output(FanOut)
    @calls.doc(
        summary="Send Model to Federated Server: every device sends its update",
        description=_DEVICE,
    )
    def sendmodel(query_data: StepQuery) -> Response:
        task, device = server.task(query_data.task), query_data.device
        steps.check_device(task, device)
        return server.calls.answer(
            "sendmodel", task.name, lambda job: steps.send(task, device, job)
        )

    @calls.post("/aggregate_models")
    @calls.input(TaskQuery, location="query")
    @calls.output(Aggregated)
    @calls.doc(
        summary="Aggregate Local Models: the round's updates become the next version",
        description=_PREFER,
    )
    def aggregate_models(query_data: TaskQuery) -> Response:
        task = server.task(query_data.task)
        server.asynchronous.refuse_aggregation(task)
        return server.calls.answer(
            "aggregate_models", task.name, lambda job: steps.aggregate(task, job)
        )

    @calls.post("/send_model_clients")
    @calls.input(StepQuery, location="query")
    @calls.output(Distributed)
    @calls.doc(
        summary="Send Aggregated Models to Federated Clients: every device installs and "
        "evaluates the newest version",
        description=_DEVICE,
    )
    def send_model_clients(query_data: StepQuery) -> Response:
        task, device = server.task(query_data.task), query_data.device
        steps.check_device(task, device)
        return server.calls.answer(
            "send_model_clients", task.name, lambda job: steps.distribute(task, device, job)
        )

    @calls.post("/run_rounds")
    @calls.input(TaskQuery, location="query")
    @calls.input(RunRounds, location="json")
    @calls.output(RoundsRun)
    @calls.doc(
        summary='All four steps, n times: {"rounds": n}',
        description=f'{_PREFER} With "finish": true, the first of them is what remains of the '
        "current round. Stopped between steps by POST /jobs/<id>/cancel.",
    )
    def run_rounds(query_data: TaskQuery, json_data: RunRounds) -> Response:
        task = server.task(query_data.task)
        server.asynchronous.refuse_rounds(task)
        return server.calls.answer(
            "run_rounds",
            task.name,
            lambda job: steps.run_rounds(task, json_data.rounds, job, finish=json_data.finish),
        )

    return calls
