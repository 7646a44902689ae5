"""The grid of open times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import UnsupportedTimeframe
from bus.timeframes import TIMEFRAMES, timeframe

frames = st.sampled_from(list(TIMEFRAMES.values()))
instants = st.integers(0, 2**45)


@given(frames, instants)
def test_an_instant_lies_between_its_floor_and_its_ceiling(frame: object, instant_ms: int) -> None:
    floor, ceil = frame.floor(instant_ms), frame.ceil(instant_ms)  # type: ignore[attr-defined]
    assert floor <= instant_ms <= ceil
    assert floor % frame.duration_ms == ceil % frame.duration_ms == 0  # type: ignore[attr-defined]
    assert ceil - floor in (0, frame.duration_ms)  # type: ignore[attr-defined]


def test_a_candle_that_opens_at_the_end_belongs_to_the_next_span() -> None:
    assert list(timeframe("1m").open_times(1, 120_000)) == [60_000]
    assert timeframe("1m").slots(0, 120_000) == 2


@pytest.mark.parametrize("name", ["", "1", "7m", "1s", "1H", "30min"])
def test_a_name_that_is_no_timeframe_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(UnsupportedTimeframe, match=r"unknown timeframe .*; candlebus serves: 1m 3m .* 1d"):
        timeframe(name)


@pytest.mark.parametrize("name", ["1w", "1M", "3d"])
def test_a_timeframe_without_a_common_grid_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(UnsupportedTimeframe, match="different days on different venues"):
        timeframe(name)
