"""Candles of several series brought into rows that share a point in time."""

import sys
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from bus import list_columns
from bus.alignment_input import Data, Given, given, named_rows
from bus.alignment_options import checked_offsets_ms, checked_tolerance_ms, effective_tolerance_ms, is_int, warn_if_wide
from bus.closest_first import closest_first
from bus.errors import RequestError
from bus.messages import Candle
from bus.partial_alignment import partial_rows

__all__ = ["AlignedRow", "align_candles", "align_timestamps", "closest_first", "effective_tolerance_ms"]

#: From so many candles a series on, numpy is quicker than lists (docs/benchmarks.md).
ARRAYS_FROM: Final = 300
#: From so many candles in all on, numpy is worth its import.
IMPORT_FROM: Final = 200_000

_Name = tuple[str, str]  # exchange, symbol
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


class _Form(Protocol):
    """The same alignment on lists or on arrays: :mod:`bus.list_columns` or :mod:`bus.array_columns`."""

    def column(self, given: Given, offset_ms: int) -> Any: ...

    def smallest_spacing_ms(self, columns: Sequence[Any]) -> int | None: ...

    def matched_rows(self, columns: Sequence[Any], tolerance_ms: int, timeframe_ms: int | None) -> list[list[Any]]: ...


def align_candles(
    series: Mapping[str, Sequence[Candle]],
    tolerance_ms: int,
    timeframe_ms: int,
    *,
    ts_offset_ms: Mapping[str, int] | None = None,
) -> list[AlignedRow]:
    """The rows of one candle from every series, closest first.

    Args:
        series: Series → its candles, in any order; of two with one open time the later in the sequence holds.
        tolerance_ms: Greatest distance of two open times of one row, ms, inclusive; clamped below half a timeframe.
        timeframe_ms: Length of a candle, ms.
        ts_offset_ms: Series → ms to add to its open times before anything else, such as minus a timeframe where the
            exchange stamps the close. Rows tell the times so corrected and hold the candles as given.

    Returns:
        Rows in time order; empty where a series is.

    Raises:
        SpanError: As :func:`effective_tolerance_ms`.
        RequestError: A candle is no sequence that begins with an int, or an offset is no int or of no series.
    """
    tolerance_ms = effective_tolerance_ms(tolerance_ms, timeframe_ms)
    offsets = checked_offsets_ms(ts_offset_ms, series)
    form, columns = _columns({name: given(each, name) for name, each in series.items()}, offsets)
    picked = form.matched_rows(list(columns.values()), tolerance_ms, timeframe_ms)
    times = [_times(rows, offsets.get(name, 0)) for name, rows in zip(series, picked, strict=True)]
    candles = (dict(zip(series, row, strict=True)) for row in zip(*picked, strict=True))
    instants = zip(*times, strict=True)
    return [AlignedRow(min(at), max(at) - min(at), row) for at, row in zip(instants, candles, strict=True)]


def align_timestamps(
    data: Data,
    tolerance_ms: int = 60_000,
    *,
    timeframe_ms: int | None = None,
    by_symbol: bool = False,
    min_sources: int | None = None,
    ts_offset_ms: Mapping[str, int] | None = None,
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
        ts_offset_ms: Exchange, or series as ``EXCHANGE:SYMBOL``, which goes before its exchange → ms to add to its open
            times before anything else, such as minus a timeframe where the exchange stamps the close.

    Returns:
        Exchange → symbol → the caller's own row objects, ascending; ``[i]`` of every list is the i-th complete row. A
        series that is aligned with no other comes back whole, sorted and unique; one without rows empties its partners.

    Raises:
        SpanError: The tolerance is negative or no int, or the timeframe is not a positive int.
        RequestError: ``data`` has another shape, ``min_sources`` is not a positive int, or it is below the number of
            series while the tolerance reaches half of the smallest spacing; or an offset is no int or of nothing here.
    """
    if min_sources is not None and (not is_int(min_sources) or min_sources < 1):
        raise RequestError(f"min_sources is {min_sources!r}; it must be a positive int")
    tolerance_ms = checked_tolerance_ms(tolerance_ms)
    series = {name: given(rows, ":".join(name)) for name, rows in named_rows(data)}
    form, columns = _columns(series, _offsets(series, ts_offset_ms), list_columns if min_sources else None)
    together = list(_together(columns, by_symbol=by_symbol))
    if timeframe_ms is not None:
        tolerance_ms = effective_tolerance_ms(tolerance_ms, timeframe_ms)
    else:
        warn_if_wide(_spacing_ms(form, together), tolerance_ms)
    found: dict[_Name, list[Any]] = {}
    for group in together:
        found |= zip(group, _used(form, list(group.values()), tolerance_ms, timeframe_ms, min_sources), strict=True)
    return {exchange: {symbol: found[exchange, symbol] for symbol in symbols} for exchange, symbols in data.items()}


def _offsets(series: Collection[_Name], asked: Mapping[str, int] | None) -> dict[_Name, int]:
    """What to add to the open times of each series, ms; its own goes before its exchange's."""
    known = dict.fromkeys(name for exchange, symbol in series for name in (exchange, f"{exchange}:{symbol}"))
    offsets = checked_offsets_ms(asked, known)
    return {(e, symbol): offsets.get(f"{e}:{symbol}", offsets.get(e, 0)) for e, symbol in series}


def _columns(
    series: Mapping[_K, Given], offsets: Mapping[_K, int], form: _Form | None = None
) -> tuple[_Form, dict[_K, Any]]:
    """The series in canonical order, and the form in which they are; in lists where arrays cannot hold a time."""
    form = form or _form([len(each.rows) for each in series.values()])
    try:
        return form, {name: form.column(each, offsets.get(name, 0)) for name, each in series.items()}
    except OverflowError:
        return _columns(series, offsets, list_columns)


def _form(sizes: Sequence[int]) -> _Form:
    """Arrays where numpy is there and pays, else lists."""
    is_loaded = "numpy" in sys.modules
    if sum(sizes) < (ARRAYS_FROM * len(sizes) if is_loaded else IMPORT_FROM):
        return list_columns
    try:
        from bus import array_columns
    except ImportError:
        return list_columns
    return array_columns


def _used(
    form: _Form, columns: Sequence[Any], tolerance_ms: int, timeframe_ms: int | None, min_sources: int | None
) -> list[list[Any]]:
    """Of each column the rows that stand in some row of the alignment, ascending."""
    if min_sources is None or min_sources >= len(columns):
        return form.matched_rows(columns, tolerance_ms, timeframe_ms)
    members = list(zip(*partial_rows([each.times for each in columns], tolerance_ms, min_sources), strict=True))
    members = members or [()] * len(columns)  # No row: nothing to turn into columns.
    sides = zip(columns, members, strict=True)
    return [[each.rows[k] for k in indices if k is not None] for each, indices in sides]


def _times(rows: Sequence[Candle], offset_ms: int) -> list[int]:
    return [row[0] + offset_ms for row in rows]


def _together(columns: Mapping[_Name, Any], *, by_symbol: bool) -> Iterator[dict[_Name, Any]]:
    """The columns that are aligned with one another."""
    if not by_symbol:
        yield dict(columns)
        return
    for symbol in dict.fromkeys(symbol for _, symbol in columns):
        yield {name: column for name, column in columns.items() if name[1] == symbol}


def _spacing_ms(form: _Form, together: Sequence[Mapping[_Name, Any]]) -> int | None:
    """The smallest distance of two candles of one series that has partners, ms."""
    return form.smallest_spacing_ms([column for group in together if len(group) > 1 for column in group.values()])
