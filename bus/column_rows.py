"""The rule of :mod:`bus.closest_first` on numpy arrays: the same rows, found column by column.

Where no two candles of a series fit one row, every possible row is a row, so that each can be found on its own: by the
bar in which its candles lie (:mod:`bus.column_bars`), or by a search for the partners of each candle. Everything else
goes to :mod:`bus.column_islands`. Imported by those only who want numpy.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from bus.closest_first import closest_first
from bus.column_bars import by_bar
from bus.column_islands import by_island, transposed
from bus.column_times import Indices, Instants, close_enough, smallest_spacing_ms
from bus.timeframes import TIMEFRAMES

#: Instants beyond it, ms, are left to Python's ints, so that sums and differences of those below cannot overflow.
_FAR_MS: Final = 2**61
#: So many neighbours tell the likely timeframe.
_SAMPLE: Final = 1_000


def matched(times: Sequence[Instants], tolerance_ms: int, step_ms: int | None = None) -> list[Indices]:
    """Which candles of each series stand in a row.

    Args:
        times: Open times of each series, ms, strictly rising.
        tolerance_ms: Greatest distance of two open times of one row, ms, inclusive, at least 0.
        step_ms: Length of a candle, ms, where known: a hint on which no row depends.

    Returns:
        Indices into each series, rising; ``[i]`` of all of them is the i-th row.
    """
    if not times or not all(map(len, times)):
        return [np.empty(0, np.intp) for _ in times]
    if all(np.array_equal(each, times[0]) for each in times[1:]):
        return [np.arange(len(times[0]))] * len(times)
    first_ms, last_ms = min(int(each[0]) for each in times), max(int(each[-1]) for each in times)
    if first_ms < -_FAR_MS or last_ms > _FAR_MS:
        return transposed(closest_first([each.tolist() for each in times], tolerance_ms), len(times))
    tolerance_ms = min(tolerance_ms, last_ms - first_ms)
    if step_ms is not None and (found := by_bar(times, tolerance_ms, step_ms)) is not None:
        return found
    spacing_ms = smallest_spacing_ms(times) or last_ms - first_ms + 1
    if 2 * tolerance_ms < spacing_ms:
        return _disjoint(times, tolerance_ms, spacing_ms)
    return by_island(times, tolerance_ms, _disjoint(times, 0, spacing_ms))


def _disjoint(times: Sequence[Instants], tolerance_ms: int, spacing_ms: int) -> list[Indices]:
    """The rows where twice the tolerance is below the smallest spacing."""
    for step_ms in _likely_steps_ms(times, spacing_ms):
        if (found := by_bar(times, tolerance_ms, step_ms)) is not None:
            return found
    return _by_search(times, tolerance_ms)


def _likely_steps_ms(times: Sequence[Instants], spacing_ms: int) -> list[int]:
    """What the timeframe may be, ms, where nobody says: the spacing, or a usual one near the typical spacing."""
    longest = max(times, key=len)[:_SAMPLE]
    typical_ms = int(np.median(np.diff(longest))) if len(longest) > 1 else spacing_ms
    usual = (each.duration_ms for each in TIMEFRAMES.values())
    return list(dict.fromkeys([min(usual, key=lambda usual_ms: abs(usual_ms - typical_ms)), spacing_ms]))


def _by_search(times: Sequence[Instants], tolerance_ms: int) -> list[Indices]:
    """The rows, by looking in every series for the one partner that a candle of the shortest can have there."""
    shortest = min(range(len(times)), key=lambda i: len(times[i]))
    base, taken = times[shortest], [np.arange(len(times[shortest]))]
    for i, each in enumerate(times):
        if i == shortest:
            continue
        wanted = base[taken[0]]
        at = each.searchsorted(wanted - tolerance_ms)
        near = each[np.minimum(at, len(each) - 1)] <= wanted + tolerance_ms
        near &= at < len(each)
        taken = [indices[near] for indices in (*taken, at)]
    ordered = taken[1 : shortest + 1] + taken[:1] + taken[shortest + 1 :]
    return close_enough(times, ordered, tolerance_ms)
