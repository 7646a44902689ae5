"""The stream aligner by example: what waits, what is final, what is late."""

import itertools
from typing import Any

import pytest

from bus.alignment import AlignedRow
from bus.errors import DecodeError, GroupError, SpanError
from bus.messages import Candle
from bus.stream_alignment import LateCandle, StreamAligner

BAR = 60_000


def candle(open_time: int, close: float = 1.0) -> Candle:
    return Candle(open_time, 1.0, 2.0, 0.5, close, 10.0)


def bars(*numbers: int, close: float = 1.0) -> list[Candle]:
    return [candle(k * BAR, close) for k in numbers]


def two(**options: int) -> StreamAligner:
    return StreamAligner(["a", "b"], BAR, 10_000, 0, **options)


def decided(**options: int) -> StreamAligner:
    """Two sources whose bars 0, 1 and 2 are decided; ``b`` has none at 1."""
    aligner = two(**options)
    aligner.push("a", 5, 0, 3 * BAR, bars(0, 1, 2))
    aligner.push("b", 5, 0, 3 * BAR, bars(0, 2))
    assert [row.open_time for row in aligner.poll()] == [0, 2 * BAR]
    return aligner


def test_a_row_is_out_once_every_source_has_settled_its_candle() -> None:
    aligner = two()
    aligner.push("a", 1, 0, BAR, bars(0))
    assert aligner.poll() == []
    aligner.push("b", 1, 0, BAR, [candle(7, close=2.0)])
    assert aligner.poll() == [AlignedRow(0, 7, {"a": candle(0), "b": candle(7, close=2.0)})]
    assert aligner.poll() == []


def test_an_empty_page_settles_its_span_so_that_a_gap_is_no_stall() -> None:
    aligner = two()
    aligner.push("a", 1, 0, 2 * BAR, bars(0, 1))
    aligner.push("b", 1, 0, BAR, [])
    assert aligner.poll() == []
    assert aligner.pending("a") == 1
    aligner.push("b", 1, BAR, 2 * BAR, bars(1))
    assert [row.open_time for row in aligner.poll()] == [BAR]


@pytest.mark.parametrize("order", list(itertools.permutations([0, 2, 4])))
def test_a_hole_in_what_is_settled_holds_every_later_row(order: tuple[int, ...]) -> None:
    aligner = two()
    aligner.push("a", 1, 0, 5 * BAR, bars(*range(5)))
    for k in order:
        aligner.push("b", 1, k * BAR, (k + 1) * BAR, bars(k))
    assert [row.open_time for row in aligner.poll()] == [0]
    assert aligner.settled_ms("b") == BAR
    aligner.push("b", 1, BAR, 2 * BAR, bars(1))
    assert [row.open_time for row in aligner.poll()] == [BAR, 2 * BAR]
    assert aligner.settled_ms("b") == 3 * BAR
    aligner.push("b", 1, 3 * BAR, 4 * BAR, bars(3))
    assert [row.open_time for row in aligner.poll()] == [3 * BAR, 4 * BAR]


def test_candles_before_the_start_are_ignored_and_the_start_itself_is_not() -> None:
    aligner = StreamAligner(["a"], BAR, 0, BAR)
    aligner.push("a", 1, 0, 2 * BAR, bars(0, 1))
    assert [row.open_time for row in aligner.poll()] == [BAR]
    assert aligner.take_late() == []


def test_the_greatest_version_holds_while_its_open_time_is_undecided() -> None:
    aligner = two()
    aligner.push("a", 2, 0, BAR, bars(0, close=2.0))
    aligner.push("a", 1, 0, BAR, bars(0, close=9.0))
    aligner.push("a", 2, 0, BAR, bars(0, close=1.5))
    aligner.push("b", 1, 0, BAR, bars(0))
    assert aligner.poll()[0].candles["a"].close == 2.0
    assert aligner.take_late() == []


def test_a_newer_version_that_changes_a_candle_before_its_row_is_final_is_counted_as_a_correction() -> None:
    aligner = two()
    aligner.push("a", 1, 0, BAR, bars(0, close=1.0))
    aligner.push("a", 2, 0, BAR, bars(0, close=1.0))
    assert aligner.corrections("a") == 0
    aligner.push("a", 3, 0, BAR, bars(0, close=1.5))
    aligner.push("a", 2, 0, BAR, bars(0, close=9.0))
    aligner.push("b", 1, 0, BAR, bars(0))
    assert aligner.poll()[0].candles["a"].close == 1.5
    aligner.push("a", 4, 0, BAR, bars(0, close=2.0))
    assert (aligner.corrections("a"), aligner.corrections("b"), aligner.late_count("a")) == (1, 0, 1)


def test_a_candle_that_comes_after_its_span_was_settled_still_counts_while_undecided() -> None:
    aligner = two()
    aligner.push("a", 1, 0, 3 * BAR, bars(0, 2))
    aligner.push("a", 1, BAR, 2 * BAR, bars(1))
    aligner.push("b", 1, 0, 3 * BAR, bars(0, 1, 2))
    assert [row.open_time for row in aligner.poll()] == [0, BAR, 2 * BAR]


def test_a_redelivered_candle_is_not_late_whatever_its_version() -> None:
    aligner = decided()
    for version in (4, 5, 6):
        aligner.push("a", version, 0, 3 * BAR, bars(0, 1, 2))
    assert aligner.take_late() == []
    assert aligner.late_count("a") == 0


def test_a_changed_candle_is_late_once_and_counted() -> None:
    aligner = decided()
    for _ in range(2):
        aligner.push("a", 6, 0, BAR, bars(0, close=9.0))
    assert aligner.take_late() == [LateCandle("a", 6, "changed", candle(0, close=9.0))]
    assert aligner.take_late() == []
    assert (aligner.late_count("a"), aligner.late_count("b")) == (1, 0)
    assert aligner.poll() == []


def test_an_older_form_of_a_decided_candle_is_not_late() -> None:
    aligner = decided()
    aligner.push("a", 4, 0, BAR, bars(0, close=9.0))
    assert aligner.take_late() == []


def test_a_candle_where_there_was_none_is_late_once_that_is_decided() -> None:
    aligner = decided()
    aligner.push("b", 1, BAR, 2 * BAR, bars(1))
    assert aligner.take_late() == [LateCandle("b", 1, "added", candle(BAR))]


def test_a_candle_of_a_slower_source_that_no_row_can_use_is_not_late() -> None:
    aligner = two()
    aligner.push("b", 1, 0, 9 * BAR, [])
    assert aligner.poll() == []
    assert aligner.decided_ms == 9 * BAR - 10_000
    aligner.push("a", 1, 0, BAR, bars(0))
    aligner.push("a", 1, 0, BAR, bars(0))
    assert aligner.pending("a") == 0
    assert aligner.take_late() == []


def test_of_forgotten_candles_only_newer_versions_are_late() -> None:
    aligner = decided(remember=1)
    aligner.push("a", 5, 0, 3 * BAR, bars(0, 1, 2, close=9.0))
    assert aligner.take_late() == [LateCandle("a", 5, "changed", candle(2 * BAR, close=9.0))]
    aligner.push("a", 6, 0, 2 * BAR, bars(0, 1))
    assert [(late.candle.open_time, late.reason) for late in aligner.take_late()] == [
        (0, "forgotten"),
        (BAR, "forgotten"),
    ]


def test_a_source_that_is_silent_holds_the_rows_but_candles_without_a_partner_go() -> None:
    aligner = two()
    aligner.push("a", 1, 0, 100 * BAR, bars(*range(100)))
    assert aligner.poll() == []
    assert aligner.pending("a") == 100
    aligner.push("b", 1, 0, 50 * BAR, [])
    assert aligner.poll() == []
    assert aligner.pending("a") == 50


@pytest.mark.parametrize("tolerance", [BAR // 2, BAR])
def test_a_tolerance_of_half_a_timeframe_is_refused(tolerance: int) -> None:
    with pytest.raises(SpanError, match=f"tolerance of {tolerance} ms is not below half of 60000 ms; at most 29999"):
        StreamAligner(["a"], BAR, tolerance, 0)


@pytest.mark.parametrize("sources", [[], ["a", "a"]])
def test_sources_are_named_once_each(sources: list[str]) -> None:
    with pytest.raises(GroupError, match="sources must be named once each"):
        StreamAligner(sources, BAR, 0, 0)


def test_an_unknown_source_is_refused_by_name() -> None:
    with pytest.raises(GroupError, match="c is not a source here; there are: a b"):
        two().push("c", 1, 0, BAR, [])


def test_a_page_whose_span_is_none_is_refused_and_leaves_no_trace() -> None:
    aligner = two()
    before = aligner.state()
    with pytest.raises(SpanError, match="before it starts"):
        aligner.push("a", 1, BAR, 0, bars(0))
    assert aligner.state() == before


@pytest.mark.parametrize(
    "state", [{}, {"sources": 5}, {**two().state(), "timing": [BAR, BAR, 0, 9, None]}, {**two().state(), "late": [1]}]
)
def test_what_is_no_state_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(DecodeError, match="not the state of an aligner"):
        StreamAligner.restore(state)
