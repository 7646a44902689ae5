"""Candles in, aligned candles out: shapes, canonical order, refusals."""

import copy
import inspect
import warnings
from typing import Any

import pytest

from bus.alignment import AlignedRow, align_candles, align_timestamps, effective_tolerance_ms
from bus.errors import RequestError, SpanError
from bus.messages import Candle

MINUTE = 60_000
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


def ohlcv(open_time: int, close: float = 1.0) -> list[Any]:
    return [open_time, 1.0, 2.0, 0.5, close, 10.0]


def candle(open_time: int, close: float = 1.0) -> Candle:
    return Candle(open_time, 1.0, 2.0, 0.5, close, 10.0)


def times(aligned: dict[str, dict[str, list[Any]]]) -> dict[tuple[str, str], list[int]]:
    return {(e, s): [row[0] for row in rows] for e, symbols in aligned.items() for s, rows in symbols.items()}


def data(**exchanges: dict[str, list[int]]) -> dict[str, dict[str, list[Any]]]:
    return {e: {s: [ohlcv(t) for t in each] for s, each in symbols.items()} for e, symbols in exchanges.items()}


def test_all_series_are_aligned_with_one_another_by_default() -> None:
    given = data(bingx={BTC: [0, MINUTE], ETH: [0, 2 * MINUTE]}, kucoinfutures={BTC: [0, MINUTE, 2 * MINUTE]})
    assert times(align_timestamps(given, timeframe_ms=MINUTE)) == {
        ("bingx", BTC): [0],
        ("bingx", ETH): [0],
        ("kucoinfutures", BTC): [0],
    }


def test_each_symbol_is_aligned_across_its_exchanges_on_request() -> None:
    given = data(
        bingx={BTC: [0, MINUTE], ETH: [0, 2 * MINUTE]}, kucoinfutures={BTC: [MINUTE, 2 * MINUTE], ETH: [2 * MINUTE]}
    )
    assert times(align_timestamps(given, timeframe_ms=MINUTE, by_symbol=True)) == {
        ("bingx", BTC): [MINUTE],
        ("bingx", ETH): [2 * MINUTE],
        ("kucoinfutures", BTC): [MINUTE],
        ("kucoinfutures", ETH): [2 * MINUTE],
    }


def test_a_symbol_on_one_exchange_only_comes_back_sorted_and_unique() -> None:
    given = data(bingx={BTC: [0], ETH: [5, 0, 5]}, kucoinfutures={BTC: [0]})
    aligned = align_timestamps(given, timeframe_ms=MINUTE, by_symbol=True)
    assert times(aligned)["bingx", ETH] == [0, 5]
    assert aligned["bingx"][ETH][1] is given["bingx"][ETH][2]


def test_one_series_alone_comes_back_whole_without_a_warning() -> None:
    assert times(align_timestamps(data(bingx={BTC: [1, 0, 2]}))) == {("bingx", BTC): [0, 1, 2]}


def test_a_series_without_rows_empties_its_partners_but_not_other_symbols() -> None:
    given = data(bingx={BTC: [0], ETH: [0]}, kucoinfutures={BTC: [], ETH: [0]})
    assert times(align_timestamps(given)) == {name: [] for name in times(given)}
    assert times(align_timestamps(given, by_symbol=True))["bingx", ETH] == [0]


def test_the_shape_of_the_data_comes_back_with_its_empty_places() -> None:
    assert align_timestamps({}) == {}
    assert align_timestamps({"bingx": {}, "kucoinfutures": {}}) == {"bingx": {}, "kucoinfutures": {}}


def test_the_callers_own_rows_come_back_and_the_data_stays_as_it_was() -> None:
    given = data(bingx={BTC: [MINUTE, 0, 7 * MINUTE]}, kucoinfutures={BTC: [0, MINUTE]})
    before = copy.deepcopy(given)
    aligned = align_timestamps(given, timeframe_ms=MINUTE)
    assert given == before
    assert aligned["bingx"][BTC][0] is given["bingx"][BTC][1]
    assert aligned["bingx"][BTC][1] is given["bingx"][BTC][0]
    assert aligned["kucoinfutures"][BTC] is not given["kucoinfutures"][BTC]


def test_of_two_rows_with_one_open_time_the_later_in_the_list_holds() -> None:
    given = {"bingx": {BTC: [ohlcv(MINUTE), ohlcv(0, close=1), ohlcv(0, close=2)]}, "kucoinfutures": {BTC: [ohlcv(0)]}}
    assert align_timestamps(given, timeframe_ms=MINUTE)["bingx"][BTC] == [ohlcv(0, close=2)]


@pytest.mark.parametrize("row", [(0, 1.0), [0], candle(0), range(3)])
def test_a_row_is_any_sequence_that_begins_with_its_open_time(row: Any) -> None:
    assert align_timestamps({"bingx": {BTC: [row]}, "kucoinfutures": {BTC: (row,)}})["bingx"][BTC][0] is row


def test_the_tolerance_is_inclusive() -> None:
    given = data(bingx={BTC: [0]}, kucoinfutures={BTC: [500]})
    assert times(align_timestamps(given, 500))["bingx", BTC] == [0]
    assert times(align_timestamps(given, 499))["bingx", BTC] == []


def test_a_timeframe_clamps_the_tolerance_below_half_of_itself() -> None:
    given = data(bingx={BTC: [0, MINUTE, 3 * MINUTE]}, kucoinfutures={BTC: [0, 2 * MINUTE, 3 * MINUTE]})
    assert times(align_timestamps(given, timeframe_ms=MINUTE))["bingx", BTC] == [0, 3 * MINUTE]


@pytest.mark.parametrize(
    ("tolerance", "timeframe", "effective"),
    [(60_000, 60_000, 29_999), (60_000, 60_001, 30_000), (60_000, 1_800_000, 60_000), (0, 60_000, 0), (5, 1, 0)],
)
def test_the_effective_tolerance_is_below_half_a_timeframe(tolerance: int, timeframe: int, effective: int) -> None:
    assert effective_tolerance_ms(tolerance, timeframe) == effective


def test_a_literal_tolerance_of_half_the_spacing_warns_once_and_names_the_fix() -> None:
    given = data(bingx={BTC: [0, MINUTE], ETH: [0]}, kucoinfutures={BTC: [0, MINUTE], ETH: [0, MINUTE]})
    with pytest.warns(UserWarning, match=r"smallest spacing, 60000 ms.*pass timeframe_ms") as caught:
        align_timestamps(given, MINUTE // 2, by_symbol=True)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_no_warning_below_half_the_spacing_or_with_a_timeframe() -> None:
    given = data(bingx={BTC: [0, MINUTE]}, kucoinfutures={BTC: [0, MINUTE]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        align_timestamps(given, MINUTE // 2 - 1)
        align_timestamps(given, timeframe_ms=MINUTE)


@pytest.mark.parametrize("tolerance", [-1, 1.0, "60000", None, True])
def test_a_tolerance_that_is_no_distance_is_refused(tolerance: Any) -> None:
    with pytest.raises(SpanError, match="tolerance_ms is"):
        align_timestamps({}, tolerance)


@pytest.mark.parametrize("timeframe", [0, -5, "1m", 60.0])
def test_a_timeframe_that_is_no_length_is_refused(timeframe: Any) -> None:
    with pytest.raises(SpanError, match="timeframe_ms is"):
        align_timestamps({}, timeframe_ms=timeframe)


@pytest.mark.parametrize("open_time", [1.5, "0", None, True])
def test_an_open_time_that_is_no_int_is_refused_with_its_place(open_time: Any) -> None:
    with pytest.raises(RequestError, match=r"row 1 of bingx:BTC/USDT:USDT opens at .*write an int of ms"):
        align_timestamps({"bingx": {BTC: [ohlcv(0), ohlcv(open_time)]}})


@pytest.mark.parametrize("row", [[], (), 7, None, "0,1,2", b"0", {0: 1}])
def test_a_row_of_another_shape_is_refused_with_its_place(row: Any) -> None:
    with pytest.raises(RequestError, match="row 0 of bingx:BTC/USDT:USDT is"):
        align_timestamps({"bingx": {BTC: [row]}})


@pytest.mark.parametrize("given", [[], None, {"bingx": []}, {"bingx": {BTC: 5}}, {"bingx": {BTC: "candles"}}])
def test_data_of_another_shape_is_refused_in_one_line(given: Any) -> None:
    with pytest.raises(RequestError, match=r"^align: [^\n]* is a [^\n]*$"):
        align_timestamps(given)


def test_aligned_rows_name_their_earliest_open_time_and_their_spread() -> None:
    series = {"a": [candle(MINUTE + 7), candle(0)], "b": [candle(5), candle(MINUTE)], "c": [candle(MINUTE + 1)]}
    assert align_candles(series, 10, MINUTE) == [
        AlignedRow(MINUTE, 7, {"a": candle(MINUTE + 7), "b": candle(MINUTE), "c": candle(MINUTE + 1)})
    ]


def test_aligned_rows_hold_the_later_of_two_candles_and_clamp_the_tolerance() -> None:
    series = {"a": [candle(0, close=1), candle(0, close=2)], "b": [candle(0), candle(MINUTE)]}
    (row,) = align_candles(series, MINUTE, MINUTE)
    assert row.candles["a"].close == 2
    assert align_candles({"a": [candle(0)], "b": [candle(MINUTE)]}, MINUTE, MINUTE) == []


def test_a_series_without_candles_leaves_no_aligned_rows() -> None:
    assert align_candles({"a": [candle(0)], "b": []}, 0, MINUTE) == []
    assert align_candles({}, 0, MINUTE) == []


def test_a_series_stamped_with_the_close_is_matched_by_its_corrected_times() -> None:
    series = {"a": [candle(0), candle(MINUTE)], "late": [candle(MINUTE, close=5), candle(2 * MINUTE, close=6)]}
    rows = align_candles(series, 0, MINUTE, ts_offset_ms={"late": -MINUTE})
    assert [(row.open_time, row.spread_ms) for row in rows] == [(0, 0), (MINUTE, 0)]
    assert [row.candles["late"] for row in rows] == series["late"]
    assert len(align_candles(series, 0, MINUTE)) == 1


@pytest.mark.parametrize("name", ["kucoinfutures", f"kucoinfutures:{BTC}"])
def test_an_offset_is_of_an_exchange_or_of_one_series(name: str) -> None:
    given = data(bingx={BTC: [0, MINUTE]}, kucoinfutures={BTC: [MINUTE, 2 * MINUTE]})
    aligned = align_timestamps(given, timeframe_ms=MINUTE, ts_offset_ms={name: -MINUTE})
    assert aligned == given
    assert aligned["kucoinfutures"][BTC][0] is given["kucoinfutures"][BTC][0]


def test_the_offset_of_a_series_goes_before_that_of_its_exchange() -> None:
    given = data(bingx={BTC: [0]}, kucoinfutures={BTC: [0], ETH: [MINUTE]})
    offsets = {"kucoinfutures": -MINUTE, f"kucoinfutures:{BTC}": 0}
    assert align_timestamps(given, timeframe_ms=MINUTE, ts_offset_ms=offsets) == given


def test_an_offset_of_nothing_here_is_refused() -> None:
    with pytest.raises(RequestError, match=f"names 'okx', which is not here; there are: bingx bingx:{BTC}"):
        align_timestamps(data(bingx={BTC: [0]}), ts_offset_ms={"okx": 1})


def test_the_signature_is_the_public_one() -> None:
    assert list(inspect.signature(align_timestamps).parameters) == [
        "data",
        "tolerance_ms",
        "timeframe_ms",
        "by_symbol",
        "min_sources",
        "ts_offset_ms",
    ]
    assert inspect.signature(align_timestamps).parameters["tolerance_ms"].default == 60_000
    kinds = [each.kind.name for each in inspect.signature(align_timestamps).parameters.values()]
    assert kinds == ["POSITIONAL_OR_KEYWORD"] * 2 + ["KEYWORD_ONLY"] * 4
