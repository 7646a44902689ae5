"""Alignment of numpy columns: the rows of the lists, whatever way they are found, and the shapes that go in and out."""

import itertools
import random
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import column_bars, column_islands, column_rows
from bus.closest_first import closest_first
from bus.column_alignment import AlignedColumns, align_columns
from bus.column_rows import matched
from bus.errors import RequestError, SettingsError, SpanError
from tests.bus.alignment_oracle import Row, Times
from tests.bus.thoroughness import cases

MINUTE = 60_000

seeds = st.integers(0, 2**32).map(random.Random)
dense = st.lists(st.lists(st.integers(-3, 60), unique=True, max_size=30).map(sorted), min_size=1, max_size=5)
tolerances = st.sampled_from([0, 1, 2, 3, 5, 8, 13, 100, 10**30])
steps = st.none() | st.integers(1, 50)


def bars(chance: random.Random, step: int, jitter: int) -> Times:
    """Series of one candle a bar, sometimes two, with gaps, each so far after the start of its bar at most."""
    origin, length, missing = chance.choice([-(10**12), 0, 1_700_000_000_000]), chance.randint(1, 40), chance.random()
    doubled = chance.choice([0.0, 0.0, 0.1])
    times = []
    for _ in range(chance.randint(1, 5)):
        kept = [k for k in range(length) if chance.random() >= missing / 3]
        kept += [k for k in kept if chance.random() < doubled]
        times.append(sorted({origin + k * step + chance.randint(0, jitter) for k in kept}))
    return times


def arrays(times: Times) -> list[Any]:
    return [np.array(each, np.int64) for each in times]


def found(times: Times, tolerance: int, step: int | None) -> list[Row]:
    columns = [each.tolist() for each in matched(arrays(times), tolerance, step)]
    return list(zip(*columns, strict=True))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_bars, "_BLOCK", 7)


@cases(full=10_000)
@given(dense, tolerances, steps)
def test_dense_series_have_the_rows_of_the_lists(times: Times, tolerance: int, step: int | None) -> None:
    assert found(times, tolerance, step) == closest_first(times, tolerance)


@st.composite
def spaced(draw: st.DrawFn) -> tuple[Times, int]:
    """Series whose candles are further apart than once or twice the tolerance, unevenly, and the tolerance."""
    tolerance = draw(st.integers(1, 6))
    gaps = st.lists(st.integers(draw(st.sampled_from([1, 2])) * tolerance + 1, 6 * tolerance), max_size=8)
    width = draw(st.integers(2, 4))
    return [list(itertools.accumulate(draw(gaps), initial=draw(st.integers(0, 20)))) for _ in range(width)], tolerance


@cases(full=5_000)
@given(spaced())
def test_spaced_series_have_the_rows_of_the_lists(case: tuple[Times, int]) -> None:
    times, tolerance = case
    assert found(times, tolerance, None) == closest_first(times, tolerance)


@pytest.mark.parametrize("jitter", [0, 4, 9, 19])
@pytest.mark.parametrize("tells", [True, False])
def test_bars_have_the_rows_of_the_lists(jitter: int, tells: bool, small_blocks: None) -> None:
    @cases(full=2_500)
    @given(seeds, st.sampled_from([0, 3, 5, 9, 10, 19, 20, 1_000]))
    def check(chance: random.Random, tolerance: int) -> None:
        times = bars(chance, 20, jitter)
        assert found(times, tolerance, 20 if tells else None) == closest_first(times, tolerance)

    check()


def test_two_candles_of_a_bar_are_seen_where_blocks_meet(small_blocks: None) -> None:
    one = [k * MINUTE for k in range(7)] + [6 * MINUTE + 1, 7 * MINUTE]
    other = [k * MINUTE + 1 for k in range(8)]
    for times in ([one, other], [other, one]):
        assert found(times, 29_999, MINUTE) == closest_first(times, 29_999)


@pytest.mark.parametrize("jitter", [0, 2_000, 25_000])
@pytest.mark.parametrize("tells", [True, False])
def test_minutes_have_the_rows_of_the_lists(jitter: int, tells: bool, small_blocks: None) -> None:
    @cases(full=2_000)
    @given(seeds, st.sampled_from([0, 2_000, 20_000, 29_999, 60_000]))
    def check(chance: random.Random, tolerance: int) -> None:
        times = bars(chance, MINUTE, jitter)
        assert found(times, tolerance, MINUTE if tells else None) == closest_first(times, tolerance)

    check()


@cases(full=8_500)
@given(seeds, st.sampled_from([0, 3, 9, 20]), st.booleans())
def test_the_columns_hold_the_candles_of_the_rows_of_the_lists(
    chance: random.Random, tolerance: int, tells: bool
) -> None:
    times = bars(chance, 20, chance.choice([0, 9, 19]))
    closes = [[chance.random() for _ in each] for each in times]
    shuffled = [chance.sample(range(len(each)), len(each)) for each in times]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        aligned = align_columns(
            {
                str(i): {"open_time": np.array(each, np.int64)[order], "close": np.array(closes[i])[order]}
                for i, (each, order) in enumerate(zip(times, shuffled, strict=True))
            },
            tolerance,
            20 if tells else None,
        )
    rows = closest_first(times, min(tolerance, 9) if tells else tolerance)
    instants = [[each[k] for each, k in zip(times, row, strict=True)] for row in rows]
    assert aligned.open_time.tolist() == [min(row) for row in instants]
    assert aligned.spread_ms.tolist() == [max(row) - min(row) for row in instants]
    for i, each in enumerate(aligned.columns.values()):
        assert each["open_time"].tolist() == [row[i] for row in instants]
        assert each["close"].tolist() == [closes[i][row[i]] for row in rows]


@pytest.mark.parametrize(
    ("way", "times", "tolerance", "step"),
    [
        ("by_bar", [[60, 120, 240], [60, 180, 240]], 29, 60),
        ("by_bar", [[60, 121, 240], [61, 180, 241]], 29, 60),
        ("_by_search", [[0, 100, 333, 471], [5, 150, 340]], 45, None),
        ("by_island", [[60, 120, 240], [60, 180, 240]], 60, None),
    ],
)
def test_each_way_is_taken_where_it_is_meant_to_be(
    monkeypatch: pytest.MonkeyPatch, way: str, times: Times, tolerance: int, step: int | None
) -> None:
    taken: list[str] = []
    for name in ("by_bar", "_by_search", "by_island"):
        real = getattr(column_rows, name)

        def noted(*given: Any, name: str = name, real: Any = real) -> Any:
            answer = real(*given)
            taken.extend([name] if answer is not None else [])
            return answer

        monkeypatch.setattr(column_rows, name, noted)
    assert found(times, tolerance, step) == closest_first(times, tolerance)
    assert taken[-1] == way


def test_only_islands_in_which_candles_compete_are_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[Times] = []

    def noted(times: Times, tolerance: int) -> list[Row]:
        walked.append(times)
        return closest_first(times, tolerance)

    monkeypatch.setattr(column_islands, "closest_first", noted)
    times = [[0, 100, 200, 207, 300], [3, 100, 204, 303]]
    assert found(times, 5, None) == [(0, 0), (1, 1), (3, 2), (4, 3)]
    assert walked == [[[0, 7], [4]]]


def test_identical_series_come_back_uncopied() -> None:
    open_time, close = np.arange(5) * MINUTE, np.random.default_rng(1).random(5)
    given = {name: {"open_time": open_time, "close": close} for name in "ab"}
    aligned = align_columns(given, 0, MINUTE)
    assert aligned.columns["a"]["close"] is close
    assert aligned.open_time.tolist() == open_time.tolist()


def test_columns_come_back_as_rows_with_their_earliest_time_and_spread() -> None:
    a = {"open_time": np.array([0, MINUTE + 7, 2 * MINUTE]), "close": np.array([1.0, 2.0, 3.0])}
    b = {"t": np.array([5, 2 * MINUTE + 1]), "v": np.array([8, 9], np.float32)}
    aligned = align_columns({"a": a, "b": b}, 10, MINUTE)
    assert aligned.open_time.tolist() == [0, 2 * MINUTE]
    assert aligned.spread_ms.tolist() == [5, 1]
    assert {name: each.tolist() for name, each in aligned.indices.items()} == {"a": [0, 2], "b": [0, 1]}
    assert aligned.columns["a"]["close"].tolist() == [1.0, 3.0]
    assert aligned.columns["b"]["v"].dtype == np.float32
    assert list(aligned.wide()) == ["open_time", "spread_ms", "a.open_time", "a.close", "b.t", "b.v"]


def test_open_times_alone_are_enough() -> None:
    aligned = align_columns({"a": np.array([0, MINUTE]), "b": np.array([MINUTE])}, 0, MINUTE)
    assert aligned.indices["a"].tolist() == [1]
    assert aligned.columns["b"]["open_time"].tolist() == [MINUTE]


def test_unsorted_columns_are_put_in_order_and_of_two_candles_the_later_holds() -> None:
    a = {"open_time": np.array([MINUTE, 0, 0]), "close": np.array([3.0, 1.0, 2.0])}
    aligned = align_columns({"a": a, "b": np.array([0, MINUTE])}, 0, MINUTE)
    assert aligned.indices["a"].tolist() == [2, 0]
    assert aligned.columns["a"]["close"].tolist() == [2.0, 3.0]
    assert a["open_time"].tolist() == [MINUTE, 0, 0]


def test_an_offset_moves_a_series_before_it_is_matched_and_its_columns_stay() -> None:
    times = {"a": np.array([0, MINUTE]), "close_stamped": np.array([MINUTE, 2 * MINUTE])}
    aligned = align_columns(times, 0, MINUTE, ts_offset_ms={"close_stamped": -MINUTE})
    assert aligned.open_time.tolist() == [0, MINUTE]
    assert aligned.spread_ms.tolist() == [0, 0]
    assert aligned.columns["close_stamped"]["open_time"].tolist() == [MINUTE, 2 * MINUTE]


def test_a_series_without_candles_leaves_no_rows_and_no_series_either() -> None:
    aligned = align_columns({"a": np.array([0]), "b": np.array([])}, 0, MINUTE)
    assert [len(aligned.open_time), len(aligned.columns["a"]["open_time"])] == [0, 0]
    assert align_columns({}, 0, MINUTE).indices == {}


def test_a_literal_tolerance_warns_as_it_does_for_lists() -> None:
    times = {"a": np.array([0, MINUTE]), "b": np.array([0, MINUTE])}
    with pytest.warns(UserWarning, match="pass timeframe_ms") as caught:
        align_columns(times, MINUTE)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        align_columns(times, MINUTE, MINUTE)
        align_columns({"a": times["a"]}, MINUTE)


@pytest.mark.parametrize(
    ("series", "says"),
    [
        (np.array([0.5]), "open times of a are float64; write ints of ms"),
        ({"close": np.array([1.0])}, "a has no column of open times; name one of: open_time t"),
        ({"t": np.array([0, 1]), "c": np.array([1.0])}, "columns of a differ in length"),
        (np.array([[0], [1]]), "more than one dimension"),
        (np.array([2**64 - 1], np.uint64), "beyond int64"),
    ],
)
def test_columns_of_another_shape_are_refused(series: Any, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        align_columns({"a": series}, 0, MINUTE)


def test_an_offset_of_nothing_here_or_of_no_length_is_refused() -> None:
    with pytest.raises(RequestError, match="ts_offset_ms names 'b', which is not here; there are: a"):
        align_columns({"a": np.array([0])}, 0, ts_offset_ms={"b": 1})
    with pytest.raises(RequestError, match=r"ts_offset_ms of a is 1\.5"):
        align_columns({"a": np.array([0])}, 0, ts_offset_ms={"a": 1.5})  # type: ignore[dict-item]
    with pytest.raises(SpanError, match="tolerance_ms is -1"):
        align_columns({}, -1)


@pytest.mark.parametrize("origin", [-(2**63), -(2**61) - 5, 2**61 - 5, 2**63 - 20])
def test_the_ends_of_int64_are_instants_too(origin: int) -> None:
    times = [[origin, origin + 10], [origin + 1, origin + 12]]
    for tolerance in (1, 10**30):
        assert found(times, tolerance, None) == closest_first(times, tolerance)


def test_without_numpy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("numpy", "bus.column_input", "bus.column_rows"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SettingsError, match=r"numpy is not installed; try: pip install 'candlebus\[numpy\]'"):
        align_columns({}, 0)


def test_columns_and_lists_of_the_same_candles_give_the_same_frame() -> None:
    aligned = align_columns({"a": np.array([0, MINUTE]), "b": np.array([3, MINUTE])}, 5, MINUTE)
    assert isinstance(aligned, AlignedColumns)
    assert {name: each.tolist() for name, each in aligned.wide().items()} == {
        "open_time": [0, MINUTE],
        "spread_ms": [3, 0],
        "a.open_time": [0, MINUTE],
        "b.open_time": [3, MINUTE],
    }
