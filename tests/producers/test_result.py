"""What a result says of itself, and its tables."""

import pytest

from bus.errors import BusUnavailable
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


def test_an_empty_result_has_empty_tables() -> None:
    empty = result(candles={A: [], B: []})
    assert len(empty.to_pandas()) == len(empty.to_polars()) == 0
    assert len(empty.aligned().to_pandas()) == len(empty.aligned().to_polars()) == 0
