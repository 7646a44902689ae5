"""Columns of several series brought into rows that share a point in time: the alignment for those who have numpy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from bus.alignment_options import checked_offsets_ms, checked_tolerance_ms, effective_tolerance_ms, warn_if_wide
from bus.extras import needs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Instants = npt.NDArray[np.int64]
    Indices = npt.NDArray[np.intp]


class AlignedColumns(NamedTuple):
    """Rows of one candle of every series, as columns; ``[i]`` of every array belongs to the i-th row.

    Attributes:
        open_time: Earliest open time of each row, ms UTC, strictly rising.
        spread_ms: Latest minus earliest open time of each row.
        indices: Series → the place of its candle in the arrays as given.
        columns: Series → field → values. An array of which every value stands in a row is the given one, not a copy;
            the others share one piece of memory, which lives as long as any of them.
    """

    open_time: "Instants"
    spread_ms: "Instants"
    indices: "dict[str, Indices]"
    columns: "dict[str, dict[str, Array]]"

    def wide(self) -> "dict[str, Array]":
        """One table: ``open_time``, ``spread_ms`` and ``<series>.<field>`` of every series."""
        fields = {f"{name}.{field}": each for name, found in self.columns.items() for field, each in found.items()}
        return {"open_time": self.open_time, "spread_ms": self.spread_ms, **fields}


def align_columns(
    series: "Mapping[str, Array | Mapping[str, Array]]",
    tolerance_ms: int = 60_000,
    timeframe_ms: int | None = None,
    *,
    ts_offset_ms: Mapping[str, int] | None = None,
) -> AlignedColumns:
    """The rows of one candle from every series, closest first, as the lists of the same candles would give them.

    Args:
        series: Series → its open times in ms, or its columns by field, among them ``open_time`` (or ``t``). Candles may
            come unsorted; of two with one open time the later holds.
        tolerance_ms: Greatest distance of two open times of one row, ms, inclusive.
        timeframe_ms: Length of a candle, ms. Given, it clamps the tolerance below half of itself; else the tolerance is
            taken literally, with a warning where it reaches half of the smallest spacing seen.
        ts_offset_ms: Series → ms to add to its open times, such as minus a timeframe where the exchange stamps the
            close; the columns stay as given, while ``open_time`` and ``spread_ms`` are of the times so corrected.

    Raises:
        SettingsError: numpy is not installed.
        SpanError: The tolerance is negative or no int, or the timeframe is not a positive int.
        RequestError: The open times are no ints in one dimension, columns of a series differ in length, or an offset
            is no int or of no series.
    """
    with needs("numpy"):
        from bus.column_input import picked, side
        from bus.column_rows import matched
        from bus.column_times import envelope, smallest_spacing_ms

    tolerance_ms = checked_tolerance_ms(tolerance_ms)
    offsets = checked_offsets_ms(ts_offset_ms, series)
    sides = {name: side(each, name, offsets.get(name, 0)) for name, each in series.items()}
    times = [each.times for each in sides.values()]
    if timeframe_ms is not None:
        tolerance_ms = effective_tolerance_ms(tolerance_ms, timeframe_ms)
    elif len(times) > 1:
        warn_if_wide(smallest_spacing_ms(times), tolerance_ms)
    taken = dict(zip(sides, matched(times, tolerance_ms, timeframe_ms), strict=True))
    indices = {name: each.places(taken[name]) for name, each in sides.items()}
    columns = picked(sides, indices)
    instants = [each.instants(taken[name], columns[name]) for name, each in sides.items()]
    return AlignedColumns(*envelope(instants), indices, columns)
