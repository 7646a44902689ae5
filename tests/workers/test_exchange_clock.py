"""The exchange's clock as a service: measured, cached, or guessed, and always saying which."""

import logging
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import keys
from bus.errors import ClockRejected, ExchangeUnavailable, RateLimited
from bus.messages import ClockOffset
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


def step(venue: Ticking, step_ms: int) -> None:
    """Set the reference clock; the exchange's own runs on."""
    venue.time.began_ms += step_ms
    venue.offset_ms -= step_ms


def status_of(clock: ExchangeClock) -> TimeStatus:
    return clock.reading()[1]


def test_a_measured_offset_is_ok_and_says_how_far_it_may_be_off() -> None:
    status = status_of(clock_of(Ticking(FakeTime())))
    assert status.source == "ok"
    assert status.low_ms <= 600_000 <= status.high_ms
    assert abs(status.middle_ms - 600_000) <= status.bound_ms <= 30


def test_each_asks_the_exchange_as_it_begins_and_then_once_in_five_minutes() -> None:
    venue = Ticking(FakeTime())
    cache = LocalCache(venue.time)
    clocks = [clock_of(venue, cache) for _ in range(3)]
    for _ in range(4):
        assert {status_of(clock).source for clock in clocks} == {"ok"}
        venue.time.sleep(MINUTE_S)
    assert venue.asked_times == 3
    venue.time.sleep(2 * MINUTE_S)
    assert {status_of(clock).source for clock in clocks} == {"ok"}
    assert venue.asked_times == 6


def test_what_is_known_is_told_to_producers_by_the_reference_clock() -> None:
    venue = Ticking(FakeTime())
    cache = LocalCache(venue.time)
    clock = clock_of(venue, cache)
    for step_ms in (0, -90_000, 90_000, 0):
        step(venue, step_ms)
        clock.reading()
        for key in (keys.clock("venue"), keys.clock_last("venue")):
            told = cache.get(key, ClockOffset)
            assert told is not None
            assert told.low_ms <= venue.offset_ms <= told.high_ms
            assert told.high_ms - told.low_ms < 200
        venue.time.sleep(11)
    venue.error = ExchangeUnavailable("venue", "away")
    venue.time.sleep(keys.CLOCK_TTL_MS / 1000)
    clock.reading()
    assert cache.get(keys.clock("venue"), ClockOffset) is None, "nothing measured within five minutes"
    assert cache.get(keys.clock_last("venue"), ClockOffset) is not None


def test_who_asks_for_nothing_tells_it_all_the_same_and_asks_the_exchange_no_more_for_that() -> None:
    venue = Ticking(FakeTime())
    cache = LocalCache(venue.time)
    clock = clock_of(venue, cache)
    clock.tell()
    assert cache.get(keys.clock_last("venue"), ClockOffset) is None, "nothing is known yet"
    clock.reading()
    venue.time.sleep(3 * keys.CLOCK_TTL_MS / 1000)
    step(venue, -3_600_000)
    clock.tell()
    told = cache.get(keys.clock_last("venue"), ClockOffset)
    assert told is not None
    assert told.low_ms <= venue.offset_ms <= told.high_ms
    assert venue.asked_times == 1
    clock.reading()
    assert venue.asked_times == 2


def test_while_our_clocks_part_again_and_again_the_exchange_is_asked_every_ten_seconds() -> None:
    """As where the reference clock is slewed: by 8 % for minutes, as chrony may."""
    venue = Ticking(FakeTime())
    clock = clock_of(venue)
    for _ in range(60):
        now_ms, status = clock.reading()
        assert now_ms + status.low_ms <= venue.time.now_ms() + venue.offset_ms
        venue.time.sleep(1)
        step(venue, 83)
    assert 5 <= venue.asked_times <= 8


def test_a_step_that_is_noticed_while_the_exchange_does_not_answer_has_it_asked_once_it_does() -> None:
    venue = Ticking(FakeTime())
    clock = clock_of(venue)
    clock.reading()
    venue.time.sleep(20)
    venue.time.began_ms += 60_000  # this process stood still, its own clock with it, and the others ran on
    venue.error = ExchangeUnavailable("venue", "away")
    clock.reading()
    venue.error = None
    venue.time.sleep(31)
    before = venue.asked_times
    clock.reading()
    assert venue.asked_times == before + 1


def test_what_the_server_lost_is_told_again_within_ten_seconds() -> None:
    venue = Ticking(FakeTime())
    clock = clock_of(venue)
    clock.reading()
    clock._cache = empty = LocalCache(venue.time)
    clock.reading()
    assert empty.get(keys.clock("venue"), ClockOffset) is None
    venue.time.sleep(10)
    clock.reading()
    assert empty.get(keys.clock("venue"), ClockOffset) is not None
    assert venue.asked_times == 1


@pytest.mark.parametrize("step_ms", [-70_000, 1_500, 70_000])
def test_a_step_of_the_reference_clock_before_one_began_does_not_mislead_it(step_ms: int) -> None:
    venue = Ticking(FakeTime())
    cache = LocalCache(venue.time)
    status_of(clock_of(venue, cache))
    step(venue, step_ms)
    status = status_of(clock_of(venue, cache))
    assert status.low_ms <= venue.offset_ms <= status.high_ms


@pytest.mark.parametrize("step_ms", [-70_000, 70_000])
def test_what_another_measured_while_the_reference_clock_was_wrong_misleads_nobody(step_ms: int) -> None:
    venue = Ticking(FakeTime())
    cache = LocalCache(venue.time)
    idle, busy = clock_of(venue, cache), clock_of(venue, cache)
    for clock in (idle, busy):
        clock.reading()
    venue.time.sleep(20)
    step(venue, step_ms)
    busy.reading()
    venue.time.sleep(5)
    step(venue, -step_ms)  # right again before the other looked
    venue.time.sleep(5)
    now_ms, status = idle.reading()
    assert now_ms + status.low_ms <= venue.time.now_ms() + venue.offset_ms
    assert status.low_ms <= venue.offset_ms <= status.high_ms


@pytest.mark.parametrize("step_ms", [-70_000, 70_000])
def test_a_reference_clock_that_is_wrong_just_while_the_exchange_answers_misleads_nobody(step_ms: int) -> None:
    class Stepping(Ticking):
        def server_time(self, http: Any) -> int:
            step(self, step_ms)
            return super().server_time(http)

    venue = Stepping(FakeTime())
    clock = clock_of(venue)
    clock.reading()
    step(venue, -step_ms)
    now_ms, status = clock.reading()
    assert now_ms + status.low_ms <= venue.time.now_ms() + venue.offset_ms


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


def test_two_threads_that_complain_at_once_measure_once() -> None:
    venue = Ticking(FakeTime())
    clock = clock_of(venue)
    clock.reading()
    venue.time.sleep(1)
    complained = threading.Barrier(3)

    def complain() -> None:
        complained.wait()
        clock.remeasure()

    threads = [threading.Thread(target=complain) for _ in range(2)]
    with clock._lock:  # as while somebody measures
        for thread in threads:
            thread.start()
        complained.wait()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert venue.asked_times == 2


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
    st.tuples(
        st.floats(0, 3),
        st.floats(0, 3),
        st.floats(0, 900),
        st.booleans(),
        st.booleans(),
        st.just(0) | st.integers(-86_400_000, 86_400_000),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=12,
)


@given(st.floats(-800_000, 800_000), st.floats(-150, 150), events)
def test_the_true_offset_always_lies_inside_however_the_reference_clock_is_set(
    offset_ms: float, drift_ppm: float, happening: Any
) -> None:
    """Of each of several processes, whatever the others told: all have measured once, for before that they guess."""
    venue = Ticking(FakeTime(), offset_ms, drift_ppm)
    cache = LocalCache(venue.time)
    clocks = [clock_of(venue, cache) for _ in range(3)]
    for clock in clocks:
        clock.reading()
    for there_s, back_s, idle_s, fails, is_rejected, step_ms, whose in happening:
        step(venue, step_ms)
        venue.there_s, venue.back_s = there_s, back_s
        venue.error = ExchangeUnavailable("venue", "away") if fails else None
        if is_rejected:
            clocks[whose].remeasure()
        now_ms, status = clocks[whose].reading()
        assert status.low_ms - 1 <= venue.true_offset_ms() <= status.high_ms + 1
        assert now_ms + status.low_ms <= venue.time.now_ms() + venue.true_offset_ms() + 1
        assert status.source == "ok" or status.cause is not None
        venue.time.sleep(idle_s)


@given(st.floats(-150, 150), st.lists(st.tuples(st.floats(0, 900), st.booleans()), min_size=1, max_size=12))
def test_one_that_never_had_an_answer_goes_by_what_another_told_while_no_clock_steps(
    drift_ppm: float, happening: list[tuple[float, bool]]
) -> None:
    venue = Ticking(FakeTime(), drift_ppm=drift_ppm)
    cache = LocalCache(venue.time)
    clock_of(venue, cache).reading()
    for idle_s, fails in happening:
        venue.error = ExchangeUnavailable("venue", "away") if fails else None
        status = status_of(clock_of(venue, cache))
        assert status.low_ms - 1 <= venue.true_offset_ms() <= status.high_ms + 1
        assert status.source == ("cached" if fails else "ok")
        venue.time.sleep(idle_s)


@pytest.mark.parametrize("step_ms", [-200_000, -2_000, 2_000, 200_000])
def test_a_reference_clock_that_steps_is_noticed_at_the_next_look(step_ms: int) -> None:
    venue = Ticking(FakeTime())
    clock = clock_of(venue)
    status_of(clock)
    venue.time.sleep(20)
    step(venue, step_ms)
    now_ms, status = clock.reading()
    assert (status.source, venue.asked_times) == ("ok", 2)
    assert now_ms + status.low_ms <= venue.time.now_ms() + venue.offset_ms
    status_of(clock)
    assert venue.asked_times == 2
