"""Rows of which some members may be absent: at least so many candles, no two further apart than the tolerance.

More members come first, then the smaller spread, then the earlier row. Complete rows are therefore those of
:mod:`bus.closest_first`, whatever the least number of members.
"""

from collections.abc import Sequence
from itertools import pairwise

from bus.errors import RequestError

#: One index for each series, None where the series is absent.
PartialRow = tuple[int | None, ...]

_Member = tuple[int, int, int]  # open time in ms, series, index into it


def smallest_spacing_ms(times: Sequence[Sequence[int]]) -> int | None:
    """The smallest distance of two candles of one series, ms; None where no series has two."""
    return min((later - earlier for each in times for earlier, later in pairwise(each)), default=None)


def partial_rows(times: Sequence[Sequence[int]], tolerance_ms: int, min_sources: int) -> list[PartialRow]:
    """The rows of at least ``min_sources`` members, as indices into the series.

    Args:
        times: Open times of each series, ms, strictly rising.
        tolerance_ms: Greatest distance of two open times of one row, ms, inclusive, at least 0.
        min_sources: Least number of members, at least 1; as many as there are series asks for complete rows only.

    Returns:
        Rows by their earliest member.

    Raises:
        RequestError: The tolerance reaches half of the smallest spacing within a series. Below it no two candles of a
            series fit one row and no rows can cross, which is what makes partial rows well-defined and cheap.
    """
    spacing_ms = smallest_spacing_ms(times)
    if spacing_ms is not None and 2 * tolerance_ms >= spacing_ms:
        raise RequestError(
            f"partial rows need a tolerance below half of the smallest spacing, {spacing_ms} ms, not {tolerance_ms} ms;"
            " pass timeframe_ms or a smaller tolerance"
        )
    members = sorted((t, series, k) for series, each in enumerate(times) for k, t in enumerate(each))
    free = [True] * len(members)
    rows: list[PartialRow] = []
    for size in range(len(times), max(min_sources, 1) - 1, -1):
        for first in _windows(members, size, tolerance_ms, free):
            window = slice(first, first + size)
            if all(free[window]):
                free[window] = [False] * size
                rows.append(_row(members[window], len(times)))
    return sorted(rows, key=lambda row: min(times[i][k] for i, k in enumerate(row) if k is not None))


def _windows(members: Sequence[_Member], size: int, tolerance_ms: int, free: Sequence[bool]) -> list[int]:
    """First positions of the windows of ``size`` free neighbours within the tolerance; the best row first.

    Neighbours suffice: with every larger row gone, a row that skipped a free member could have had it too.
    """
    last = size - 1
    found = [
        (members[first + last][0] - members[first][0], first)
        for first in range(len(members) - last)
        if members[first + last][0] - members[first][0] <= tolerance_ms and all(free[first : first + size])
    ]
    return [first for _, first in sorted(found)]


def _row(members: Sequence[_Member], width: int) -> PartialRow:
    row: list[int | None] = [None] * width
    for _, series, k in members:
        row[series] = k
    return tuple(row)
