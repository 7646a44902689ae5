"""Rows found bar by bar: time is cut where no row can cross the cut, and a bar that holds a candle of each series fits.

Series are passed over twice in blocks that stay near the processor, which is quicker than to keep each candle's bar.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from bus.column_times import Indices, Instants, close_enough

#: A table of bars has at most so many places for each candle; sparser series are left to others.
_PLACES_A_CANDLE: Final = 4
_BLOCK: Final = 8_192


def by_bar(times: Sequence[Instants], tolerance_ms: int, step_ms: int) -> list[Indices] | None:
    """The rows, each of the candles of a bar that holds one of every series.

    Args:
        times: Open times of each series, ms, strictly rising.
        tolerance_ms: Greatest distance within a row, ms, inclusive.
        step_ms: Length of a bar, ms; any, but only near the true one are there cuts.

    Returns:
        Indices into each series; None where there is no such cut, where a bar holds two candles of a series, or where
        bars are mostly empty.
    """
    origin_ms = _origin_ms(times, step_ms)
    places = (max(int(each[-1]) for each in times) - origin_ms) // step_ms + 1
    if places > _PLACES_A_CANDLE * sum(map(len, times)) + 1_000:
        return None
    bars = _Bars(origin_ms, step_ms, places)
    for each in times:
        if not bars.take(each) or bars.width_ms + tolerance_ms >= step_ms:
            return None
    taken = [bars.common_to_all(each) for each in times]
    return taken if bars.width_ms <= tolerance_ms else close_enough(times, taken, tolerance_ms)


def _origin_ms(times: Sequence[Instants], step_ms: int) -> int:
    """A start of bars, ms, before every candle, that puts the first series' first candle into the middle of its bar."""
    middle_ms = int(times[0][0]) - step_ms // 2
    earlier_ms = middle_ms - min(int(each[0]) for each in times)
    return middle_ms - max(0, -(-earlier_ms // step_ms)) * step_ms


class _Bars:
    """Bars of equal length, and in which of them every series has a candle.

    Attributes:
        width_ms: Between the earliest and the latest open time within bars.
    """

    def __init__(self, origin_ms: int, step_ms: int, places: int) -> None:
        self._origin_ms, self._step_ms = origin_ms, step_ms
        self._common = np.ones(places, np.bool_)
        self._present = np.empty(places, np.bool_)
        self._earliest_ms, self._latest_ms = step_ms, 0
        self._buffers = np.empty((3, _BLOCK), np.int64)  # Fresh memory for each block would cost more than the sums.

    @property
    def width_ms(self) -> int:
        return self._latest_ms - self._earliest_ms

    def take(self, times: Instants) -> bool:
        """Counts a series in; whether it has at most one candle in each bar."""
        self._present[:] = False
        before = -1
        for start in range(0, len(times), _BLOCK):
            since_ms, bar = self._bars(times[start : start + _BLOCK])
            start_ms = np.multiply(bar, self._step_ms, out=self._buffers[2, : len(bar)])
            np.subtract(since_ms, start_ms, out=since_ms)
            self._earliest_ms = min(self._earliest_ms, int(since_ms.min()))
            self._latest_ms = max(self._latest_ms, int(since_ms.max()))
            if self.width_ms and (bar[0] == before or not (bar[1:] > bar[:-1]).all()):
                return False
            before = bar[-1]
            self._present[bar] = True
        self._common &= self._present
        return True

    def common_to_all(self, times: Instants) -> Indices:
        """Which candles of a series lie in a bar in which every series has one."""
        is_common: npt.NDArray[np.bool_] = np.empty(len(times), np.bool_)
        for start in range(0, len(times), _BLOCK):
            _, bar = self._bars(times[start : start + _BLOCK])
            is_common[start : start + _BLOCK] = self._common[bar]
        return np.flatnonzero(is_common)

    def _bars(self, times: Instants) -> tuple[Instants, Instants]:
        """How long after the first bar's start candles open, ms, and the bar of each; until the next call."""
        since_ms, bar = self._buffers[:2, : len(times)]
        np.subtract(times, self._origin_ms, out=since_ms)
        np.floor_divide(since_ms, self._step_ms, out=bar)
        return since_ms, bar
