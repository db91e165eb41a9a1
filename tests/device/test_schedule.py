"""When a device trains by itself, on every clock."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.device.schedule import Schedule, Window

#: With summer time in the north and in the south, half an hour of it, and without.
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
BERLIN = ZoneInfo("Europe/Berlin")

zones = st.sampled_from(ZONES).map(ZoneInfo)
times = st.floats(min_value=1_700_000_000, max_value=1_900_000_000)
clocks = st.builds(time, st.integers(0, 23), st.integers(0, 59))
windows = st.builds(Window, clocks, clocks).filter(lambda each: each.begins != each.ends)


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@given(now=times, window=windows, zone=zones, part=st.floats(0, 1, exclude_max=True))
def test_a_daily_window_is_the_next_one(
    now: float, window: Window, zone: ZoneInfo, part: float
) -> None:
    schedule = Schedule("daily", window=window)
    begins = schedule.next_time(now, None, zone)
    assert begins is not None
    assert now <= begins < now + timedelta(days=2).total_seconds()
    assert schedule.may_train(begins, None, zone)
    assert window.holds(datetime.fromtimestamp(begins, zone).time())
    before = now + part * (begins - now)
    if before < begins:
        assert not schedule.may_train(before, None, zone)
        assert schedule.next_time(before, None, zone) == begins


@given(now=times, last=st.none() | times, zone=zones, seconds=st.floats(1, 1e6))
def test_an_interval_counts_from_the_last_training(
    now: float, last: float | None, zone: ZoneInfo, seconds: float
) -> None:
    schedule = Schedule("interval", interval_seconds=seconds)
    begins = schedule.next_time(now, last, zone)
    assert begins is not None
    assert now <= begins <= now + seconds
    if last is None or last + seconds <= now:
        assert begins == now
    if last is not None and last <= now:
        assert begins >= last + seconds
    assert schedule.may_train(begins, None if last is None else min(last, now), zone)


@given(now=times, last=st.none() | times)
def test_manual_is_never_and_continuous_always(now: float, last: float | None) -> None:
    assert Schedule("manual").next_time(now, last) is None
    assert not Schedule("manual").may_train(now, last)
    assert Schedule("continuous").may_train(now, last)


@pytest.mark.parametrize(
    ("window", "now", "begins"),
    [
        ("22:00-06:00", "2026-06-01T21:59:30+02:00", "2026-06-01T22:00:00+02:00"),
        ("22:00-06:00", "2026-06-01T23:30:00+02:00", "2026-06-01T23:30:00+02:00"),
        ("22:00-06:00", "2026-06-02T06:00:00+02:00", "2026-06-02T22:00:00+02:00"),
        # On 29 March 2026 the clock goes from 2:00 to 3:00: a window begins where it can …
        ("02:30-04:00", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"),
        # … and one that is skipped comes the next day.
        ("02:10-02:50", "2026-03-29T01:00:00+01:00", "2026-03-30T02:10:00+02:00"),
        # On 25 October 2026 it goes back from 3:00 to 2:00: that hour is in it twice.
        ("02:00-02:30", "2026-10-25T02:40:00+02:00", "2026-10-25T02:00:00+01:00"),
    ],
)
def test_clocks_that_are_changed(window: str, now: str, begins: str) -> None:
    schedule = Schedule("daily", window=Window.parse(window))
    assert schedule.next_time(at(now), None, BERLIN) == at(begins)


def test_a_window_is_as_long_as_its_night() -> None:
    schedule = Schedule("daily", window=Window.parse("22:00-06:00"))
    hours = {}
    for night in ("2026-03-28", "2026-06-01", "2026-10-24"):
        begins = datetime.fromisoformat(f"{night}T22:00").replace(tzinfo=BERLIN).timestamp()
        minutes = (begins + 60 * minute for minute in range(12 * 60))
        hours[night] = sum(schedule.may_train(each, None, BERLIN) for each in minutes) / 60
    assert hours == {"2026-03-28": 7, "2026-06-01": 8, "2026-10-24": 9}


@pytest.mark.parametrize("text", ["", "22-06", "24:00-06:00", "22:00-22:00", "22:00 - 06:00"])
def test_what_is_no_window_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"window|ends when it begins"):
        Window.parse(text)
    assert str(Window.parse("22:00-06:00")) == "22:00-06:00"
