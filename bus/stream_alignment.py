"""Rows out of series that arrive page by page: the streaming form of the alignment, equal to the batch form."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bus.alignment import AlignedRow, effective_tolerance_ms
from bus.closest_first import Row, Walk
from bus.errors import DecodeError, GroupError, SpanError
from bus.messages import Candle
from bus.stream_source import Source


class LateCandle(NamedTuple):
    """A candle that arrived after its open time was settled and decided, and differs from what was known of it."""

    source: str
    version: int
    candle: Candle


class StreamAligner:
    """Aligns sources whose candles arrive in any order, repeatedly and in several versions.

    Rows come out as soon as nothing to come can change them, and the rows of all calls together are always the first
    rows of the batch result over all candles. That holds while no source settles a span before its candles arrived
    in their last version; a candle that breaks it is used while its open time is undecided, else it is late.

    Late is a candle below both its source's watermark and the decided line if it differs from the one remembered, or if
    none was there. Only the latest ``remember`` decided candles of a source are remembered; an older one is late if
    its version is greater than all forgotten versions, be it different or not.
    """

    def __init__(
        self, sources: Sequence[str], timeframe_ms: int, tolerance_ms: int, start_ms: int, *, remember: int = 256
    ) -> None:
        """An aligner that has seen nothing.

        Args:
            sources: Their names, which order the candles of a row.
            timeframe_ms: Length of a candle, ms.
            tolerance_ms: Greatest distance of two open times of one row, ms, inclusive.
            start_ms: First open time that may stand in a row, ms.
            remember: How many decided candles of each source to remember, to tell redelivery from change.

        Raises:
            SpanError: The tolerance is negative or not below half of the timeframe.
            GroupError: There are no sources, or a name stands twice.
        """
        most_ms = effective_tolerance_ms(tolerance_ms, timeframe_ms)
        if tolerance_ms > most_ms:
            raise SpanError(f"tolerance of {tolerance_ms} ms is not below half of {timeframe_ms} ms; at most {most_ms}")
        if not sources or len(set(sources)) < len(sources):
            raise GroupError(f"sources must be named once each, not {list(sources)}")
        self._timeframe_ms, self._tolerance_ms, self._start_ms = timeframe_ms, tolerance_ms, start_ms
        self._remember = remember
        self._sources = {name: Source(start_ms, remember) for name in sources}
        self._late: list[LateCandle] = []

    @property
    def decided_ms(self) -> int:
        """Every row that begins before this instant, ms, is out."""
        return min(source.decided_ms for source in self._sources.values())

    def push(self, source: str, version: int, since_ms: int, until_ms: int, candles: Iterable[Candle]) -> None:
        """Takes a page of a source; candles before the start are ignored.

        Args:
            source: Which of the sources.
            version: Of two candles with one open time the greater version holds, then the greater candle.
            since_ms: First instant that the page settles, ms, inclusive.
            until_ms: First instant that it does not settle, ms, exclusive.
            candles: Of one source, in any order.

        Raises:
            GroupError: No such source.
            SpanError: The span ends before it starts, or too many spans stand apart; nothing was taken.
        """
        known = self._source(source)
        known.spans.add(since_ms, until_ms)
        for candle in candles:
            if candle.open_time >= self._start_ms and known.take((version, candle)):
                known.late_count += 1
                self._late.append(LateCandle(source, version, candle))
        known.settle(self._start_ms)

    def poll(self) -> list[AlignedRow]:
        """The rows that are final and were not returned before, in time order."""
        sources = list(self._sources.values())
        walk = Walk([each.settled for each in sources], self._tolerance_ms, [each.watermark_ms for each in sources])
        walk.run()
        rows = [self._row(row) for row in walk.rows]
        floor_ms = walk.floor_ms
        for name, source in self._sources.items():
            after_row_ms = rows[-1].candles[name].open_time + 1 if rows else floor_ms
            source.decide(max(after_row_ms, floor_ms))
        return rows

    def settled_ms(self, source: str) -> int:
        """The source's watermark, ms, exclusive: from the start to here it is settled without a break."""
        return self._source(source).watermark_ms

    def pending(self, source: str) -> int:
        """How many candles of the source wait to be decided."""
        return len(self._source(source).pending)

    def late_count(self, source: str) -> int:
        """How many late candles of the source there were in all."""
        return self._source(source).late_count

    def take_late(self) -> list[LateCandle]:
        """The late candles since the last call, as they arrived."""
        late, self._late = self._late, []
        return late

    def state(self) -> dict[str, Any]:
        """All that the aligner knows, in maps, lists, strings and numbers."""
        return {
            "timeframe_ms": self._timeframe_ms,
            "tolerance_ms": self._tolerance_ms,
            "start_ms": self._start_ms,
            "remember": self._remember,
            "late": [[source, version, list(candle)] for source, version, candle in self._late],
            "sources": {name: source.state() for name, source in self._sources.items()},
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "StreamAligner":
        """The aligner whose :meth:`state` this is; from here on both would return the same.

        Raises:
            DecodeError: It is no state of an aligner.
        """
        try:
            timing = state["timeframe_ms"], state["tolerance_ms"], state["start_ms"]
            aligner = cls(list(state["sources"]), *timing, remember=state["remember"])
            aligner._late = [LateCandle(name, version, Candle(*candle)) for name, version, candle in state["late"]]
            for name, source in state["sources"].items():
                aligner._sources[name].restore(source)
        except (KeyError, TypeError, ValueError, SpanError, GroupError) as error:
            raise DecodeError(f"not the state of an aligner ({type(error).__name__}: {error})") from error
        return aligner

    def _source(self, name: str) -> Source:
        try:
            return self._sources[name]
        except KeyError:
            raise GroupError(f"{name} is not a source here; there are: {' '.join(self._sources)}") from None

    def _row(self, row: Row) -> AlignedRow:
        sides = zip(self._sources.items(), row, strict=True)
        return AlignedRow.of({name: source.pending[source.settled[k]][1] for (name, source), k in sides})
