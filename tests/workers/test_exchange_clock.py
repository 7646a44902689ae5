"""The exchange's clock as a service: measured, cached, or guessed, and always saying which."""

import logging
import threading
import time

import pytest

from bus import keys
from bus.errors import ClockRejected, ExchangeUnavailable, RateLimited
from bus.messages import ClockOffset
from tests.workers.exchange_fakes import FakeTime
from tests.workers.ticking import DAY_S, MINUTE_S, Ticking, clock_of, status_of, step
from workers.exchange_time import LOCAL_BOUND_MS
from workers.local_cache import LocalCache


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
