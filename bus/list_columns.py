"""Series as lists of open times beside their rows: the form of the alignment that needs nothing installed."""

import operator
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

from bus.alignment_input import Given
from bus.closest_first import closest_first


class Column(NamedTuple):
    """One series in canonical order: ascending, one row for each open time.

    Attributes:
        times: Open times, ms, with the offset added.
        rows: The caller's own rows.
    """

    times: Sequence[int]
    rows: Sequence[Any]


def column(given: Given, offset_ms: int) -> Column:
    """The series in canonical order; of two rows with one open time the later holds."""
    times, rows = _unpacked(given), given.rows
    if not all(map(operator.lt, chain((1,), times), times)):  # It starts at 1, below which a bool could hide.
        times, rows = in_order(_unpacked(given.looked_at()), rows)
    return Column([t + offset_ms for t in times] if offset_ms else times, rows)


def _unpacked(given: Given) -> list[int]:
    return memoryview(given.times).cast("q").tolist() if isinstance(given.times, bytes) else given.times


def in_order(times: Sequence[int], rows: Sequence[Any]) -> tuple[list[int], list[Any]]:
    """Both sorted by open time; of two rows with one the later stays."""
    held = dict(zip(times, rows, strict=True))
    ascending = sorted(held)
    return ascending, [held[t] for t in ascending]


def smallest_spacing_ms(columns: Sequence[Column]) -> int | None:
    """The smallest distance of two candles of one series, ms; None where no series has two."""
    gaps = (min(map(operator.sub, each.times[1:], each.times), default=None) for each in columns)
    return min((gap for gap in gaps if gap is not None), default=None)


def matched_rows(columns: Sequence[Column], tolerance_ms: int, timeframe_ms: int | None) -> list[list[Any]]:
    """Of each series the rows that are matched, ascending; ``[i]`` of every list is the i-th match.

    Args:
        columns: The series.
        tolerance_ms: Greatest distance of two open times that are matched, ms, inclusive.
        timeframe_ms: Length of a candle, ms, where known; here of no use.
    """
    del timeframe_ms
    taken = list(zip(*closest_first([each.times for each in columns], tolerance_ms), strict=True))
    if not taken:
        return [[] for _ in columns]
    return [_picked(each.rows, indices) for each, indices in zip(columns, taken, strict=True)]


def _picked(rows: Sequence[Any], indices: Sequence[int]) -> list[Any]:
    return list(rows) if len(indices) == len(rows) else [rows[k] for k in indices]
