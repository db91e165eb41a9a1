"""Whom a round asks: by seed and number alone, enough of them, and never nobody."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from main_server.rounds import NotAsked, RoundFull, StaleUpdate, check_place, check_update
from main_server.selection import Candidate, awake, choose, ranking, stand_ins, wanted
from shared.federated.policies import RoundSettings
from shared.federated.task import Task
from shared.federated.update import UpdateHeader

NAMES = tuple(f"device{number}" for number in range(8))


def task(min_updates: int = 1, **rounds: Any) -> Task:
    return Task(
        name="digits",
        classes=("0", "1"),
        seed=7,
        min_updates=min_updates,
        rounds=RoundSettings(**rounds),
    )


some = st.frozensets(st.sampled_from(NAMES))
settings = st.one_of(
    st.fixed_dictionaries(
        {"number": st.integers(1, 9), "over_selection": st.integers(0, 3)},
    ),
    st.fixed_dictionaries(
        {"fraction": st.floats(0.01, 0.99), "over_selection": st.integers(0, 3)},
    ),
)
candidate = st.builds(Candidate, st.booleans(), st.none() | st.integers(1, 9))
candidates = st.dictionaries(st.sampled_from(NAMES), candidate)


def test_the_order_is_that_of_every_version_of_numpy() -> None:
    """Written down: another order would ask other devices after an upgrade."""
    told = [ranking(NAMES[:5], 7, number) for number in (1, 2, 3)]
    assert told == [
        ["device1", "device3", "device2", "device4", "device0"],
        ["device4", "device0", "device1", "device3", "device2"],
        ["device2", "device4", "device3", "device1", "device0"],
    ]


@given(some, st.integers(0, 2**31 - 1), st.integers(1, 1000))
def test_equal_seeds_equal_orders(names: frozenset[str], seed: int, number: int) -> None:
    order = ranking(names, seed, number)
    assert sorted(order) == sorted(names)
    assert order == ranking(sorted(names, reverse=True), seed, number)


def test_each_is_asked_about_as_often_as_any_other() -> None:
    asked = [name for number in range(2000) for name in ranking(NAMES, 7, number)[:2]]
    for name in NAMES:
        assert abs(asked.count(name) - 500) < 100


@given(some, settings, st.integers(1, 5))
def test_enough_are_asked_and_the_first_count(
    names: frozenset[str], rounds: dict[str, Any], least: int
) -> None:
    of = task(least, **rounds)
    asked, quorum = choose(names, of, 3)
    assert asked is not None
    assert quorum is not None
    assert quorum >= least
    assert len(asked) == min(len(names), quorum + of.rounds.over_selection)
    if "number" in rounds:
        assert quorum == max(least, min(rounds["number"], len(names)))
    else:
        assert quorum == max(least, math.ceil(rounds["fraction"] * len(names) - 1e-9))


def test_a_tenth_of_thirty_is_three() -> None:
    thirty = [f"device{number}" for number in range(30)]
    assert choose(thirty, task(fraction=0.1), 1).quorum == 3
    assert choose(thirty, task(fraction=0.11), 1).quorum == 4
    assert choose(thirty, task(), 1) == (None, None)


def test_more_than_are_needed_of_all_makes_no_sense() -> None:
    with pytest.raises(ValidationError, match="set number or fraction too"):
        RoundSettings(over_selection=1)


@given(candidates, st.integers(1, 9), st.integers(1, 4))
def test_a_rest_keeps_nobody_waiting(known: dict[str, Candidate], number: int, needed: int) -> None:
    up = awake(known, number, needed)
    rested = {name for name, each in known.items() if each.rests(number)}
    ready = [name for name, each in known.items() if each.is_ready and name not in rested]
    assert up == (known.keys() - rested if len(ready) >= needed else known.keys())


@given(candidates, settings, st.integers(1, 4), st.integers(1, 9), some, some)
def test_somebody_is_asked_as_long_as_somebody_could_be(
    known: dict[str, Candidate],
    rounds: dict[str, Any],
    least: int,
    number: int,
    begun_with: frozenset[str],
    sent: frozenset[str],
) -> None:
    """Whoever was chosen and is gone: others take their places, if there are any."""
    of = task(least, **rounds)
    chosen = choose(begun_with, of, number)
    told = wanted(of, number, known, chosen, sent)
    able = {name for name in awake(known, number, least) if known[name].is_ready}
    assert set(chosen.asked or ()) <= told
    within_reach = len((told & able) | sent)
    assert within_reach >= min(chosen.quorum or least, len(able | sent))


@given(candidates, settings, st.integers(1, 4), st.integers(1, 9), some, some)
def test_nobody_waits_past_the_deadline_for_those_that_were_asked(
    known: dict[str, Candidate],
    rounds: dict[str, Any],
    least: int,
    number: int,
    begun_with: frozenset[str],
    sent: frozenset[str],
) -> None:
    of = task(least, **rounds)
    chosen = choose(begun_with, of, number)
    told = stand_ins(of, number, known, chosen, sent, is_given_up=True)
    able = {name for name in awake(known, number, least) if known[name].is_ready}
    others = able - set(chosen.asked or ()) - sent
    assert set(told) <= others
    assert len(told) == min(len(others), max(0, least - len(sent)))
    assert told == ranking(others, of.seed, number)[: len(told)]


def header(base_version: int) -> UpdateHeader:
    return UpdateHeader(
        task="digits",
        device="device1",
        base_version=base_version,
        num_samples=3,
        metrics={},
        fingerprint="f" * 64,
    )


@pytest.mark.parametrize(
    ("base_version", "exponent", "weight"), [(5, 0.5, 1.0), (4, 0.5, 0.707107), (2, 1.0, 0.25)]
)
def test_late_ones_count_less(base_version: int, exponent: float, weight: float) -> None:
    of = task(late_updates="merge", staleness_exponent=exponent)
    told = check_update(
        header(base_version), task=of, device="device1", base_version=5, fingerprint="f" * 64
    )
    assert told == pytest.approx(weight, abs=1e-6)


@pytest.mark.parametrize(
    ("late_updates", "base_version", "words"),
    [
        ("drop", 4, "That version's round is over. Run modeltrain on device1"),
        ("drop", 6, "starts from version 6"),
        ("merge", 6, "starts from version 6"),
        ("merge", 2, "At most 2 versions may be newer .digits: rounds.most_staleness.. Run"),
    ],
)
def test_late_ones_are_refused_with_a_reason(
    late_updates: str, base_version: int, words: str
) -> None:
    of = task(late_updates=late_updates, most_staleness=2)
    with pytest.raises(StaleUpdate, match=words):
        check_update(
            header(base_version), task=of, device="device1", base_version=5, fingerprint="f" * 64
        )


def test_a_late_one_whose_base_is_gone_is_refused() -> None:
    """Nobody could tell how far it moves the weights."""
    with pytest.raises(StaleUpdate, match="The weights of that version are not kept any more"):
        check_update(
            header(4),
            task=task(late_updates="merge"),
            device="device1",
            base_version=5,
            fingerprint="f" * 64,
            base_is_kept=False,
        )


def test_a_place_in_the_round() -> None:
    def place(device: str, *, is_late: bool = False, late_updates: str = "drop") -> None:
        check_place(
            task(late_updates=late_updates),
            3,
            device,
            selected=["device1", "device2", "device3"],
            quorum=2,
            sent=["device1", "device2"],
            is_late=is_late,
        )

    place("device1")  # it sends another one instead
    with pytest.raises(NotAsked, match=r"asks 3 devices, and device4 is not among them"):
        place("device4")
    with pytest.raises(RoundFull, match="takes the first 2 updates, and they are here"):
        place("device3")
    with pytest.raises(RoundFull, match="Send it again once its version is made"):
        place("device3", late_updates="merge")
    place("device4", is_late=True, late_updates="merge")  # late ones come on top
