"""Tables of candles as pandas or polars frames; either library is optional."""

from typing import TYPE_CHECKING, Any

from bus.errors import SettingsError
from bus.messages import Candle

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Columns = dict[str, list[Any]]


def long_columns(candles: dict[str, list[Candle]], timeframe: str) -> Columns:
    """One row a candle: exchange, symbol, timeframe, open_time (ms) and the candle's numbers."""
    out: Columns = {name: [] for name in ("exchange", "symbol", "timeframe", *Candle._fields)}
    for name, rows in candles.items():
        exchange, _, symbol = name.partition(":")
        out["exchange"] += [exchange] * len(rows)
        out["symbol"] += [symbol] * len(rows)
        out["timeframe"] += [timeframe] * len(rows)
        for place, field in enumerate(Candle._fields):
            out[field] += [row[place] for row in rows]
    return out


def to_pandas(columns: Columns) -> "pd.DataFrame":
    """The columns as a frame; open times become UTC datetimes.

    Raises:
        SettingsError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise SettingsError("pandas is not installed; try: pip install 'candlebus[pandas]'") from error
    frame = pd.DataFrame(columns)
    for name in _times(columns):
        frame[name] = pd.to_datetime(frame[name], unit="ms", utc=True)
    return frame


def to_polars(columns: Columns) -> "pl.DataFrame":
    """The columns as a frame; open times become UTC datetimes.

    Raises:
        SettingsError: polars is not installed.
    """
    try:
        import polars as pl
    except ImportError as error:
        raise SettingsError("polars is not installed; try: pip install 'candlebus[polars]'") from error
    times = [pl.col(name).cast(pl.Int64).cast(pl.Datetime("ms", "UTC")) for name in _times(columns)]
    return pl.DataFrame(columns).with_columns(times)


def _times(columns: Columns) -> list[str]:
    return [name for name in columns if name == "open_time" or name.endswith(".open_time")]
