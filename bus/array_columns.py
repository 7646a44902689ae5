"""Series as numpy arrays of open times beside their rows: what :mod:`bus.list_columns` does, for long series."""

from collections.abc import Sequence
from itertools import compress
from typing import Any, Final, NamedTuple

import numpy as np

from bus import column_times
from bus.alignment_input import Given
from bus.column_rows import matched
from bus.column_times import Indices, Instants, is_rising
from bus.list_columns import in_order

#: Where at most one row in so many is left out, it is quicker to copy what lies between.
_FEW: Final = 8


class Column(NamedTuple):
    """One series in canonical order: ascending, one row for each open time.

    Attributes:
        times: Open times, ms, with the offset added.
        rows: The caller's own rows.
    """

    times: Instants
    rows: Sequence[Any]


def column(given: Given, offset_ms: int) -> Column:
    """The series in canonical order; of two rows with one open time the later holds.

    Raises:
        OverflowError: An open time is no int64.
    """
    times, rows = _unpacked(given), given.rows
    if len(times) and not (times[0] > 1 and is_rising(times)):  # Else a bool could hide among them.
        ascending, rows = in_order(_unpacked(given.looked_at()).tolist(), rows)
        times = np.array(ascending, np.int64)
    if offset_ms and len(times):
        np.array([int(times[0]) + offset_ms, int(times[-1]) + offset_ms], np.int64)  # Overflows here, not below.
        times = times + offset_ms
    return Column(times, rows)


def _unpacked(given: Given) -> Instants:
    packed = given.times
    return np.frombuffer(packed, np.int64) if isinstance(packed, bytes) else np.array(packed, np.int64)


def smallest_spacing_ms(columns: Sequence[Column]) -> int | None:
    """The smallest distance of two candles of one series, ms; None where no series has two."""
    return column_times.smallest_spacing_ms([each.times for each in columns])


def matched_rows(columns: Sequence[Column], tolerance_ms: int, timeframe_ms: int | None) -> list[list[Any]]:
    """Of each series the rows that are matched, ascending; ``[i]`` of every list is the i-th match.

    Args:
        columns: The series.
        tolerance_ms: Greatest distance of two open times that are matched, ms, inclusive.
        timeframe_ms: Length of a candle, ms, where known.
    """
    taken = matched([each.times for each in columns], tolerance_ms, timeframe_ms)
    return [_picked(each.rows, indices) for each, indices in zip(columns, taken, strict=True)]


def _picked(rows: Sequence[Any], indices: Indices) -> list[Any]:
    if len(indices) == len(rows):
        return list(rows)
    is_taken = np.zeros(len(rows), np.bool_)
    is_taken[indices] = True
    if _FEW * (len(rows) - len(indices)) > len(rows):
        return list(compress(rows, is_taken.tobytes()))
    picked: list[Any] = []
    start = 0
    for left_out in np.flatnonzero(~is_taken).tolist():
        picked += rows[start:left_out]
        start = left_out + 1
    picked += rows[start:]
    return picked
