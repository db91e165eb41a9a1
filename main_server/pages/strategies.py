"""The page of all strategies, and what other pages say of the one in use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from flask import Response

from main_server.rounds import OPEN
from main_server.server import MainServer
from main_server.strategies_told import asynchronous_rules, in_use
from shared.errors import FedbellError
from shared.federated.aggregation import ASYNCHRONOUS_STRATEGIES, STRATEGIES
from shared.federated.choice import Choice
from shared.federated.strategy_words import (
    KINDS,
    bounds_in_words,
    fields_of,
    in_words,
    parameters_in_words,
    plain,
    value_in_words,
)
from shared.federated.task import Task
from shared.web.events import newest_id
from shared.web.live import page


class Refusal(NamedTuple):
    """A choice that was refused: why, and what somebody had filled in."""

    error: FedbellError
    strategy: str
    parameters: Mapping[str, Any]

    @property
    def wrong(self) -> dict[str, str]:
        """By parameter, what is wrong with it."""
        return {name: " ".join(told) for name, told in self.error.members.get("errors", {}).items()}


@dataclass(frozen=True)
class Parameter:
    """A parameter, as a field of a form or a line of text.

    Attributes:
        told: what is known of it, see :func:`fields_of`.
        value: what stands in the field.
        wrong: why that cannot be; None: it can.
    """

    told: Mapping[str, Any]
    value: str
    wrong: str | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.told["name"])

    @property
    def is_number(self) -> bool:
        """Whether it is one."""
        return self.told.get("type") in {"number", "integer"}

    @property
    def options(self) -> list[str]:
        """What can be chosen from; empty: it is no such parameter."""
        if self.told.get("type") == "boolean":
            return ["yes", "no"]
        return [str(each) for each in self.told.get("enum", ())]

    @property
    def help(self) -> str:
        """What it does, and what it may be, in sentences."""
        told = [f"Default {value_in_words(self.told.get('default'))}", bounds_in_words(self.told)]
        blanks = " Blanks between them." if self.told.get("type") == "array" else ""
        about = f"{self.told.get('description', '')} {'; '.join(filter(None, told))}.{blanks}"
        return about.strip()


@dataclass(frozen=True)
class Card:
    """A strategy on the page.

    Attributes:
        told: what is known of it: see Strategy.described.
        states: that it is in use, that it follows.
        can_be_chosen: whether choosing it would change anything.
        is_refused: it was chosen just now, and that was refused.
        wrong: why, where that is not about one parameter.
    """

    told: Mapping[str, Any]
    parameters: list[Parameter]
    states: list[str]
    can_be_chosen: bool = False
    is_refused: bool = False
    wrong: str | None = None


@dataclass(frozen=True)
class GoesBy:
    """What a task goes by, in words.

    Attributes:
        name, title, link: of the strategy; ``link`` None: its paper is not on arXiv.
        parameters: such as ``mu 0.1``.
        following: the strategy from the next round on; None: the same.
        next_round: that round's number.
    """

    name: str
    title: str
    paper: str
    link: str | None
    parameters: list[str]
    following: str | None
    next_round: int


def goes_by(server: MainServer, task: Task) -> GoesBy:
    """What a task goes by, now and from the next round on."""
    told, choice = in_use(task), None
    name = told["strategy"]
    if task.mode == "sync":
        choice = server.strategies.following(task.name)
        described = STRATEGIES[name].described()
    else:
        described = ASYNCHRONOUS_STRATEGIES[task.asynchronous.rule].described()
    newest = server.rounds.newest(task.name) if choice else None
    to_come = 1 if newest is None else newest.number + (newest.status != OPEN)
    return GoesBy(
        name,
        told["title"],
        described["paper"],
        described["link"],
        parameters_in_words(told["parameters"]),
        in_words(choice.strategy, choice.all_parameters) if choice else None,
        to_come + 1,  # that round goes by the one in use
    )


def strategies_page(
    server: MainServer, task: Task, refusal: Refusal | None = None, is_chosen: bool = False
) -> Response:
    """The page.

    Args:
        refusal: what was filled in and is wrong; None: nothing.
        is_chosen: something was chosen just now.
    """
    # A page that tells what is wrong is the answer to a form: nothing could ask for it again.
    live = {} if refusal else {"live_after": newest_id(server.database), "task_name": task.name}
    following = server.strategies.following(task.name) if task.mode == "sync" else None
    cards = [
        _card(name, described, task, following, refusal)
        for name, each in STRATEGIES.items()
        for described in [each.described()]
    ]
    newest = server.rounds.newest(task.name)
    told = goes_by(server, task)
    return page(
        "strategies.html",
        refusal.error.status if refusal else 200,
        task=task,
        tasks=server.task_names,
        place="strategies.read_strategies",
        goes_by=told,
        chosen=_last_chosen(told) if is_chosen else None,
        groups=[
            (heading, about, [card for card in cards if card.told["kind"] == kind])
            for kind, (heading, about) in KINDS.items()
        ],
        rules=_rules(task),
        waits_for=newest.number if newest and newest.status == OPEN and newest.updates else None,
        refusal=refusal,
        **live,
    )


def _last_chosen(told: GoesBy) -> str:
    if told.following:
        return f"{told.following}: from round {told.next_round} on."
    return f"{', '.join([told.title, *told.parameters])}: in use."


def _card(
    name: str,
    described: Mapping[str, Any],
    task: Task,
    following: Choice | None,
    refusal: Refusal | None,
) -> Card:
    is_in_use = task.mode == "sync" and name == task.strategy
    follows = following is not None and name == following.strategy
    values: Mapping[str, Any] = {}
    if following is not None and follows:
        values = following.all_parameters
    elif is_in_use:
        values = Choice.of(task).all_parameters
    wrong: Mapping[str, str] = {}
    told: str | None = None
    is_refused = refusal is not None and refusal.strategy == name
    if refusal is not None and is_refused:
        values, wrong = refusal.parameters, refusal.wrong
        told = None if wrong else refusal.error.detail
    parameters = [
        Parameter(
            field,
            _filled_in(values.get(field["name"], field.get("default"))),
            wrong.get(field["name"]),
        )
        for field in fields_of(STRATEGIES[name])
    ]
    states = ["in use"] * is_in_use + ["from the next round on"] * follows
    # What follows may be in use at once by now, where the trainings that it waited for failed.
    changes = bool(parameters) or follows or not (is_in_use and following is None)
    can_be_chosen = task.mode == "sync" and changes
    return Card(described, parameters, states, can_be_chosen, is_refused, told)


def _filled_in(value: Any) -> str:
    """What stands in a field for a value; nothing for None."""
    return "" if value is None else value_in_words(value)


def _rules(task: Task) -> list[Card]:
    """The rules of asynchronous tasks: read only."""
    settings = task.asynchronous.model_dump(mode="json")
    return [
        Card(
            rule,
            [
                Parameter(plain(field), value_in_words(settings[field["name"]]))
                for field in rule["parameters"]
            ],
            ["in use"] * (task.mode == "async" and rule["name"] == task.asynchronous.rule),
        )
        for rule in asynchronous_rules()
    ]
