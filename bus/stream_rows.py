"""The rows that are final among the candles of a few sources, and what of them need not be looked at again."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from bus.alignment import AlignedRow
from bus.closest_first import Row, Walk
from bus.partial_alignment import PartialRow, partial_rows
from bus.stream_source import Source

_Sides = Mapping[str, Source]


def complete_rows(sides: _Sides, tolerance_ms: int, until_ms: int | None) -> list[AlignedRow]:
    """The rows of one candle of every source that nothing to come can change; their candles are decided.

    Args:
        sides: The sources by name, in the order of a row.
        tolerance_ms: Greatest distance within a row, ms, inclusive.
        until_ms: Candles from here on belong to another piece of the timeline, ms; None where there is none.
    """
    rows: list[AlignedRow] = []
    sources = list(sides.values())
    while until_ms is None and (run := _run_in_step(sources, tolerance_ms)) is not None:
        if not run:
            return rows
        rows += _exact_rows(sides, run)
        if not any(source.settled or source.watermark_ms != sources[0].watermark_ms for source in sources):
            return rows  # all wait at one instant for their next candles
    return rows + _walked_rows(sides, tolerance_ms, until_ms)


def _run_in_step(sources: Sequence[Source], tolerance_ms: int) -> list[int] | None:
    """The open times of the next rows, ms, as far as the candles of all sources open alike.

    Returns:
        None where it takes a walk to decide; empty where nothing more is final, which is then decided.
    """
    heads = [source.settled[0] if source.settled else source.watermark_ms for source in sources]
    if min(heads) < max(heads) - tolerance_ms:
        return None
    length = min([len(source.settled) for source in sources])
    run = sources[0].settled[:length]
    if any(source.settled[:length] != run for source in sources):
        return None
    if not run:
        for source, head_ms in zip(sources, heads, strict=True):
            source.decide(head_ms)
    return run


def _exact_rows(sides: _Sides, times: list[int]) -> list[AlignedRow]:
    """The rows of the next candles of every source, which open at the same times; they are decided."""
    columns = [[source.pending[at_ms][1] for at_ms in times] for source in sides.values()]
    for source in sides.values():
        known = source.settled
        source.decide(known[len(times)] if len(known) > len(times) else source.watermark_ms)
    rows = zip(times, zip(*columns, strict=True), strict=True)
    return [AlignedRow(at_ms, 0, dict(zip(sides, candles, strict=True))) for at_ms, candles in rows]


def _walked_rows(sides: _Sides, tolerance_ms: int, until_ms: int | None) -> list[AlignedRow]:
    times = [_before(source.settled, until_ms) for source in sides.values()]
    settled_ms = [source.watermark_ms for source in sides.values()]
    if until_ms is not None:
        settled_ms = [until_ms + tolerance_ms + 1 if instant >= until_ms else instant for instant in settled_ms]
    walk = Walk(times, tolerance_ms, settled_ms)
    walk.run()
    rows = _rows(sides, times, walk.rows)
    sought = zip(times, walk.heads, settled_ms, strict=True)
    heads = [each[k] if k < len(each) else unknown for each, k, unknown in sought]
    floor_ms = max(heads) - tolerance_ms
    for source, head_ms in zip(sides.values(), heads, strict=True):
        before_ms = max(floor_ms, head_ms)
        source.decide(before_ms if until_ms is None else min(before_ms, until_ms))
    return rows


def rows_of_at_least(sides: _Sides, tolerance_ms: int, until_ms: int | None, min_sources: int) -> list[AlignedRow]:
    """The rows of at least so many sources, of stretches of the timeline that no candle to come can join.

    Args:
        sides, tolerance_ms, until_ms: As for :func:`complete_rows`.
        min_sources: Least number of candles in a row.
    """
    horizon_ms = min(source.watermark_ms for source in sides.values())
    if until_ms is not None and horizon_ms >= until_ms:
        closed_ms = until_ms
    else:
        closed_ms = _end_of_closed_stretches(list(sides.values()), horizon_ms, tolerance_ms)
    times = [_before(source.settled, closed_ms) for source in sides.values()]
    rows = [_row(sides, times, row) for row in partial_rows(times, tolerance_ms, min_sources)] if any(times) else []
    for source in sides.values():
        source.decide(closed_ms)
    return rows


def _end_of_closed_stretches(sources: Sequence[Source], horizon_ms: int, tolerance_ms: int) -> int:
    """The first instant whose candles, known or to come, could be within the tolerance of later ones, ms."""
    end_ms = horizon_ms
    while True:
        before = [bisect_left(source.settled, end_ms) for source in sources]
        last_ms = [source.settled[k - 1] for source, k in zip(sources, before, strict=True) if k]
        if not last_ms or end_ms - max(last_ms) > tolerance_ms:
            return end_ms
        end_ms = max(last_ms)


def _before(times: list[int], until_ms: int | None) -> list[int]:
    return times if until_ms is None else times[: bisect_left(times, until_ms)]


def _rows(sides: _Sides, times: Sequence[Sequence[int]], rows: Sequence[Row]) -> list[AlignedRow]:
    """Complete rows, by columns."""
    if not rows:
        return []
    taken = zip(sides.values(), times, zip(*rows, strict=True), strict=True)
    columns = [[source.pending[each[k]][1] for k in column] for source, each, column in taken]
    found = []
    for candles in zip(*columns, strict=True):
        instants = [candle[0] for candle in candles]
        earliest = min(instants)
        row = AlignedRow(earliest, max(instants) - earliest, dict(zip(sides, candles, strict=True)))
        found.append(row)
    return found


def _row(sides: _Sides, times: Sequence[Sequence[int]], row: PartialRow) -> AlignedRow:
    taken = zip(sides.items(), times, row, strict=True)
    return AlignedRow.of({name: source.pending[each[k]][1] for (name, source), each, k in taken if k is not None})
