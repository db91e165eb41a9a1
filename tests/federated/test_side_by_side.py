"""Work on several threads whose results come in order."""

import threading
from collections.abc import Iterator

import pytest

from shared.federated.side_by_side import THREADS, side_by_side


def test_results_come_in_the_order_of_the_calls() -> None:
    """Also where the first takes longest: here it ends after the second has begun."""
    began = threading.Event()

    def double(number: int, waits: bool) -> int:
        if waits and THREADS > 1:
            assert began.wait(60)
        began.set()
        return 2 * number

    calls = [(number, number == 0) for number in range(20)]
    assert list(side_by_side(double, calls)) == [2 * number for number in range(20)]


def test_calls_are_taken_as_results_are() -> None:
    taken = []

    def calls() -> Iterator[tuple[int]]:
        for number in range(100):
            taken.append(number)
            yield (number,)

    results = side_by_side(abs, calls())
    assert next(results) == 0
    assert len(taken) <= THREADS + 1
    results.close()


def test_what_goes_wrong_is_raised() -> None:
    results = side_by_side(divmod, [(7, 2), (1, 0), (3, 2)])
    assert next(results) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        next(results)
