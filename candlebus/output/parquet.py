"""Candles and aligned rows as a parquet file that says of itself what was asked for and what it holds."""

import io
from importlib.metadata import version
from typing import Any, BinaryIO, Final

import msgspec

from bus.alignment import effective_tolerance_ms
from bus.extras import needs
from bus.timeframes import timeframe
from producers.result import AlignedRows, FetchResult

#: Name under which the file's metadata hold what :func:`description` says, as JSON.
METADATA_KEY: Final = "candlebus"


def check_installed() -> None:
    """Refuses before anything is fetched what could not be written.

    Raises:
        SettingsError: polars is not installed.
    """
    with needs("polars"):
        import polars  # noqa: F401 - only to know that it is there


def write(out: BinaryIO, result: FetchResult, rows: AlignedRows | None, tolerance_ms: int | None) -> None:
    """One row a candle, or one wide row a point in time; open times in UTC.

    Args:
        rows: The aligned rows, where they are wanted.
        tolerance_ms: The tolerance with which they were asked for, ms.
    """
    frame = result.to_polars() if rows is None else rows.to_polars()
    text = msgspec.json.encode(description(result, tolerance_ms)).decode()
    whole = io.BytesIO()  # where the file takes no more, the library's error would hide that
    frame.write_parquet(whole, metadata={METADATA_KEY: text})
    out.write(whole.getbuffer())


def description(result: FetchResult, tolerance_ms: int | None) -> dict[str, Any]:
    """What the file holds: candlebus's version, timeframe, whether it is complete, alignment; by series the request.

    Args:
        tolerance_ms: Of aligned rows, ms, to be clamped as theirs was; None for candles.
    """
    step_ms = timeframe(result.timeframe).duration_ms
    aligned = None if tolerance_ms is None else {"tolerance_ms": effective_tolerance_ms(tolerance_ms, step_ms)}
    return {
        "version": version("candlebus"),
        "timeframe": result.timeframe,
        "complete": result.complete,
        "aligned": aligned,
        "series": {name: _series(result, name) for name in result.candles},
    }


def _series(result: FetchResult, name: str) -> dict[str, Any]:
    """Of one series: the request as asked, the span that it came to, ms, and what arrived."""
    status = result.statuses.get(name)
    request = status.request if status else None
    asked = {field: getattr(request, field, None) for field in ("request_id", "since", "until", "limit")}
    return {
        "request": asked,
        "since": status.since if status else None,
        "until": status.until if status else None,
        "candles": len(result.candles[name]),
        "gaps": [list(gap) for gap in result.gaps.get(name, [])],
        "volume_unit": result.volume_units.get(name, "unknown"),
    }
