"""The rule "closest first": which candles of several series stand in one row, by their open times alone.

A possible row takes one candle of every series, no two of them further apart than the tolerance. Possible rows are
accepted by (spread, earliest candle, sum of open times), each unless it shares a candle with an accepted row or crosses
one. No name and no position enters, so the order of the series cannot matter.
"""

import operator
from bisect import bisect_left
from collections.abc import Sequence
from itertools import takewhile
from typing import Final

#: One index for each series.
Row = tuple[int, ...]

_RUN_BLOCK: Final = 32


def closest_first(times: Sequence[Sequence[int]], tolerance_ms: int) -> list[Row]:
    """The rows of the series, as indices into them.

    Args:
        times: Open times of each series, ms, strictly rising; the distances need not be even.
        tolerance_ms: Greatest distance of two open times of one row, ms, inclusive, at least 0.

    Returns:
        Rows in time order, one index for each series; empty where a series is.
    """
    if not times or not all(times):
        return []
    if all(each == times[0] for each in times):
        return [(k,) * len(times) for k in range(len(times[0]))]
    end_ms = max(each[-1] for each in times) + tolerance_ms + 1
    walk = Walk(times, tolerance_ms, [end_ms] * len(times))
    walk.run()
    return walk.rows


class Walk:
    """One walk along the series that accepts rows as soon as no candle to come can change them.

    The walk looks at the tightest windows only: from some candle on, the earliest candle of every series. It follows
    them while a tighter one overlaps, down to a row that nothing overlapping beats. That row is accepted, the part
    before it is solved the same way within its bounds, then the part after it. Both stacks are lists, so that no
    input, however odd, can exhaust Python's own.

    Attributes:
        rows: The accepted rows, in time order.
        heads: Index of each series' first candle that is not decided yet.
    """

    __slots__ = (
        "_accepted",
        "_beyond",
        "_chain",
        "_ends",
        "_limits",
        "_never",
        "_settled",
        "_times",
        "_tolerance",
        "heads",
        "rows",
    )

    def __init__(self, times: Sequence[Sequence[int]], tolerance_ms: int, settled_ms: Sequence[int]) -> None:
        """A walk at its start.

        Args:
            times: Open times of each series, ms, strictly rising.
            tolerance_ms: Greatest distance within a row, ms, inclusive.
            settled_ms: For each series the instant, ms, exclusive, before which ``times`` holds every candle there is.
        """
        self.rows: list[Row] = []
        self.heads: Row = (0,) * len(times)
        self._times = times
        self._tolerance = tolerance_ms
        self._settled: Sequence[int] = settled_ms
        self._ends: Row = tuple(map(len, times))
        instants = [*settled_ms, *(each[-1] for each in times if each)]
        self._never = [max(instants) + tolerance_ms + 1] * len(times)
        self._chain: list[Row] = []  # windows from the heads on, each tighter than the one before
        self._accepted: list[Row] = []  # rows with an unsolved part before them, the earliest last
        self._enter_part()

    @property
    def floor_ms(self) -> int:
        """No candle that opens before this instant, ms, can stand in a row to come, of whichever series."""
        return max(self._instants(self.heads)) - self._tolerance

    def run(self) -> None:
        """Accepts every row that no candle at or after the settled instants can change."""
        while self._follow() if self._chain else self._begin():
            pass

    def _enter_part(self) -> None:
        """Bounds the walk by the nearest accepted row, else by what is known of the series."""
        inner = bool(self._accepted)
        self._limits = self._accepted[-1] if inner else self._ends
        self._beyond = self._never if inner else self._settled

    def _instants(self, heads: Row) -> list[int]:
        """When the candles at ``heads`` open; for one beyond the limit, the earliest instant at which it could."""
        sides = zip(self._times, heads, self._limits, self._beyond, strict=True)
        return [times[k] if k < limit else beyond for times, k, limit, beyond in sides]

    def _begin(self) -> bool:
        """Starts a chain at the heads, or decides them without one; False once nothing more can be decided."""
        instants = self._instants(self.heads)
        earliest, latest = min(instants), max(instants)
        if earliest < latest - self._tolerance and self._drop_before(latest - self._tolerance):
            return True
        if any(map(operator.ge, self.heads, self._limits)):
            return self._leave_part()
        if earliest == latest:
            self._accept_exact_run()
        elif self._next_instant(instants.index(earliest)) - latest >= latest - earliest:
            self._emit(self.heads)  # Any other row with one of these candles needs that next one: it is no tighter.
        else:
            self._chain.append(self.heads)
        return True

    def _next_instant(self, series: int) -> int:
        """When the candle after the head of the series opens, at the earliest."""
        k = self.heads[series] + 1
        return self._times[series][k] if k < self._limits[series] else self._beyond[series]

    def _drop_before(self, instant_ms: int) -> bool:
        """Passes over the candles that open before the instant; whether there were any."""
        sides = zip(self._times, self.heads, self._limits, strict=True)
        heads = tuple(bisect_left(times, instant_ms, k, max(k, limit)) for times, k, limit in sides)
        dropped = heads != self.heads
        self.heads = heads
        return dropped

    def _leave_part(self) -> bool:
        """Accepts the row that bounds this part and goes on after it; False where none does."""
        if not self._accepted:
            return False
        self._emit(self._accepted.pop())
        self._enter_part()
        return True

    def _emit(self, row: Row) -> None:
        self.rows.append(row)
        self.heads = tuple(k + 1 for k in row)

    def _accept_exact_run(self) -> None:
        """Accepts the rows of spread 0 that follow one another from the heads on."""
        length = self._exact_run()
        self.rows.extend(zip(*(range(k, k + length) for k in self.heads), strict=True))
        self.heads = tuple(k + length for k in self.heads)

    def _exact_run(self) -> int:
        length, block = 1, _RUN_BLOCK
        while True:
            sides = zip(self._times, self.heads, self._limits, strict=True)
            parts = [times[k + length : min(k + length + block, limit)] for times, k, limit in sides]
            if any(part != parts[0] for part in parts):
                agreeing = takewhile(lambda instants: min(instants) == max(instants), zip(*parts, strict=False))
                return length + sum(1 for _ in agreeing)
            length += len(parts[0])
            if len(parts[0]) < block:
                return length
            block *= 2

    def _follow(self) -> bool:
        """Goes to the tightest window that overlaps the last of the chain, or accepts that one.

        Returns:
            False where a candle to come could be in a tighter row.
        """
        row = self._chain[-1]
        tightest = self._tightest_overlapping(row)
        if tightest is None:
            self._chain.clear()
            return False
        if tightest == row:
            self._accept_last_of_chain()
        else:
            self._chain.append(tightest)
        return True

    def _accept_last_of_chain(self) -> None:
        row = self._chain.pop()
        if not self._chain:
            self._emit(row)
            return
        self._accepted.append(row)
        self._enter_part()
        # Windows before the row's bounds are the same as without them, so the chain need not be walked again.
        while self._chain and not all(map(operator.lt, self._chain[-1], row)):
            self._chain.pop()

    def _tightest_overlapping(self, row: Row) -> Row | None:
        """The tightest window that begins at or before the end of ``row``, the earliest among equals.

        Returns:
            ``row`` itself where none is strictly tighter; None where a candle to come could make one.
        """
        instants = self._instants(row)
        latest = reach = max(instants)
        best, least = row, latest - min(instants)
        heads, complete = list(row), True
        while True:
            i = instants.index(min(instants))
            if heads[i] >= self._limits[i]:
                return best
            heads[i] += 1
            if heads[i] < self._limits[i]:
                instants[i] = self._times[i][heads[i]]
            else:
                # Unknown, and free to lie anywhere from here on: at best exactly where the others end.
                instants[i], complete = max(self._beyond[i], latest), False
            reach = max(reach, instants[i])
            earliest = min(instants)
            if earliest > latest or reach - latest >= least:
                return best
            if reach - earliest < least:
                if not complete:
                    return None
                best, least = tuple(heads), reach - earliest
