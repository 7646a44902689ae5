"""Rows of any series whatever, on numpy arrays: only where candles compete does the walk of ``closest_first`` decide.

Exact matches are always rows, and no row crosses them. What is left falls apart into islands, which an exact match or
a gap wider than the tolerance separates. An island with one candle of every series is a row or none; one without a
candle of some series is none; the others are walked.
"""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bus.closest_first import Row, closest_first
from bus.column_times import Indices, Instants


class _Islands(NamedTuple):
    """Where candles that are no exact match lie.

    Attributes:
        of: For each series the island of each such candle, rising.
        first_ms: Earliest open time of each island, ms.
        last_ms: Latest one.
    """

    of: list[Indices]
    first_ms: Instants
    last_ms: Instants


def by_island(times: Sequence[Instants], tolerance_ms: int, exact: list[Indices]) -> list[Indices]:
    """The rows, given those of spread 0.

    Args:
        times: Open times of each series, ms, strictly rising.
        tolerance_ms: Greatest distance within a row, ms, inclusive, at most the distance of any two candles.
        exact: Indices of the exact matches.
    """
    others = [_without(len(each), taken) for each, taken in zip(times, exact, strict=True)]
    if not all(map(len, others)):
        return exact
    left = [each[indices] for each, indices in zip(times, others, strict=True)]
    islands = _islands(left, times[0][exact[0]], tolerance_ms)
    counts = [np.bincount(number, minlength=len(islands.first_ms)) for number in islands.of]
    is_whole, is_clean = reduce(np.minimum, counts) > 0, reduce(np.maximum, counts) == 1
    is_row = is_whole & is_clean & (islands.last_ms - islands.first_ms <= tolerance_ms)
    clean = [np.flatnonzero(is_row[number]) for number in islands.of]
    walked = _walked(left, islands, is_whole & ~is_clean, tolerance_ms)
    found = zip(
        exact, others, clean, walked, strict=True
    )  # Rows do not cross, so each column can be sorted on its own.
    return [np.sort(np.concatenate([done, other[one], other[two]]), kind="stable") for done, other, one, two in found]


def transposed(rows: Sequence[Row], width: int) -> list[Indices]:
    """Rows as one array of indices for each series."""
    return list(np.array(rows, np.intp).reshape(-1, width).T)


def _without(length: int, taken: Indices) -> Indices:
    free = np.ones(length, np.bool_)
    free[taken] = False
    return np.flatnonzero(free)


def _islands(times: Sequence[Instants], exact_ms: Instants, tolerance_ms: int) -> _Islands:
    """The islands of the candles, given the instants that separate them beside the gaps."""
    merged = np.concatenate(times)
    order = merged.argsort(kind="stable")  # Rising runs one after another: that is what this sort is quick at.
    merged = merged[order]
    part = exact_ms.searchsorted(merged)
    is_first = np.ones(len(merged), np.bool_)
    is_first[1:] = (merged[1:] - merged[:-1] > tolerance_ms) | (part[1:] != part[:-1])
    number = np.empty(len(merged), np.intp)
    number[order] = np.cumsum(is_first) - 1
    ends = np.cumsum([len(each) for each in times])[:-1]
    is_last = np.roll(is_first, -1)
    return _Islands(np.split(number, ends), merged[is_first], merged[is_last])


def _walked(
    times: Sequence[Instants], islands: _Islands, is_dirty: npt.NDArray[np.bool_], tolerance_ms: int
) -> list[Indices]:
    """The rows of the dirty islands, put so close together in time that one walk serves them all."""
    places = [np.flatnonzero(is_dirty[number]) for number in islands.of]
    if not len(places[0]):
        return places
    length_ms = np.where(is_dirty, islands.last_ms - islands.first_ms, 0)
    reach_ms = min(tolerance_ms, int(length_ms.max()))
    starts_ms = _starts_ms(length_ms.tolist(), is_dirty.tolist(), reach_ms)
    sides = zip(times, islands.of, places, strict=True)
    moved = [_moved(each[at], number[at], islands.first_ms, starts_ms) for each, number, at in sides]
    rows = transposed(closest_first(moved, reach_ms), len(times))
    return [at[indices] for at, indices in zip(places, rows, strict=True)]


def _starts_ms(lengths_ms: list[int], is_dirty: list[bool], reach_ms: int) -> list[int]:
    """Where each dirty island starts once only just more than the reach lies between neighbours; any int, ms."""
    starts, at_ms = [], 0
    for length_ms, counts in zip(lengths_ms, is_dirty, strict=True):
        starts.append(at_ms)
        at_ms += (length_ms + reach_ms + 1) if counts else 0
    return starts


def _moved(times: Instants, numbers: Indices, first_ms: Instants, starts_ms: list[int]) -> list[int]:
    since_ms = (times - first_ms[numbers]).tolist()
    return [starts_ms[number] + ms for number, ms in zip(numbers.tolist(), since_ms, strict=True)]
