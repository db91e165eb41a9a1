"""Work on several threads whose results come in order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

#: More are no faster: they share the way to the memory.
THREADS = min(4, os.cpu_count() or 1)

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


def side_by_side(
    function: Callable[[*_Arguments], _Result],
    calls: Iterable[tuple[*_Arguments]],
) -> Generator[_Result]:
    """What a function makes of the arguments of each call, in their order.

    For what releases the interpreter's lock: files that are read, numpy on large arrays.
    Memory holds a few results, however many calls there are.
    """
    with ThreadPoolExecutor(THREADS) as threads:
        ahead: deque[Future[_Result]] = deque()
        for arguments in calls:
            ahead.append(threads.submit(function, *arguments))
            if len(ahead) > THREADS:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
