"""What a client does, again and again: push what is pending, pull, train on the next chunk.

State is kept after each of these. So whatever dies, and whenever, the next start goes on, and
what it trains comes out as if nothing had happened.
"""

import math
import threading
import time
from typing import Any

from shared.device.awaiting import counts_later, is_lost, went_back
from shared.device.client.calls import Calls, Unavailable, is_wrong_address
from shared.device.client.display import Display
from shared.device.client.heartbeat import Heartbeat
from shared.device.client.learning import Learning, MakeLearner
from shared.device.client.news import NoSuchTask, can_go_on, offer_of, waits_for, why_anew
from shared.device.client.pulling import pull
from shared.device.client.settings import ClientSettings
from shared.device.client.state import ClientState, Own, Progress
from shared.device.greeting import TaskOffer
from shared.device.model_file import UnfitModel
from shared.device.offline import offline_start
from shared.device.remote import NOT_ASKED, OTHER_BASE, OTHER_STRATEGY, RemoteProblem
from shared.errors import ConfigurationError, FedbellError
from shared.federated.choice import Choice
from shared.federated.task import Task, TrainingSettings
from shared.learning.local.kept import Files

#: A client that waits for a version looks so often, in seconds, if no heartbeat wakes it.
_LOOK_SECONDS = 5.0
_CONFLICT, _UNAUTHORIZED, _NOT_FOUND = 409, 401, 404
#: Refusals of an update after which the same version may be trained from again: who is not asked
#: yet may be asked by the same round, when others are lost; and the version may be another one.
_MAY_TRAIN_AGAIN = frozenset({NOT_ASKED, OTHER_BASE, OTHER_STRATEGY})


class Loop:
    """One client at work on one task.

    Args:
        make_learner: called before the first training, and when the network has changed.
        stopping: set when it is to end.
    """

    def __init__(
        self,
        settings: ClientSettings,
        state: ClientState,
        calls: Calls,
        heartbeat: Heartbeat,
        display: Display,
        make_learner: MakeLearner,
        stopping: threading.Event,
    ) -> None:
        self._settings = settings
        self._state = state
        self._calls = calls
        self._heartbeat = heartbeat
        self._display = display
        self._make_learner = make_learner
        self._stopping = stopping
        #: The file of an update that counts once a newer version than its base is made.
        self._held: str | None = None
        self._learner: Learning | None = None
        self._offer: TaskOffer | None = None
        self._pushes = 0
        #: When the last update was answered, as ``time.monotonic()``; and the file of one that is
        #: pushed once more: it is no further one.
        self._answered_at = -math.inf
        #: The same of the last pull: a heartbeat before it may tell an older strategy.
        self._pulled_at = -math.inf
        self._again: str | None = None

    def run(self) -> None:
        """Go on until it is stopped, or has pushed as many updates as it was told to.

        Raises:
            FedbellError: what a person has to put right.
        """
        try:
            self._meet()
            self._take_news()
            self._prepared()  # what is wrong with the data is told before anything is pulled
            self._heartbeat.start()
            while not (self._stopping.is_set() or self._is_done()):
                self._turn()
        except FedbellError:
            if not self._stopping.is_set():
                raise

    def status(self) -> dict[str, Any]:
        """What the heartbeat tells."""
        tasks: dict[str, Any] = {}
        if self._learner is not None:
            base = self._progress.base
            tasks[self._settings.task] = {
                "num_samples": self._learner.num_samples,
                "version": base.version if base else None,
            }
        return {"device": self._settings.id, "url": None, "tasks": tasks}

    def _is_done(self) -> bool:
        wanted = self._settings.updates
        return wanted is not None and self._pushes >= wanted

    @property
    def _progress(self) -> Progress:
        return self._state.progress

    @property
    def _task(self) -> Task:
        if self._progress.task is None:
            raise NoSuchTask("The main server has not told its tasks yet.")
        return self._progress.task

    def _meet(self) -> None:
        """Hear what the main server has; a client that knows its task does without."""
        while True:
            try:
                self._calls.greet(self._heartbeat.beat)
                return
            except Unavailable as error:
                if self._progress.task is not None:
                    self._display.say(f"{error.detail}. Goes on with what is here.")
                    return
                if is_wrong_address(error.__cause__):
                    raise self._wrong_address(error.detail) from error
                self._calls.rest(error)
            except RemoteProblem as error:
                if error.as_problem()["status"] == _NOT_FOUND:
                    raise self._wrong_address("there is no main server of Fedbell") from error
                raise

    def _wrong_address(self, why: str) -> ConfigurationError:
        return ConfigurationError(f"--server {self._settings.main_server_url}: {why}.")

    def _turn(self) -> None:
        self._take_news()
        pending = self._progress.pending
        if pending and self._is_held(pending):
            self._wait_for(f"a newer version than {pending.base_version}, to send again")
        elif pending and not self._push(pending):
            self._train(pending)
        elif self._is_done() or self._progress.pending:
            return  # what was not taken yet comes first
        elif what := waits_for(self._progress, self._offer):
            self._wait_for(what)
        else:
            self._display.works()
            if start := self._start():
                self._train(start)

    def _wait_for(self, what: str) -> None:
        """Wait until a heartbeat brings news, or the next is due."""
        if self._heartbeat.is_away:
            what = "the main server, which cannot be reached"
        self._display.waits_for(what, self._heartbeat.seconds_to_next())
        self._heartbeat.wait(_LOOK_SECONDS)

    def _is_held(self, own: Own) -> bool:
        """Whether an update counts once a newer version is made, and that is not known yet."""
        newest = self._offer.version if self._offer else None
        return self._held == own.file and (newest is None or newest <= own.base_version)

    def _take_news(self) -> None:
        """Take what the main server told last. Raises what it refuses this client for."""
        heard = self._heartbeat.newest()
        if heard is None:
            return
        greeting = heard.greeting
        self._offer = offer_of(greeting, self._settings.task)
        task, progress = self._offer.task, self._progress
        if progress.task is not None and heard.began <= self._pulled_at:
            task = Choice.of(progress.task).applied(task)
        if why := why_anew(progress, greeting.federation, task):
            self._display.say(f"{why} Begins anew.")
            self._learner = None
            self._state.save(Progress(federation=greeting.federation, task=task))
        elif (progress.federation, progress.task) != (greeting.federation, task):
            self._state.keep(federation=greeting.federation, task=task)
        if task.mode == "sync" and heard.began > self._answered_at:
            self._look_back(self._offer)

    def _look_back(self, offer: TaskOffer) -> None:
        """Notice that the main server of a synchronous task went back to a backup.

        Args:
            offer: what it told since the last update was answered.
        """
        own, answered = self._progress.own, self._progress.answered
        if went_back(answered, offer):
            newest = "no version" if offer.version is None else f"version {offer.version}"
            self._display.say(f"The main server went back to {newest}. Trains from what it has.")
            self._state.keep(own=None, base=None, answered=None)
        elif own and own.is_acknowledged and is_lost(answered, offer):
            self._display.say("The main server does not have the last update any more.")
            self._again = own.file
            pending = own.model_copy(update={"is_acknowledged": False})
            self._state.keep(own=pending, answered=None)

    def _meet_again(self) -> bool:
        """After a refusal that may mean that the main server began anew; whether it was heard."""
        try:
            self._calls.greet(self._heartbeat.beat)
        except Unavailable as error:
            self._calls.rest(error)
            return False
        self._take_news()
        return True

    def _push(self, own: Own) -> bool:
        """Send the pending update; False: the main server is away, and it stays."""
        try:
            self._calls.push(self._settings.task, self._state.path(own.file))
        except Unavailable as error:
            self._display.say(
                f"{error.detail}. Trains on with the weights that are here, and pushes when it can."
            )
            return False
        except RemoteProblem as error:
            status = error.as_problem()["status"]
            if status == _UNAUTHORIZED:
                self._meet_again()  # raises if this client is really not wanted
                return True
            if status != _CONFLICT:
                raise
            if counts_later(error, self._task):
                self._held = own.file
                self._display.say(f"Keeps an update for later: {error.detail}")
                return True
            self._display.say(f"Drops an update that was refused, and pulls: {error.detail}")
            # What is refused for its version is not trained again from the same one.
            is_over = error.kind not in _MAY_TRAIN_AGAIN
            answered = own.base_version if is_over else self._progress.answered
            self._answered_at = time.monotonic()
            self._state.keep(own=None, base=None, answered=answered)
            return True
        self._answered_at = time.monotonic()
        self._pushes += own.file != self._again
        acknowledged = own.model_copy(update={"is_acknowledged": True})
        self._state.keep(own=acknowledged, answered=own.base_version)
        self._display.pushed(self._pushes, own.base_version)
        return True

    def _start(self) -> Own | None:
        """What to train from: the newest version, or while it cannot be had, what is here.

        Returns:
            None: nothing is, or nothing that the main server would take.
        """
        learner = self._prepared()
        if not can_go_on(self._progress, self._offer):
            federation = self._progress.federation
            try:
                pull(self._calls, self._state, self._task, learner)
                self._pulled_at = time.monotonic()
            except Unavailable as error:
                return self._offline_start(error)
            except RemoteProblem as error:
                if error.as_problem()["status"] != _UNAUTHORIZED:
                    raise
                self._meet_again()  # raises if this client is really not wanted
                return None
            except UnfitModel:
                if self._meet_again() and self._progress.federation == federation:
                    raise
                return None
        base = self._progress.base
        return base.as_start() if base else None

    def _offline_start(self, error: Unavailable) -> Own | None:
        own, base = self._progress.own, self._progress.base
        which = offline_start(
            self._task,
            own=own.base_version if own else None,
            is_acknowledged=own is not None and own.is_acknowledged,
            pulled=base.version if base else None,
            answered=self._progress.answered,
        )
        pulled = base.as_start() if base else None
        start = {"own": own, "pulled": pulled, None: None}[which]
        if start:
            self._display.say(f"{error.detail}. Trains on with the weights that are here.")
        else:
            self._calls.rest(error)
        return start

    def _train(self, start: Own) -> None:
        """Train on the next chunk from ``start``, and keep the update as the pending one."""
        task, learner = self._task, self._prepared()
        first, last = self._settings.shards
        chunk = self._settings.chunk_at(self._progress.next_chunk)
        choice = {"epochs": self._settings.epochs} if self._settings.epochs else {}
        settings = TrainingSettings(**task.training.model_dump() | choice)
        self._display.trains(chunk, last, start.base_version, settings.epochs)
        number = self._progress.sequence + 1
        file, keeps = f"update-{number}.safetensors", f"kept-{number}.safetensors"
        # An own update that is trained on has all that it owes.
        goes_on = self._progress.own is not None and start.file == self._progress.own.file
        kept = self._progress.kept if goes_on else self._progress.kept_for(start.base_version)
        chunks = learner.train(
            task,
            self._files(start, file, kept, keeps),
            start.uncounted,
            chunk,
            settings,
            start.base_version,
            start.base_sha256,
            number,
            lambda epoch, told: self._display.epoch(epoch, told["loss"], told["accuracy"]),
            self._display.learns,
            self._stopping.is_set,
        )
        own = Own(
            base_version=start.base_version,
            base_sha256=start.base_sha256,
            file=file,
            keeps=keeps if self._state.path(keeps).exists() else None,
            chunks=chunks,
        )
        following = chunk + 1 if chunk < last else first
        self._state.keep(own=own, kept=kept, sequence=number, next_chunk=following)
        self._calls.has_worked()

    def _files(self, start: Own, update: str, kept: str | None, keeps: str) -> Files:
        """What a training reads and writes."""
        path, base = self._state.path, self._progress.base
        is_here = base is not None and base.version == start.base_version
        return Files(
            start=path(start.file),
            base=path(base.file if base and is_here else start.file),
            update=path(update),
            keeps=path(keeps),
            kept=path(kept) if kept else None,
            start_kept=path(start.keeps) if start.keeps else None,
            sent=path(base.sent) if base and is_here and base.sent else None,
        )

    def _prepared(self) -> Learning:
        if self._learner is None:
            self._learner = self._make_learner(self._task)
        return self._learner
