from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bus.messages import ClockOffset
from tests.workers.exchange_fakes import Venue
from workers.clock_offset import against, agree, combined, of_coarse_clock, sample, widened
from workers.exchange_time import measure

delays = st.lists(st.tuples(st.floats(0, 3_000), st.floats(0, 3_000), st.floats(0, 60_000)), min_size=1, max_size=6)
offsets = st.floats(-86_400_000, 86_400_000)
NOW = 1_735_689_600_000.25


class World:
    """Two clocks that read whole ms, and an exchange some way off."""

    def __init__(self, offset_ms: float, paths: list[tuple[float, float, float]], drift_ppm: float = 0) -> None:
        self.now = NOW
        self.offset = offset_ms
        self.drift_ppm = drift_ppm
        self.paths = iter(paths)

    def now_ms(self) -> int:
        return int(self.now // 1)

    def sleep(self, seconds: float) -> None:
        raise AssertionError("not asked here")

    def true_offset(self) -> float:
        return self.offset + (self.now - NOW) * self.drift_ppm / 1e6

    def pass_ms(self, ms: float) -> None:
        self.now += ms

    def server_time(self, http: Any) -> int:
        out, back, idle = next(self.paths)
        self.pass_ms(out)
        server_ms = int((self.now + self.true_offset()) // 1)
        self.pass_ms(back)
        self.idle = idle
        return server_ms


@given(offsets, delays)
def test_the_truth_lies_inside_whatever_the_delays(offset: float, paths: list[tuple[float, float, float]]) -> None:
    world = World(offset, paths)
    venue = Venue()
    venue.server_time = world.server_time  # type: ignore[method-assign]
    known = measure(venue, None, world.now_ms, samples=len(paths))  # type: ignore[arg-type]
    assert known.low_ms <= offset <= known.high_ms
    assert world.now_ms() + known.low_ms <= world.now + offset
    assert known.high_ms - known.low_ms <= min(out + back for out, back, _ in paths) + 20


@given(offsets, delays, st.floats(-150, 150))
def test_the_truth_stays_inside_while_the_clocks_drift(
    offset: float, paths: list[tuple[float, float, float]], drift_ppm: float
) -> None:
    world = World(offset, paths, drift_ppm)
    known: ClockOffset | None = None
    for _ in paths:
        sent = world.now_ms()
        newest = sample(world.server_time(None), sent, world.now_ms())
        known = newest if known is None else combined(known, newest)
        assert known.low_ms - 1 <= world.true_offset() <= known.high_ms + 1
        world.pass_ms(world.idle)
        aged = widened(known, world.now_ms())
        assert aged.low_ms - 1 <= world.true_offset() <= aged.high_ms + 1


def test_one_answer_bounds_the_offset_by_its_way_there_and_back() -> None:
    offset = sample(told_ms=1_000, sent_ms=100, received_ms=300)
    assert (offset.low_ms, offset.high_ms, offset.measured_ms) == (699, 901, 300)


def test_what_two_samples_prove_is_what_both_allow() -> None:
    early = ClockOffset(low_ms=0, high_ms=100, measured_ms=0)
    late = ClockOffset(low_ms=50, high_ms=300, measured_ms=0)
    assert combined(early, late) == ClockOffset(low_ms=50, high_ms=100, measured_ms=0)


def test_knowledge_grows_wider_with_age() -> None:
    known = ClockOffset(low_ms=10, high_ms=20, measured_ms=0)
    assert widened(known, 10_000) == ClockOffset(low_ms=8, high_ms=22, measured_ms=10_000)
    assert widened(known, -1) == ClockOffset(low_ms=9, high_ms=21, measured_ms=-1)


def test_after_a_step_of_a_clock_the_newest_sample_holds_alone() -> None:
    known = ClockOffset(low_ms=0, high_ms=10, measured_ms=0)
    newest = ClockOffset(low_ms=60_000, high_ms=60_010, measured_ms=1_000)
    assert combined(known, newest) == newest


def test_two_offsets_agree_where_drift_explains_what_lies_between_them() -> None:
    known = ClockOffset(low_ms=0, high_ms=10, measured_ms=0)
    assert agree(known, ClockOffset(low_ms=12, high_ms=20, measured_ms=10_000))
    assert not agree(known, ClockOffset(low_ms=13, high_ms=20, measured_ms=10_000))
    assert agree(known, ClockOffset(low_ms=-9, high_ms=-2, measured_ms=10_000))
    assert not agree(known, ClockOffset(low_ms=-9, high_ms=-3, measured_ms=10_000))


def test_a_clock_told_in_whole_seconds_may_be_almost_one_later_than_it_says() -> None:
    known = ClockOffset(low_ms=10, high_ms=20, measured_ms=5)
    assert of_coarse_clock(known, 1_000) == ClockOffset(low_ms=10, high_ms=1_019, measured_ms=5)
    assert of_coarse_clock(known, 1) == known


@given(offsets, offsets, st.lists(delays.map(lambda paths: paths[0]), min_size=2, max_size=2))
def test_an_offset_by_one_clock_is_told_by_another(
    offset: float, other: float, paths: list[tuple[float, float, float]]
) -> None:
    """Both are measured by one clock; the truth between the two stays inside."""
    world = World(offset, paths)
    sent = world.now_ms()
    exchange = sample(world.server_time(None), sent, world.now_ms())
    world.pass_ms(world.idle)
    world.offset, sent = other, world.now_ms()
    reference_ms = world.server_time(None)
    reference = sample(reference_ms, sent, world.now_ms())
    told = against(exchange, reference, reference_ms)
    assert told.low_ms <= offset - other <= told.high_ms
    assert told.measured_ms == reference_ms
    assert reference_ms + told.low_ms <= world.now + offset
