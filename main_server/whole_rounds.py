"""Whole rounds, one after the other; and what remains of one that was begun step by step."""

from collections.abc import Callable, Collection
from functools import partial

from main_server.asking import opens_first
from main_server.fleet import EveryDeviceFailed
from main_server.rounds import AGGREGATED, OPEN
from main_server.single_steps import Answer, SingleSteps
from main_server.store.round_steps import RoundSteps, trained
from main_server.store.rounds import Rounds
from main_server.store.tables import Round
from shared.federated.task import Task
from shared.web.jobs import JobControl

#: Of many rounds, those whose results are told while it goes on.
_ROUNDS_TOLD = 10

#: Steps that are still to take, by name, in order.
_Plan = dict[str, Callable[[], Answer]]


class WholeRounds:
    """Runs rounds; for who holds the task's lock."""

    def __init__(self, rounds: Rounds, round_steps: RoundSteps, single: SingleSteps) -> None:
        self._rounds = rounds
        self._round_steps = round_steps
        self._single = single

    def run(self, task: Task, number: int, control: JobControl, finish: bool) -> Answer:
        """All four steps, ``number`` times. Stops between steps when asked to.

        What fails on one device is told with the round; the others go on.

        Args:
            finish: the first of them is what remains of the current round.
        """
        self._round_steps.tell(task.name, "rounds_begun", _begun(number, finish))
        finished: list[Answer] = []
        for index in range(1, number + 1):
            begun = finish and index == 1
            plan = self._remaining(task, control) if begun else self._whole(task, control)
            answers: dict[str, Answer] = {}
            for name, step in plan.items():
                control.check()
                progress = {"round": index, "of": number, "step": name}
                control.report(progress | {"done": finished[-_ROUNDS_TOLD:]})
                answers[name] = step()
            finished.append(self._summary(task, answers))
        return {"rounds": finished}

    def _whole(self, task: Task, control: JobControl) -> _Plan:
        single = self._single
        train = partial(single.train, task, control.job)
        send = partial(single.send, task, control.job)
        if opens_first(task.rounds):  # updates may come besides, and a round must end
            train, send = (partial(self._unless_lost, task, step) for step in (train, send))
        return {
            "modeltrain": train,
            "sendmodel": send,
            "aggregate_models": partial(single.aggregate, task, control.job),
            "send_model_clients": partial(single.distribute, task, control.job),
        }

    def _remaining(self, task: Task, control: JobControl) -> _Plan:
        """What remains of the current round, by its state; a whole round where none is open.

        Devices that are ready and have not trained, or have not sent, do so now. If they fail
        once more, the round goes on with what the others gave.
        """
        plan = self._whole(task, control)
        newest = self._rounds.newest(task.name)
        if newest is not None and newest.status == AGGREGATED:
            return {"send_model_clients": plan["send_model_clients"]}
        if newest is None or newest.status != OPEN:
            return plan
        sent = {update.device for update in newest.updates}
        done = sent | self._trained(task, newest)
        if not done:
            return plan

        def train() -> Answer:
            missing = self._single.ready(task) - done
            return _tolerant(done, missing, partial(self._single.train, task, control.job))

        def send() -> Answer:
            missing = self._trained(task, newest) - sent
            return _tolerant(sent, missing, partial(self._single.send, task, control.job))

        return plan | {"modeltrain": train, "sendmodel": send}

    def _unless_lost(self, task: Task, ask: Callable[[], Answer]) -> Answer:
        """Take a step; where it failed on all devices, go on with what others gave before."""
        try:
            return ask()
        except EveryDeviceFailed as error:
            newest = self._rounds.newest(task.name)
            is_open = newest is not None and newest.status == OPEN
            if newest is None or not is_open:
                raise
            if not newest.updates and not self._trained(task, newest):
                raise
            return {"devices": error.members["devices"]}

    def _trained(self, task: Task, row: Round) -> set[str]:
        return trained(self._round_steps.of_round(task.name, row.number))

    def _summary(self, task: Task, answers: dict[str, Answer]) -> Answer:
        errors = {
            f"{step} on {device}": told["error"]["detail"]
            for step, answer in answers.items()
            for device, told in answer.get("devices", {}).items()
            if "error" in told
        }
        row = self._rounds.newest(task.name)
        return {
            "round": row.number if row else None,
            "version": row.version if row else None,
            "updates": len(row.updates) if row else 0,
            "evaluation": answers["send_model_clients"]["evaluation"],
            "errors": errors,
        }


def _tolerant(
    others: Collection[str], missing: Collection[str], ask: Callable[[Collection[str]], Answer]
) -> Answer:
    """Ask those that are missing, if any; their errors are told, where others have done it."""
    if not missing:
        return {}
    try:
        return ask(missing)
    except EveryDeviceFailed as error:
        if not others:
            raise
        return {"devices": error.members["devices"]}


def _begun(number: int, finish: bool) -> str:
    rounds = "one round" if number == 1 else f"{number} rounds"
    return f"{rounds} begun, the first with what remains of it" if finish else f"{rounds} begun"
