"""What a caller may say of an alignment, checked: how far apart, of which timeframe, with which corrections."""

import warnings
from collections.abc import Collection, Mapping
from typing import Any

from bus.errors import RequestError, SpanError


def effective_tolerance_ms(tolerance_ms: int, timeframe_ms: int) -> int:
    """The tolerance, ms, clamped below half of the timeframe, where no two candles of a series fit one row.

    Raises:
        SpanError: The tolerance is negative or no int, or the timeframe is not a positive int.
    """
    if not is_int(timeframe_ms) or timeframe_ms < 1:
        raise SpanError(f"timeframe_ms is {timeframe_ms!r}; it must be a positive int of ms")
    return min(checked_tolerance_ms(tolerance_ms), (timeframe_ms - 1) // 2)


def checked_tolerance_ms(tolerance_ms: int) -> int:
    """The tolerance itself.

    Raises:
        SpanError: It is negative or no int.
    """
    if not is_int(tolerance_ms) or tolerance_ms < 0:
        raise SpanError(f"tolerance_ms is {tolerance_ms!r}; it must be an int of at least 0 ms")
    return tolerance_ms


def checked_offsets_ms(offsets: Mapping[str, int] | None, known: Collection[str]) -> Mapping[str, int]:
    """What to add to the open times of each series named, ms; empty for None.

    Raises:
        RequestError: An offset is no int, or belongs to no series of ``known``.
    """
    for name, offset_ms in (offsets or {}).items():
        if name not in known:
            raise RequestError(f"ts_offset_ms names {name!r}, which is not here; there are: {' '.join(known)}")
        if not is_int(offset_ms):
            raise RequestError(f"ts_offset_ms of {name} is {offset_ms!r:.60}; write an int of ms")
    return offsets or {}


def warn_if_wide(spacing_ms: int | None, tolerance_ms: int) -> None:
    """Warns the caller's caller where a literal tolerance lets candles of neighbouring bars fit one row.

    Args:
        spacing_ms: Smallest distance of two candles of one series, ms; None where no series has two.
        tolerance_ms: The tolerance, ms.
    """
    if spacing_ms is not None and 2 * tolerance_ms >= spacing_ms:
        warnings.warn(
            f"tolerance of {tolerance_ms} ms reaches half of the smallest spacing, {spacing_ms} ms, so neighbouring"
            f" candles may be matched; pass timeframe_ms (such as {spacing_ms}) to clamp it",
            UserWarning,
            stacklevel=3,
        )


def is_int(value: Any) -> bool:
    """Whether the value is an int and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)
