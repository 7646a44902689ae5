"""The exchange's clock as a service: measured, cached, or guessed, and always saying which."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import ClockRejected, ExchangeUnavailable, RateLimited
from tests.workers.exchange_fakes import FakeTime, Venue
from workers.exchange_time import LOCAL_BOUND_MS, ExchangeClock, TimeStatus
from workers.local_cache import LocalCache

MINUTE_S = 60.0
DAY_S = 86_400.0


class Ticking(Venue):
    """Tells its time after a way there and back, or fails."""

    def __init__(self, time: FakeTime, offset_ms: float = 600_000, drift_ppm: float = 0) -> None:
        super().__init__()
        self.time = time
        self.offset_ms = offset_ms
        self.drift_ppm = drift_ppm
        self.there_s, self.back_s = 0.02, 0.03
        self.error: Exception | None = None
        self.asked_times = 0

    def true_offset_ms(self) -> float:
        return self.offset_ms + self.time.passed_s * self.drift_ppm / 1000

    def server_time(self, http: Any) -> int:
        self.asked_times += 1
        self.time.sleep(self.there_s)
        if self.error is not None:
            raise self.error
        server_ms = int(self.time.began_ms + self.time.passed_s * 1000 + self.true_offset_ms())
        self.time.sleep(self.back_s)
        return server_ms


def clock_of(venue: Ticking, cache: LocalCache | None = None) -> ExchangeClock:
    known: Any = {"http": None, "clock": venue.time, "cache": cache or LocalCache(venue.time)}
    return ExchangeClock(venue, **known, monotonic=lambda: venue.time.passed_s)


def status_of(clock: ExchangeClock) -> TimeStatus:
    return clock.reading()[1]


def test_a_measured_offset_is_ok_and_says_how_far_it_may_be_off() -> None:
    status = status_of(clock_of(Ticking(FakeTime())))
    assert status.source == "ok"
    assert status.low_ms <= 600_000 <= status.high_ms
    assert abs(status.middle_ms - 600_000) <= status.bound_ms <= 30


def test_the_exchange_is_asked_as_each_begins_and_then_once_in_five_minutes_by_all_who_share_the_cache() -> None:
    venue = Ticking(FakeTime())
    cache = LocalCache(venue.time)
    clocks = [clock_of(venue, cache) for _ in range(3)]
    for _ in range(4):
        assert {status_of(clock).source for clock in clocks} == {"ok"}
        venue.time.sleep(MINUTE_S)
    assert venue.asked_times == 3
    venue.time.sleep(2 * MINUTE_S)
    assert {status_of(clock).source for clock in clocks} == {"ok"}
    assert venue.asked_times == 4


@pytest.mark.parametrize("step_ms", [-70_000, 1_500, 70_000])
def test_a_step_of_the_reference_clock_before_one_began_does_not_mislead_it(step_ms: int) -> None:
    venue = Ticking(FakeTime())
    cache = LocalCache(venue.time)
    status_of(clock_of(venue, cache))
    venue.time.began_ms += step_ms
    venue.offset_ms -= step_ms  # the exchange's own clock runs on
    status = status_of(clock_of(venue, cache))
    assert status.low_ms <= venue.offset_ms <= status.high_ms


def test_an_exchange_that_does_not_tell_leaves_the_cached_offset_wider_by_its_age(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    venue = Ticking(FakeTime(), drift_ppm=150)
    clock = clock_of(venue)
    fresh = status_of(clock)
    venue.error = ExchangeUnavailable("venue", "away")
    for _ in range(8):
        venue.time.sleep(10 * MINUTE_S)
        aged = status_of(clock)
        assert aged.source == "cached"
        assert aged.low_ms <= venue.true_offset_ms() <= aged.high_ms
        assert "away" in str(aged.cause)
    assert aged.bound_ms > fresh.bound_ms
    venue.error = None
    venue.time.sleep(MINUTE_S)
    assert status_of(clock).source == "ok"
    messages = [record.message for record in caplog.records]
    assert messages == ["exchange time is not available", "exchange time is known again"]
    assert (caplog.records[0].source, caplog.records[0].levelname) == ("cached", "WARNING")  # type: ignore[attr-defined]


def test_a_new_process_starts_from_the_offset_that_was_kept() -> None:
    venue = Ticking(FakeTime())
    cache = LocalCache(venue.time)
    clock_of(venue, cache).reading()
    venue.error = ExchangeUnavailable("venue", "away")
    venue.time.sleep(6 * MINUTE_S)
    assert status_of(clock_of(venue, cache)).source == "cached"
    venue.time.sleep(2 * DAY_S)
    assert status_of(clock_of(venue, cache)).source == "local"


def test_where_nothing_was_ever_measured_our_own_clock_counts_with_a_wide_bound(
    caplog: pytest.LogCaptureFixture,
) -> None:
    venue = Ticking(FakeTime())
    venue.error = ExchangeUnavailable("venue", "away")
    clock = clock_of(venue)
    for _ in range(5):
        status = status_of(clock)
        assert (status.source, status.middle_ms, status.bound_ms) == ("local", 0, LOCAL_BOUND_MS)
        assert status.low_ms <= venue.true_offset_ms() <= status.high_ms
    assert [r.message for r in caplog.records] == ["exchange time is not available"]
    assert venue.asked_times == 3  # the tries of one measurement: it is not asked again at every reading
    venue.time.sleep(31)
    venue.error = None
    assert status_of(clock).source == "ok"


def test_after_a_complaint_about_the_clock_the_former_offset_is_forgotten() -> None:
    venue = Ticking(FakeTime())
    clock = clock_of(venue)
    clock.reading()
    venue.offset_ms = 600_040  # a step so small that old and new intervals still overlap
    clock.remeasure()
    assert venue.asked_times == 2
    status = status_of(clock)
    assert status.low_ms <= 600_040 <= status.high_ms
    assert venue.asked_times == 2


def test_two_who_complain_at_once_measure_once() -> None:
    venue = Ticking(FakeTime())
    cache = LocalCache(venue.time)
    first, second = clock_of(venue, cache), clock_of(venue, cache)
    asked_ms = venue.time.now_ms()
    first.remeasure()
    before = venue.asked_times
    venue.time.passed_s = (asked_ms - venue.time.began_ms) / 1000  # the second complained at the same moment
    second.remeasure()
    assert venue.asked_times == before


def test_where_a_new_measurement_fails_what_was_known_stays() -> None:
    venue = Ticking(FakeTime())
    clock = clock_of(venue)
    before = status_of(clock)
    venue.error = ClockRejected("venue", "wrong clock")
    clock.remeasure()
    assert status_of(clock).low_ms <= before.low_ms + 1
    assert status_of(clock).source == "ok"


def test_a_refusal_is_kept_as_the_cause() -> None:
    venue = Ticking(FakeTime())
    venue.error = RateLimited("venue", "slow down", pause_ms=1)
    status = status_of(clock_of(venue))
    assert (status.source, status.cause) == ("local", venue.error)


events = st.lists(
    st.tuples(st.floats(0, 3), st.floats(0, 3), st.floats(0, 900), st.booleans(), st.booleans()),
    min_size=1,
    max_size=12,
)


@given(st.floats(-800_000, 800_000), st.floats(-150, 150), events)
def test_the_true_offset_always_lies_inside(offset_ms: float, drift_ppm: float, happening: Any) -> None:
    venue = Ticking(FakeTime(), offset_ms, drift_ppm)
    clock = clock_of(venue)
    for there_s, back_s, idle_s, fails, is_rejected in happening:
        venue.there_s, venue.back_s = there_s, back_s
        venue.error = ExchangeUnavailable("venue", "away") if fails else None
        if is_rejected:
            clock.remeasure()
        now_ms, status = clock.reading()
        assert status.low_ms - 1 <= venue.true_offset_ms() <= status.high_ms + 1
        assert now_ms + status.low_ms <= venue.time.now_ms() + venue.true_offset_ms() + 1
        assert status.source == "ok" or status.cause is not None
        venue.time.sleep(idle_s)


@pytest.mark.parametrize("step_ms", [-200_000, -2_000, 2_000, 200_000])
def test_a_reference_clock_that_steps_is_noticed_at_the_next_look(step_ms: int) -> None:
    venue = Ticking(FakeTime())
    clock = clock_of(venue)
    status_of(clock)
    venue.time.sleep(20)
    venue.time.began_ms += step_ms
    venue.offset_ms -= step_ms
    now_ms, status = clock.reading()
    assert (status.source, venue.asked_times) == ("ok", 2)
    assert now_ms + status.low_ms <= venue.time.now_ms() + venue.offset_ms
    status_of(clock)
    assert venue.asked_times == 2
