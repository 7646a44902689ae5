"""What a fetch brought: candles, gaps and errors by series, whether it is all, and rows of it."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from bus.alignment import AlignedRow, align_candles
from bus.errors import CandleBusError, FetchFailed, PartialResult
from bus.messages import HARMLESS_GAPS, Candle, Gap
from bus.requests import RequestStatus
from bus.timeframes import timeframe
from producers import frames

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl

    Arrays = dict[str, npt.NDArray[np.int64] | npt.NDArray[np.float64]]


class FetchResult(msgspec.Struct, frozen=True, kw_only=True):
    """Candles of several series, each asked for with the same timeframe.

    Attributes:
        candles: Series as ``EXCHANGE:SYMBOL`` → its candles, oldest first; empty where nothing arrived.
        gaps: Series → open times for which the exchange served no candle, with reasons, neighbours merged.
        errors: Series → why it is not whole; absent where it is.
        statuses: Series → its request's last status.
        volume_units: Series → ``base``, ``contracts`` or ``unknown``.
    """

    timeframe: str
    candles: dict[str, list[Candle]]
    gaps: dict[str, list[Gap]]
    errors: dict[str, CandleBusError]
    statuses: dict[str, RequestStatus]
    volume_units: dict[str, str]

    @property
    def complete(self) -> bool:
        """Whether every candle that the exchanges have is here: no error, no gap but for want of trades or listing."""
        return not self.errors and not any(self.losses().values())

    def losses(self) -> dict[str, list[Gap]]:
        """Series → the gaps that are a loss."""
        return {name: [gap for gap in gaps if gap.reason not in HARMLESS_GAPS] for name, gaps in self.gaps.items()}

    def aligned(self, tolerance_ms: int = 60_000, *, ts_offset_ms: Mapping[str, int] | None = None) -> "AlignedRows":
        """Rows of one candle of every series.

        Args:
            tolerance_ms: How far apart they may open, ms, inclusive; clamped below half the timeframe.
            ts_offset_ms: Series → ms to add to its open times, such as minus a timeframe where the exchange stamps the
                close.
        """
        step_ms = timeframe(self.timeframe).duration_ms
        rows = align_candles(self.candles, tolerance_ms, step_ms, ts_offset_ms=ts_offset_ms)
        return AlignedRows(rows=rows, series=tuple(self.candles))

    def to_numpy(self) -> "dict[str, Arrays]":
        """Series → field → array, times in ms: what :func:`bus.column_alignment.align_columns` takes."""
        return {name: frames.to_numpy(frames.candle_columns(rows)) for name, rows in self.candles.items()}

    def to_pandas(self) -> "pd.DataFrame":
        """One long frame: exchange, symbol, timeframe, open_time (UTC), open, high, low, close, volume."""
        return frames.to_pandas(frames.long_columns(self.candles, self.timeframe))

    def to_polars(self) -> "pl.DataFrame":
        """As :meth:`to_pandas`, in polars."""
        return frames.to_polars(frames.long_columns(self.candles, self.timeframe))

    def checked(self) -> "FetchResult":
        """Itself; warns when it is partial.

        Raises:
            FetchFailed: No candle arrived, and something went wrong.
        """
        if self.errors and not any(self.candles.values()):
            raise FetchFailed("; ".join(self.troubles()), dict(self.errors))
        if not self.complete:
            warnings.warn("; ".join(self.troubles()), PartialResult, stacklevel=3)
        return self

    def troubles(self) -> list[str]:
        """One line for everything that keeps the result from being complete."""
        failed = [f"{name}: {error}" for name, error in self.errors.items()]
        step_ms = timeframe(self.timeframe).duration_ms
        return failed + [
            f"{name}: {sum(gap.to_ms - gap.from_ms for gap in gaps) // step_ms} candles missing in {len(gaps)} gaps"
            for name, gaps in self.losses().items()
            if gaps
        ]


class AlignedRows(msgspec.Struct, frozen=True):
    """Rows that share a point in time.

    Attributes:
        rows: Earliest first; each holds one candle of every series.
        series: The series, in the order asked for.
    """

    rows: list[AlignedRow]
    series: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def columns(self) -> dict[str, list[Any]]:
        """One wide table: ``open_time``, ``spread_ms`` and ``<series>.<field>`` of every series."""
        wide: dict[str, list[Any]] = {
            "open_time": [row.open_time for row in self.rows],
            "spread_ms": [row.spread_ms for row in self.rows],
        }
        for name in self.series:
            for place, field in enumerate(Candle._fields):
                wide[f"{name}.{field}"] = [row.candles[name][place] for row in self.rows]
        return wide

    def to_numpy(self) -> "Arrays":
        """The wide table as arrays; times in ms."""
        return frames.to_numpy(self.columns())

    def to_pandas(self) -> "pd.DataFrame":
        """The wide table; open times in UTC."""
        return frames.to_pandas(self.columns())

    def to_polars(self) -> "pl.DataFrame":
        """The wide table; open times in UTC."""
        return frames.to_polars(self.columns())


def spread_bp(row: AlignedRow) -> float:
    """Distance of the highest close of a row from its lowest, in basis points of the lowest."""
    closes = [candle.close for candle in row.candles.values()]
    return (max(closes) - min(closes)) / min(closes) * 10_000 if min(closes) > 0 else 0.0
