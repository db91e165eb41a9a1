"""Calls about strategies: which there are, and choosing one between rounds."""

from typing import Any

from apiflask import APIBlueprint
from flask import jsonify, redirect, request, url_for
from pydantic import BaseModel, Field, model_validator
from werkzeug.wrappers import Response

from main_server.pages.strategies import Refusal, strategies_page
from main_server.rounds import NoModelYet
from main_server.schemas import Strict, TaskQuery
from main_server.server import MainServer
from main_server.strategies_told import StrategiesTold, strategies_as_json
from shared.errors import FedbellError
from shared.federated.aggregation import NothingShared, NothingStays
from shared.federated.choice import BadChoice, Choice
from shared.federated.strategy_words import parameters_in_words, title_of
from shared.federated.task import Task
from shared.web.description import gives_json
from shared.web.problems import EXAMPLE_BODIES, is_page

#: A parameter in a form, before its name: ``parameters.mu``.
FIELD = "parameters."


class ChooseStrategy(Strict):
    """A strategy, and those of its parameters that are not to have their defaults.

    In a form each parameter is a field, ``parameters.mu``; an empty one has its default.
    """

    strategy: str = Field(min_length=1, max_length=100, examples=["fedprox"])
    parameters: dict[str, Any] = Field(default_factory=dict, examples=[{"mu": 0.1}])

    @model_validator(mode="before")
    @classmethod
    def _from_form(cls, told: Any) -> Any:
        if not isinstance(told, dict) or "parameters" in told:
            return told
        fields = {name: told[name] for name in told if str(name).startswith(FIELD)}
        given = {name[len(FIELD) :]: value for name, value in fields.items() if value != ""}
        others = {name: value for name, value in told.items() if name not in fields}
        return others | {"parameters": given} if fields else others


class StrategiesQuery(TaskQuery):
    """``chosen``: to a browser the page says what was chosen last."""

    chosen: bool = False


class StrategyChosen(BaseModel):
    """A strategy is chosen."""

    task: str
    strategy: str
    parameters: dict[str, Any] = Field(description="All of them, defaults too.")
    from_round: int = Field(description="The number of the first round that goes by it.")


def _has_trainings(server: MainServer, task: Task) -> bool:
    """Whether devices train for the round to come, or have what they could send."""
    try:
        number = server.rounds.number_to_come(task.name)
    except NoModelYet:
        return False
    return server.round_steps.has_trainings(task.name, number)


def blueprint(server: MainServer) -> APIBlueprint:
    """``GET /strategies`` and ``POST /strategy``."""
    calls = APIBlueprint("strategies", __name__, tag="Strategies")
    for name, in_words in (
        ("strategy_title", title_of),
        ("parameters_in_words", parameters_in_words),
    ):
        calls.add_app_template_filter(in_words, name)

    @calls.record_once
    def tell_body(state: Any) -> None:
        body = '{"strategy": "fedprox", "parameters": {"mu": 0.1}}'
        state.app.extensions.setdefault(EXAMPLE_BODIES, {})["/strategy"] = body

    @calls.get("/strategies")
    @calls.input(StrategiesQuery, location="query")
    @calls.doc(
        summary="How updates can become the next version: all strategies, and which is in use",
        description="Each with its paper and its parameters: defaults, bounds, what they do. "
        "following is the one that is in use from the next round on. To a browser it is a page.",
        responses=gives_json(StrategiesTold),
    )
    def read_strategies(query_data: StrategiesQuery) -> Response:
        task = server.task(query_data.task)
        if is_page(request):
            answer: Response = strategies_page(server, task, None, query_data.chosen)
        else:
            answer = jsonify(strategies_as_json(server, task))
        answer.vary.add("Accept")
        return answer

    @calls.post("/strategy")
    @calls.input(TaskQuery, location="query")
    @calls.input(ChooseStrategy, location="json")
    @calls.output(StrategyChosen)
    @calls.doc(
        summary="Choose the strategy of a task: it is in use from the next round on",
        description="At once where the open round has not begun: from_round tells. What is "
        "chosen holds over restarts, until tasks.toml says something else. 422 names the parameter "
        "that is wrong; 409 for an asynchronous task, and for a strategy that would leave nothing "
        "to combine.",
    )
    def choose_strategy(query_data: TaskQuery, json_data: ChooseStrategy) -> Response:
        task = server.task(query_data.task)
        try:
            choice = Choice.checked(json_data.strategy, json_data.parameters)
            number = server.strategies.choose(task, choice, _has_trainings(server, task))
            server.auto_aggregate.look_again(task)  # it may do with the updates that are here
        except (BadChoice, NothingShared, NothingStays) as error:
            if not is_page(request):
                raise
            return _page_again(error, json_data)
        if is_page(request):
            page = url_for("strategies.read_strategies", task=task.name, chosen=1)
            return redirect(page, code=303)
        answer = StrategyChosen(
            task=task.name,
            strategy=choice.strategy,
            parameters=choice.all_parameters,
            from_round=number,
        )
        return jsonify(answer.model_dump())

    def _page_again(error: FedbellError, told: ChooseStrategy) -> Response:
        """The page with what somebody filled in, and what is wrong beside it."""
        task = server.task(request.args.get("task"))
        return strategies_page(server, task, Refusal(error, told.strategy, told.parameters))

    return calls
