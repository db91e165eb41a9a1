"""The trainer: the one process of a device that loads TensorFlow.

``python -m shared.device.trainer NAME '{…}'`` is started by shared/device/trainer_process.py.
Requests come as lines of JSON on standard input, replies go to what was standard output,
which libraries cannot reach: what they print goes to standard error.

A request is {"id", "operation", …}, answered with {"id", "started"}, any number of
{"id", "progress"}, and {"id", "result"} or {"id", "problem"}; {"cancel": id} asks to stop
one. They are served one at a time, in order, but for drawing and answering for single
pictures: these go on beside.
When standard input ends, the parent is gone, and so is this process, whatever it is doing.
"""

import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from shared.errors import FedbellError
from shared.web import logs

#: The web side goes first when both want a processor.
_NICENESS = 5

#: Nobody who looks at a page waits for a training to end.
_BESIDE = frozenset({"draw", "predict"})

_log = logging.getLogger(__name__)

#: By name; each takes JSON values, ``report`` and ``cancelled``, and gives a JSON object.
Operations = Mapping[str, Any]


class OperationFailed(FedbellError):
    """Something unexpected went wrong in the trainer, which goes on."""

    title = "The trainer failed"


class Trainer:
    """Reads requests, serves them and replies."""

    def __init__(self) -> None:
        self._replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._operations: Operations = {}
        self._ready = threading.Event()
        self._writing = threading.Lock()

    def run(self, prepare: Callable[[], Operations]) -> NoReturn:
        """Serve for ever.

        Args:
            prepare: gives the operations by name, and may take its time: the parent's end
                is noticed meanwhile too.
        """
        threading.Thread(target=self._listen, daemon=True).start()
        self._operations = prepare()
        self._reply(ready=True)
        self._ready.set()
        while True:
            self._serve(self._requests.get())

    def _serve_beside(self, request: dict[str, Any]) -> None:
        self._ready.wait()
        self._serve(request)

    def _serve(self, request: dict[str, Any]) -> None:
        number, operation = request.pop("id"), request.pop("operation")

        def report(progress: dict[str, Any]) -> None:
            self._reply(id=number, progress=progress)

        self._reply(id=number, started=True)
        try:
            result = self._operations[operation](
                **request, report=report, cancelled=lambda: number in self._cancelled
            )
        except FedbellError as error:
            self._reply(id=number, problem=error.as_problem())
        except Exception as error:  # noqa: BLE001 - told to the caller; the trainer goes on
            _log.exception("%s failed", operation)
            told = OperationFailed(
                f"{type(error).__name__}: {str(error)[:500]}. The server's log says more."
            )
            self._reply(id=number, problem=told.as_problem())
        else:
            self._reply(id=number, result=result)
        self._cancelled.discard(number)

    def _listen(self) -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if "cancel" in message:
                self._cancelled.add(message["cancel"])
            elif message["operation"] in _BESIDE:
                beside = threading.Thread(target=self._serve_beside, args=(message,), daemon=True)
                beside.start()
            else:
                self._requests.put(message)
        os._exit(0)

    def _reply(self, **message: Any) -> None:
        with self._writing:
            self._replies.write(json.dumps(message) + "\n")
            self._replies.flush()


def _operations() -> Operations:
    from shared.device.trainer_work import TrainerWork  # loads TensorFlow

    return TrainerWork(**json.loads(sys.argv[2])).operations


if __name__ == "__main__":
    os.nice(_NICENESS)
    logs.configure(sys.argv[1])
    Trainer().run(_operations)
