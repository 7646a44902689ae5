"""Which series make the rows of a group, from when on: the log of it, and the batch alignment that follows the log.

A log cuts the timeline into pieces. Each piece is aligned on its own, by the candles that its members open in it. That
is sound where the candles of a series are more than twice the tolerance apart, as candles on a grid are.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from bus.alignment import AlignedRow, effective_tolerance_ms
from bus.closest_first import closest_first
from bus.messages import Candle
from bus.partial_alignment import PartialRow, partial_rows


class Piece(NamedTuple):
    """From an instant on, rows are made of these series, until the next piece begins.

    Attributes:
        from_ms: First open time of the piece, ms.
        members: The series whose candles make its rows.
    """

    from_ms: int
    members: tuple[str, ...]


def members_at(log: Sequence[Piece], instant_ms: int) -> tuple[str, ...]:
    """The members at an instant, ms, that is not before the log."""
    return log[bisect_right(log, instant_ms, key=_from_ms) - 1].members


def without(log: Sequence[Piece], name: str, from_ms: int) -> list[Piece]:
    """The log with a series left out from an instant on, ms."""
    at_once = Piece(from_ms, members_at(log, from_ms))
    later = [piece for piece in log if piece.from_ms > from_ms]
    left = [Piece(at, tuple(one for one in members if one != name)) for at, members in [at_once, *later]]
    return [*(piece for piece in log if piece.from_ms < from_ms), *left]


def normalized(log: Sequence[Piece]) -> list[Piece]:
    """The log in time order; of two pieces that begin at one instant the later in the sequence holds."""
    return [Piece(at, members) for at, members in sorted({piece.from_ms: piece.members for piece in log}.items())]


def align_pieces(
    series: Mapping[str, Sequence[Candle]],
    tolerance_ms: int,
    timeframe_ms: int,
    log: Sequence[Piece],
    min_sources: int | None = None,
) -> list[AlignedRow]:
    """The rows that a group with such a log writes, from all candles at once.

    Args:
        series: Series → its candles, in any order; of two with one open time the later in the sequence holds.
        tolerance_ms: Greatest distance of two open times of one row, ms, inclusive; clamped below half a timeframe.
        timeframe_ms: Length of a candle, ms.
        log: The group's pieces; candles before the first are in no row.
        min_sources: Least number of candles that make a row; None for one of every member.

    Returns:
        Rows in time order, each of the candles that stand in it.

    Raises:
        SpanError: As :func:`bus.alignment.effective_tolerance_ms`.
        RequestError: As :func:`bus.partial_alignment.partial_rows`.
    """
    tolerance_ms = effective_tolerance_ms(tolerance_ms, timeframe_ms)
    by_time = {name: dict(sorted((c.open_time, c) for c in candles)) for name, candles in series.items()}
    times = {name: list(candles) for name, candles in by_time.items()}
    pieces, rows = normalized(log), list[AlignedRow]()
    ends = [*(later.from_ms for _, later in pairwise(pieces)), None]
    for (from_ms, members), end_ms in zip(pieces, ends, strict=True):
        within = [_within(times[name], from_ms, end_ms) for name in members]
        for row in indices_of_rows(within, tolerance_ms, min_sources):
            sides = zip(members, within, row, strict=True)
            rows.append(AlignedRow.of({name: by_time[name][each[k]] for name, each, k in sides if k is not None}))
    return rows


def indices_of_rows(times: Sequence[Sequence[int]], tolerance_ms: int, min_sources: int | None) -> Sequence[PartialRow]:
    """The rows of series as indices into their ascending open times; None where a series is absent."""
    if min_sources is None or min_sources >= len(times):
        return closest_first(times, tolerance_ms)
    return partial_rows(times, tolerance_ms, min_sources)


def _within(times: list[int], from_ms: int, end_ms: int | None) -> list[int]:
    return times[bisect_left(times, from_ms) : None if end_ms is None else bisect_left(times, end_ms)]


def _from_ms(piece: Piece) -> int:
    return piece.from_ms
