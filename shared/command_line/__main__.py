"""``python -m shared.command_line`` is ``fedbell``."""

import signal
import sys
from types import FrameType

#: Commands that go on until Ctrl-C: that is no failure, however early it comes.
_END_BY_CTRL_C = frozenset({"client", "run"})
_INTERRUPTED = 130


def _end(_number: int, _frame: FrameType | None) -> None:
    """End without a word, and undo what there is to undo on the way out."""
    sys.exit(0 if _END_BY_CTRL_C.intersection(sys.argv[1:2]) else _INTERRUPTED)


def _run() -> None:
    # Where Ctrl-C is ignored, for a job in the background say, it stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    # Here: this takes seconds, in which Ctrl-C would leave a traceback.
    from shared.command_line.commands import main

    main(prog_name="fedbell")


_run()
