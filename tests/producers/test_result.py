"""What a result says of itself, and its tables."""

import sys

import pytest

from bus.column_alignment import align_columns
from bus.errors import BusUnavailable, SettingsError
from bus.messages import Candle, Gap
from producers.result import FetchResult, spread_bp
from tests.helpers import MINUTE_MS, candle

A, B = "bingx:BTC/USDT:USDT", "kucoinfutures:BTC/USDT:USDT"


def result(**changes: object) -> FetchResult:
    candles = {A: [candle(0), candle(MINUTE_MS)], B: [candle(MINUTE_MS, 2.0)]}
    plain = {"timeframe": "1m", "candles": candles, "gaps": {}, "errors": {}, "statuses": {}, "volume_units": {}}
    return FetchResult(**{**plain, **changes})  # type: ignore[arg-type]


def test_gaps_for_want_of_trades_or_listing_are_no_loss() -> None:
    assert result(gaps={A: [Gap(0, 1, "no_trades"), Gap(1, 2, "before_listing")]}).complete
    assert not result(gaps={A: [Gap(0, 1, "beyond_history")]}).complete
    assert not result(errors={A: BusUnavailable("x")}).complete


def test_rows_hold_one_candle_of_every_series() -> None:
    rows = result().aligned()
    assert [(row.open_time, row.spread_ms) for row in rows.rows] == [(MINUTE_MS, 0)]
    assert rows.columns()[f"{B}.close"] == [2.0]


def test_the_spread_is_in_basis_points_of_the_lowest_close() -> None:
    assert spread_bp(result().aligned().rows[0]) == pytest.approx(10_000)


def test_the_long_table_has_a_row_a_candle_and_times_in_utc() -> None:
    for frame, times in (
        (result().to_pandas(), lambda f: [t.isoformat() for t in f["open_time"]]),
        (result().to_polars(), lambda f: [t.isoformat() for t in f["open_time"]]),
    ):
        assert list(frame.columns) == ["exchange", "symbol", "timeframe", *Candle._fields]
        assert times(frame) == ["1970-01-01T00:00:00+00:00", "1970-01-01T00:01:00+00:00", "1970-01-01T00:01:00+00:00"]
        assert list(frame["exchange"]) == ["bingx", "bingx", "kucoinfutures"]


def test_the_wide_table_has_a_column_a_series_and_field() -> None:
    for frame in (result().aligned().to_pandas(), result().aligned().to_polars()):
        assert list(frame.columns)[:3] == ["open_time", "spread_ms", f"{A}.open_time"]
        assert list(frame[f"{A}.close"]) == [1.0]


def test_arrays_hold_times_in_ms_and_numbers() -> None:
    arrays = result().to_numpy()
    assert list(arrays[A]) == list(Candle._fields)
    assert arrays[A]["open_time"].tolist() == [0, MINUTE_MS]
    assert (arrays[A]["open_time"].dtype.name, arrays[A]["close"].dtype.name) == ("int64", "float64")


def test_the_wide_arrays_are_those_of_the_aligned_columns() -> None:
    wide, columns = result().aligned().to_numpy(), align_columns(result().to_numpy(), 60_000, MINUTE_MS).wide()
    assert list(wide) == list(columns)
    assert {name: each.tolist() for name, each in wide.items()} == {
        name: each.tolist() for name, each in columns.items()
    }
    assert [each.dtype for each in wide.values()] == [each.dtype for each in columns.values()]


def test_an_offset_corrects_a_series_that_is_stamped_with_the_close() -> None:
    rows = result(candles={A: [candle(0)], B: [candle(MINUTE_MS)]}).aligned(ts_offset_ms={B: -MINUTE_MS}).rows
    assert [(row.open_time, row.spread_ms, row.candles[B]) for row in rows] == [(0, 0, candle(MINUTE_MS))]


def test_an_empty_result_has_empty_tables_of_the_same_types() -> None:
    empty, full = result(candles={A: [], B: []}), result()
    for one, other in ((empty, full), (empty.aligned(), full.aligned())):
        assert len(one.to_pandas()) == len(one.to_polars()) == 0
        assert one.to_polars().schema == other.to_polars().schema
        assert list(one.to_pandas().dtypes) == list(other.to_pandas().dtypes)


@pytest.mark.parametrize("library", ["numpy", "pandas", "polars"])
def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SettingsError, match=rf"{library} is not installed; try: pip install 'candlebus\[{library}\]'"):
        getattr(result().aligned(), f"to_{library}")()
