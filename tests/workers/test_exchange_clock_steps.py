"""The exchange's clock while ours are set back and ahead: no step misleads anybody."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import ExchangeUnavailable
from tests.workers.exchange_fakes import FakeTime
from tests.workers.ticking import Ticking, clock_of, status_of, step
from workers.local_cache import LocalCache


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
