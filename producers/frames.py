"""Tables of candles for numpy, pandas and polars; each of these libraries is optional."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from bus.extras import needs
from bus.messages import Candle

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl

Columns = dict[str, list[Any]]

#: What the columns hold: names, whole numbers of ms, or the numbers of a candle.
_NAMES: Final = frozenset({"exchange", "symbol", "timeframe"})
_WHOLE: Final = frozenset({"open_time", "spread_ms"})


def long_columns(candles: Mapping[str, Sequence[Candle]], timeframe: str) -> Columns:
    """One row a candle: exchange, symbol, timeframe, open_time (ms) and the candle's numbers."""
    out: Columns = {name: [] for name in ("exchange", "symbol", "timeframe", *Candle._fields)}
    for name, rows in candles.items():
        exchange, _, symbol = name.partition(":")
        out["exchange"] += [exchange] * len(rows)
        out["symbol"] += [symbol] * len(rows)
        out["timeframe"] += [timeframe] * len(rows)
        for field, values in candle_columns(rows).items():
            out[field] += values
    return out


def candle_columns(candles: Sequence[Candle]) -> Columns:
    """The fields of the candles."""
    columns: Sequence[Sequence[Any]] = list(zip(*candles, strict=True)) or [()] * len(Candle._fields)
    return {field: list(values) for field, values in zip(Candle._fields, columns, strict=True)}


def to_numpy(columns: Columns) -> "dict[str, npt.NDArray[np.int64] | npt.NDArray[np.float64]]":
    """The columns as arrays: times in ms as int64, numbers as float64.

    Raises:
        SettingsError: numpy is not installed.
    """
    with needs("numpy"):
        import numpy as np
    kinds = {"whole": np.int64, "number": np.float64, "name": np.str_}
    return {name: np.array(values, kinds[_kind(name)]) for name, values in columns.items()}


def to_pandas(columns: Columns) -> "pd.DataFrame":
    """The columns as a frame; open times become UTC datetimes.

    Raises:
        SettingsError: pandas is not installed.
    """
    with needs("pandas"):
        import pandas as pd
    kinds = {"whole": "int64", "number": "float64", "name": "str"}
    frame = pd.DataFrame({name: pd.Series(values, dtype=kinds[_kind(name)]) for name, values in columns.items()})
    for name in _times(columns):
        frame[name] = pd.to_datetime(frame[name], unit="ms", utc=True)
    return frame


def to_polars(columns: Columns) -> "pl.DataFrame":
    """The columns as a frame; open times become UTC datetimes.

    Raises:
        SettingsError: polars is not installed.
    """
    with needs("polars"):
        import polars as pl
    kinds = {"whole": pl.Int64(), "number": pl.Float64(), "name": pl.String()}
    times = [pl.col(name).cast(pl.Datetime("ms", "UTC")) for name in _times(columns)]
    return pl.DataFrame(columns, schema={name: kinds[_kind(name)] for name in columns}).with_columns(times)


def _kind(column: str) -> Literal["name", "whole", "number"]:
    field = column.rpartition(".")[2]
    return "name" if field in _NAMES else "whole" if field in _WHOLE else "number"


def _times(columns: Columns) -> list[str]:
    return [name for name in columns if name.rpartition(".")[2] == "open_time"]
