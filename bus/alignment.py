"""Candles of several series brought into rows that share a point in time."""

import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from bus.closest_first import closest_first
from bus.errors import RequestError, SpanError
from bus.messages import Candle
from bus.partial_alignment import partial_rows, smallest_spacing_ms

__all__ = ["AlignedRow", "align_candles", "align_timestamps", "closest_first", "effective_tolerance_ms"]

#: Exchange → symbol → rows ``[open_time, open, high, low, close, volume]``, of which only the open time is read.
Data = Mapping[str, Mapping[str, Sequence[Sequence[Any]]]]

_Name = tuple[str, str]  # exchange, symbol
_Column = dict[int, Any]  # open time in ms → the caller's own row, ascending
_K = TypeVar("_K", bound=Hashable)


class AlignedRow(NamedTuple):
    """One candle of every series, no two further apart than the tolerance.

    Attributes:
        open_time: Earliest open time of the row, ms UTC; strictly rises from row to row.
        spread_ms: Latest minus earliest open time.
        candles: Series → its candle, in the order in which the series were named.
    """

    open_time: int
    spread_ms: int
    candles: dict[str, Candle]

    @classmethod
    def of(cls, candles: dict[str, Candle]) -> "AlignedRow":
        """The row of these candles, of which there is at least one."""
        instants = [candle.open_time for candle in candles.values()]
        return cls(min(instants), max(instants) - min(instants), candles)


def effective_tolerance_ms(tolerance_ms: int, timeframe_ms: int) -> int:
    """The tolerance, ms, clamped below half of the timeframe, where no two candles of a series fit one row.

    Raises:
        SpanError: The tolerance is negative or no int, or the timeframe is not a positive int.
    """
    if not _is_int(timeframe_ms) or timeframe_ms < 1:
        raise SpanError(f"timeframe_ms is {timeframe_ms!r}; it must be a positive int of ms")
    return min(_checked_tolerance(tolerance_ms), (timeframe_ms - 1) // 2)


def align_candles(series: Mapping[str, Sequence[Candle]], tolerance_ms: int, timeframe_ms: int) -> list[AlignedRow]:
    """The rows of one candle from every series, closest first.

    Args:
        series: Series → its candles, in any order; of two with one open time the later in the sequence holds.
        tolerance_ms: Greatest distance of two open times of one row, ms, inclusive; clamped below half a timeframe.
        timeframe_ms: Length of a candle, ms.

    Returns:
        Rows in time order; empty where a series is.

    Raises:
        SpanError: As :func:`effective_tolerance_ms`.
    """
    tolerance_ms = effective_tolerance_ms(tolerance_ms, timeframe_ms)
    columns = {name: _ascending({candle.open_time: candle for candle in each}) for name, each in series.items()}
    used = _used(columns, tolerance_ms, None).values()
    return [AlignedRow.of(dict(zip(columns, row, strict=True))) for row in zip(*used, strict=True)]


def align_timestamps(
    data: Data,
    tolerance_ms: int = 60_000,
    *,
    timeframe_ms: int | None = None,
    by_symbol: bool = False,
    min_sources: int | None = None,
) -> dict[str, dict[str, list[Any]]]:
    """The rows of ``data`` that share a point in time, in the shape of ``data``; ``data`` itself stays as it is.

    Of all possible rows the closest are taken first, each candle at most once; the order of exchanges and symbols does
    not matter. Series may come unsorted; of two rows with one open time the later in the list holds.

    Args:
        data: Exchange → symbol → rows whose first element is the open time in ms.
        tolerance_ms: Greatest distance of two open times that are matched, ms, inclusive.
        timeframe_ms: Length of a candle, ms. Given, it clamps the tolerance below half of itself; else the tolerance is
            taken literally, with a warning where it reaches half of the smallest spacing seen.
        by_symbol: Align each symbol across the exchanges that have an entry for it, instead of all series together.
        min_sources: Least number of series that make a row; None for all. With fewer, a series is returned with just
            the candles that stand in some row, so the lists may differ in length: match them by open time.

    Returns:
        Exchange → symbol → the caller's own row objects, ascending; ``[i]`` of every list is the i-th complete row. A
        series that is aligned with no other comes back whole, sorted and unique; one without rows empties its partners.

    Raises:
        SpanError: The tolerance is negative or no int, or the timeframe is not a positive int.
        RequestError: ``data`` has another shape, ``min_sources`` is not a positive int, or it is below the number of
            series while the tolerance reaches half of the smallest spacing.
    """
    if min_sources is not None and (not _is_int(min_sources) or min_sources < 1):
        raise RequestError(f"min_sources is {min_sources!r}; it must be a positive int")
    tolerance_ms = _checked_tolerance(tolerance_ms)
    columns = dict(_columns(data))
    together = list(_together(columns, by_symbol=by_symbol))
    if timeframe_ms is not None:
        tolerance_ms = effective_tolerance_ms(tolerance_ms, timeframe_ms)
    else:
        _warn_if_wide(together, tolerance_ms)
    used = dict(chain.from_iterable(_used(group, tolerance_ms, min_sources).items() for group in together))
    return {exchange: {symbol: used[exchange, symbol] for symbol in symbols} for exchange, symbols in data.items()}


def _used(columns: Mapping[_K, _Column], tolerance_ms: int, min_sources: int | None) -> dict[_K, list[Any]]:
    """Of each column the candles that stand in a row, ascending."""
    times, rows = [list(column) for column in columns.values()], [list(column.values()) for column in columns.values()]
    if min_sources is None or min_sources >= len(columns):
        taken = [list(indices) for indices in zip(*closest_first(times, tolerance_ms), strict=True)]
    else:
        members = zip(*partial_rows(times, tolerance_ms, min_sources), strict=True)
        taken = [[k for k in indices if k is not None] for indices in members]
    taken = taken or [[] for _ in columns]  # No row: nothing to turn into columns.
    return {name: [row[k] for k in indices] for name, row, indices in zip(columns, rows, taken, strict=True)}


def _together(columns: Mapping[_Name, _Column], *, by_symbol: bool) -> Iterator[dict[_Name, _Column]]:
    """The columns that are aligned with one another."""
    if not by_symbol:
        yield dict(columns)
        return
    for symbol in dict.fromkeys(symbol for _, symbol in columns):
        yield {name: column for name, column in columns.items() if name[1] == symbol}


def _warn_if_wide(together: Iterable[Mapping[_Name, _Column]], tolerance_ms: int) -> None:
    times = [list(column) for group in together if len(group) > 1 for column in group.values()]
    spacing_ms = smallest_spacing_ms(times)
    if spacing_ms is not None and 2 * tolerance_ms >= spacing_ms:
        warnings.warn(
            f"tolerance of {tolerance_ms} ms reaches half of the smallest spacing, {spacing_ms} ms, so neighbouring"
            f" candles may be matched; pass timeframe_ms (such as {spacing_ms}) to clamp it",
            UserWarning,
            stacklevel=3,
        )


def _columns(data: Data) -> Iterator[tuple[_Name, _Column]]:
    for exchange, symbols in _checked_mapping(data, "data").items():
        for symbol, rows in _checked_mapping(symbols, str(exchange)).items():
            yield (exchange, symbol), _column(rows, f"{exchange}:{symbol}")


def _checked_mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RequestError(
            f"align: {what} is a {type(value).__name__}; write {{exchange: {{symbol: [[ts, o, h, l, c, v], ...]}}}}"
        )
    return value


def _column(rows: Any, what: str) -> _Column:
    if not isinstance(rows, Sequence) or isinstance(rows, str | bytes):
        raise RequestError(f"align: {what} is a {type(rows).__name__}; write a list of [ts, o, h, l, c, v]")
    if not _is_plain(rows):
        for k, row in enumerate(rows):
            _check_row(row, f"row {k} of {what}")
    return _ascending({row[0]: row for row in rows})


def _is_plain(rows: Sequence[Any]) -> bool:
    """Whether the rows are sound at a glance, so that a million of them need not be looked at one by one."""
    return set(map(type, rows)) <= {list, tuple, Candle} and all(rows) and {type(row[0]) for row in rows} <= {int}


def _check_row(row: Any, what: str) -> None:
    if not isinstance(row, Sequence) or isinstance(row, str | bytes) or not row:
        raise RequestError(f"align: {what} is {row!r:.60}; write [ts, o, h, l, c, v]")
    if not _is_int(row[0]):
        raise RequestError(f"align: {what} opens at {row[0]!r:.60}; write an int of ms")


def _ascending(column: _Column) -> _Column:
    times = sorted(column)
    return column if times == list(column) else {t: column[t] for t in times}


def _checked_tolerance(tolerance_ms: int) -> int:
    if not _is_int(tolerance_ms) or tolerance_ms < 0:
        raise SpanError(f"tolerance_ms is {tolerance_ms!r}; it must be an int of at least 0 ms")
    return tolerance_ms


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
