"""Which step can be taken when: never stuck, never two that come next, and why not in words."""

import re
from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from main_server.offers import Offer, offers
from main_server.rounds import ABANDONED, AGGREGATED, DISTRIBUTED, OPEN, STEPS

NAMES = ("device1", "device2", "device3")
some = st.frozensets(st.sampled_from(NAMES))
state = st.fixed_dictionaries(
    {
        "status": st.sampled_from([None, OPEN, AGGREGATED, DISTRIBUTED, ABANDONED]),
        "sent": some,
        "ready": some,
        "trained": some,
        "min_updates": st.integers(1, 4),
        "version": st.sampled_from([None, 0, 1, 7]),
    }
)
#: Besides: how many updates count, and who comes by itself.
more = st.fixed_dictionaries(
    {"quorum": st.none() | st.integers(1, 4), "comes": st.frozensets(st.just("alice"))}
)


def primary(told: dict[str, Offer]) -> str | None:
    found = [step for step, offer in told.items() if offer.primary]
    assert len(found) <= 1
    return found[0] if found else None


@given(state)
def test_every_state_is_told_in_order_and_in_sentences(given: dict[str, Any]) -> None:
    told = offers(**given)
    assert tuple(told) == STEPS
    for offer in told.values():
        assert not (offer.primary and offer.reason)
        assert offer.reason is None or re.fullmatch(r"\S.{10,}\.", offer.reason)


@given(state)
def test_nobody_is_stuck(given: dict[str, Any]) -> None:
    """Where a device is ready and a version is there, something comes next; or another device
    is missing, and that is said."""
    told = offers(**given)
    if given["version"] is None or not given["ready"] or primary(told):
        return
    assert given["status"] == OPEN
    assert set(given["ready"]) <= set(given["sent"])
    assert "another device has to send" in str(told["aggregate_models"].reason)


@given(state, more)
def test_what_comes_by_itself_and_what_counts_no_more(
    given: dict[str, Any], besides: dict[str, Any]
) -> None:
    told = offers(**given, **besides)
    assert tuple(told) == STEPS
    assert all(offer.reason is None or offer.reason.endswith(".") for offer in told.values())
    quorum, number = besides["quorum"], len(given["sent"])
    is_full = given["status"] == OPEN and quorum is not None and number >= quorum
    if is_full and given["version"] is not None:
        assert told["modeltrain"].reason is not None
        assert told["sendmodel"].reason is not None
        if number >= given["min_updates"]:
            assert primary(told) == "aggregate_models"
    if primary(told) is None and given["version"] is not None and besides["comes"]:
        # Somebody else has to do something, and it is said who.
        reasons = " ".join(str(offer.reason) for offer in told.values())
        assert re.search(r"come by themselves|another device has to send|are here", reasons)


WITH_DEVICES = re.compile(r"No device is ready|another device has to send|is preparing version 0")


def every_state() -> Iterator[dict[str, Any]]:
    """All states of two devices. What a round has, it has only while it is open."""
    sets = [frozenset(names) for size in range(3) for names in combinations(NAMES[:2], size)]
    for status in (None, OPEN, AGGREGATED, DISTRIBUTED, ABANDONED):
        for sent, trained in product(sets, sets) if status == OPEN else [(sets[0], sets[0])]:
            for ready, min_updates, version in product(sets, (1, 2, 3), (None, 0, 4)):
                yield {
                    "status": status,
                    "sent": sent,
                    "ready": ready,
                    "trained": trained,
                    "min_updates": min_updates,
                    "version": version,
                }


def test_a_step_can_be_taken_or_a_device_has_to_come() -> None:
    """In every state: nothing that the main server could do itself is waited for."""
    states = list(every_state())
    assert len(states) == (4 + 4 * 4) * 4 * 3 * 3
    for each in states:
        told = offers(**each)
        if primary(told) is None:
            reasons = [str(offer.reason) for offer in told.values()]
            assert any(WITH_DEVICES.search(reason) for reason in reasons), each
            assert each["version"] is None or not each["ready"] or each["status"] == OPEN


@given(state)
def test_after_a_promotion_a_training_comes_next(given: dict[str, Any]) -> None:
    """Whatever the round was at: it is abandoned, and the promoted version waits for nothing."""
    given |= {"status": ABANDONED, "version": 5, "trained": frozenset()}
    told = offers(**given)
    assert primary(told) == ("modeltrain" if given["ready"] else None)
    if given["ready"]:
        reason = "Devices install version 5, which was promoted, by themselves."
        assert told["send_model_clients"].reason == reason


@given(state)
def test_what_comes_next_leads_on(given: dict[str, Any]) -> None:
    """Each step, once its devices have done it, leads to another one, up to the next round."""
    seen = []
    while step := primary(offers(**given)):
        seen.append(step)
        assert len(seen) <= len(STEPS) + 1
        if step == "modeltrain":
            given["trained"] |= given["ready"]
            if given["status"] != OPEN:
                given |= {"status": OPEN, "sent": frozenset(), "trained": given["ready"]}
        elif step == "sendmodel":
            given["sent"] |= given["trained"] & given["ready"]
        elif step == "aggregate_models":
            given["status"] = AGGREGATED
            given["version"] += 1
        else:
            break
    if seen and len(given["ready"]) >= given["min_updates"]:
        assert seen[-1] == "send_model_clients"


@given(state)
def test_a_step_is_only_offered_where_it_can_be_taken(given: dict[str, Any]) -> None:
    told = {step for step, offer in offers(**given).items() if offer.reason is None}
    if "modeltrain" in told or "sendmodel" in told:
        assert given["ready"]
    if "aggregate_models" in told:
        assert given["status"] == OPEN
        assert len(given["sent"]) >= given["min_updates"]
    if "send_model_clients" in told:
        assert given["status"] == AGGREGATED


BOTH = ("device1", "device2")


@pytest.mark.parametrize(
    ("status", "sent", "ready", "trained", "step"),
    [
        (None, (), BOTH, (), "modeltrain"),
        (OPEN, (), BOTH, BOTH, "sendmodel"),
        (OPEN, (), BOTH, ("device1",), "sendmodel"),
        (OPEN, BOTH, BOTH, BOTH, "aggregate_models"),
        (AGGREGATED, (), BOTH, (), "send_model_clients"),
        (DISTRIBUTED, (), BOTH, (), "modeltrain"),
        (ABANDONED, (), BOTH, (), "modeltrain"),
        # Its state was deleted after it trained: nothing is there to be sent.
        (OPEN, (), ("device1",), (), "modeltrain"),
        # One has sent; the other did not train, and may do it now or is not needed.
        (OPEN, ("device1",), BOTH, ("device1",), "modeltrain"),
        (OPEN, ("device1",), ("device1",), BOTH, "aggregate_models"),
        (OPEN, ("device1",), BOTH, BOTH, "sendmodel"),
        # All are away, their updates are here.
        (OPEN, BOTH, (), BOTH, "aggregate_models"),
    ],
)
def test_what_comes_next(
    status: str | None,
    sent: tuple[str, ...],
    ready: tuple[str, ...],
    trained: tuple[str, ...],
    step: str,
) -> None:
    assert primary(offers(status, sent, ready, trained, 1, 1)) == step


def test_without_a_device_that_is_missing_it_goes_on_too() -> None:
    told = offers(OPEN, ["device1"], BOTH, BOTH, 1, 1)
    assert told["aggregate_models"] == Offer(primary=False, reason=None)
    told = offers(OPEN, ["device1"], BOTH, BOTH, 2, 1)
    assert "1 of at least 2 updates are here" in str(told["aggregate_models"].reason)


@pytest.mark.parametrize(
    ("told", "step", "reason"),
    [
        ((AGGREGATED, (), BOTH, (), 1, 5), "modeltrain", "Version 5 is not with the devices yet"),
        ((DISTRIBUTED, (), BOTH, (), 1, 5), "send_model_clients", "is with the devices already"),
        ((None, (), BOTH, (), 1, 0), "sendmodel", "train first"),
        ((None, (), BOTH, (), 1, 0), "aggregate_models", "train and send first"),
        ((None, (), (), (), 1, 0), "modeltrain", "No device is ready"),
        ((None, (), BOTH, (), 1, None), "modeltrain", "There is no global model yet"),
        ((OPEN, (), ("device1",), ("device2",), 1, 0), "sendmodel", "device2 has something"),
    ],
)
def test_reasons(told: tuple[Any, ...], step: str, reason: str) -> None:
    assert reason in str(offers(*told)[step].reason)
