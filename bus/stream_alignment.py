"""Rows out of series that arrive page by page: the streaming form of the alignment, equal to the batch form."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bus.alignment import AlignedRow, effective_tolerance_ms
from bus.errors import DecodeError, GroupError, SpanError
from bus.membership import Piece
from bus.messages import Candle, LateReason
from bus.stream_members import Members
from bus.stream_rows import complete_rows, rows_of_at_least
from bus.stream_source import Source


class LateCandle(NamedTuple):
    """A candle that arrived after its open time was settled and decided, and differs from what was known of it."""

    source: str
    version: int
    reason: LateReason
    candle: Candle


class StreamAligner:
    """Aligns sources whose candles arrive in any order, repeatedly and in several versions.

    Rows come out as soon as nothing to come can change them, and the rows of all calls together are always the first
    rows of the batch result over all candles (:func:`bus.membership.align_pieces` with the aligner's log). That holds
    while no source settles a span before its candles arrived in their last version; a candle that breaks it is used
    while its open time is undecided, else it is late.

    Late is a candle below both its source's watermark and the decided line if it differs from the one remembered, or if
    none was there. Only the latest ``remember`` decided candles of a source are remembered; an older one is late if
    its version is greater than all forgotten versions, be it different or not.
    """

    def __init__(
        self,
        sources: Sequence[str],
        timeframe_ms: int,
        tolerance_ms: int,
        start_ms: int,
        *,
        remember: int = 256,
        min_sources: int | None = None,
    ) -> None:
        """An aligner that has seen nothing.

        Args:
            sources: Their names, which order the candles of a row.
            timeframe_ms: Length of a candle, ms.
            tolerance_ms: Greatest distance of two open times of one row, ms, inclusive.
            start_ms: First open time that may stand in a row, ms.
            remember: How many decided candles of each source to remember, to tell redelivery from change.
            min_sources: Least number of candles that make a row; None for one of every source. With fewer, the candles
                of a source must be more than twice the tolerance apart.

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
        self._remember, self._min_sources = remember, min_sources
        self._sources = {name: Source(start_ms, remember) for name in sources}
        self.members = Members(self._sources, start_ms, min_sources or 1)
        self._late: list[LateCandle] = []

    @property
    def decided_ms(self) -> int:
        """Every row that begins before this instant, ms, is out."""
        return min(source.decided_ms for source in self.members.now.values())

    @property
    def settled_to_ms(self) -> int:
        """Every member is settled up to here, ms, exclusive."""
        return min(source.watermark_ms for source in self.members.now.values())

    @property
    def log(self) -> list[Piece]:
        """The pieces of the timeline from the current one on."""
        return self.members.log

    def push(
        self,
        source: str,
        version: int,
        since_ms: int,
        until_ms: int,
        candles: Sequence[Candle],
        *,
        is_replay: bool = False,
    ) -> None:
        """Takes a page of a source; candles before the start, or while the source takes no part, are ignored.

        Args:
            source: Which of the sources.
            version: Of two candles with one open time the greater version holds, then the greater candle.
            since_ms: First instant that the page settles, ms, inclusive.
            until_ms: First instant that it does not settle, ms, exclusive.
            candles: Of one source, in any order, none before ``since_ms``.
            is_replay: The page was taken before the state was saved that this aligner began with.

        Raises:
            GroupError: No such source.
            SpanError: The span ends before it starts, or too many spans stand apart; nothing was taken.
        """
        known = self._source(source)
        known.extend(since_ms, until_ms)
        if since_ms < self._start_ms:
            candles = [candle for candle in candles if candle[0] >= self._start_ms]
        for candle, reason in known.take(version, candles, is_replay=is_replay):
            self._late.append(LateCandle(source, version, reason, candle))
        self.members.heard(version)
        if known.rise():
            self.members.has_risen(known, version)

    def unsettle(self, source: str, spans: Iterable[Sequence[int]]) -> None:
        """Pages of a source are lost that were taken before the state was saved, and not decided.

        The source waits for them: it is settled up to what is decided, and where its pages are here. One that is left
        out has taken no part since what is decided.

        Args:
            source: Which of the sources.
            spans: What those of its pages settle that are here, ``(since_ms, until_ms)``.
        """
        if self.members.has(source):
            self._source(source).unsettle(spans)
            self.members.has_fallen(self._source(source))
        else:
            self.members.lose(source)

    def decided_of(self, source: str) -> int:
        """Every candle of the source that opens before this instant, ms, is decided."""
        return self._source(source).decided_ms

    def poll(self) -> list[AlignedRow]:
        """The rows that are final and were not returned before, in time order."""
        rows = self._final_rows()
        while self.members.enter_next_piece():
            rows += self._final_rows()
        return rows

    def _final_rows(self) -> list[AlignedRow]:
        now, until_ms = self.members.now, self.members.until_ms
        if self._min_sources is None or self._min_sources >= len(now):
            return complete_rows(now, self._tolerance_ms, until_ms)
        return rows_of_at_least(now, self._tolerance_ms, until_ms, self._min_sources)

    def settled_ms(self, source: str) -> int:
        """The source's watermark, ms, exclusive: from the start to here it is settled without a break."""
        return self._source(source).watermark_ms

    def is_decided(self, source: str, before_ms: int) -> bool:
        """Whether a page with no candle at or after the instant, ms, need not be taken again after a restart."""
        known = self._source(source)
        return before_ms <= known.decided_ms or (known.end_ms <= known.decided_ms and before_ms <= known.begin_ms)

    def pending(self, source: str) -> int:
        """How many candles of the source wait to be decided."""
        return len(self._source(source).pending)

    def late_count(self, source: str) -> int:
        """How many late candles of the source there were in all."""
        return self._source(source).late_count

    def corrections(self, source: str) -> int:
        """How many candles of the source a newer version changed before they were decided."""
        return self._source(source).corrections

    def take_late(self) -> list[LateCandle]:
        """The late candles since the last call, as they arrived."""
        late, self._late = self._late, []
        return late

    def take_back(self, late: Iterable[LateCandle]) -> None:
        """Counts candles as not late after all."""
        for one in late:
            self._source(one.source).late_count -= 1

    def state(self) -> dict[str, Any]:
        """All that the aligner knows but the candles that wait, in maps, lists, strings, numbers and bytes.

        Whoever restores it pushes the pages again for which :meth:`is_decided` was False, as replays.
        """
        return {
            "timing": [self._timeframe_ms, self._tolerance_ms, self._start_ms, self._remember, self._min_sources],
            "members": self.members.state(),
            "late": [[source, version, reason, list(candle)] for source, version, reason, candle in self._late],
            "sources": {name: source.state() for name, source in self._sources.items()},
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "StreamAligner":
        """The aligner whose :meth:`state` this is; once it has its pages again, both would return the same.

        Raises:
            DecodeError: It is no state of an aligner.
        """
        try:
            *timing, remember, min_sources = state["timing"]
            aligner = cls(list(state["sources"]), *timing, remember=remember, min_sources=min_sources)
            aligner._late = [LateCandle(one, v, reason, Candle(*candle)) for one, v, reason, candle in state["late"]]
            for name, source in state["sources"].items():
                aligner._sources[name].restore(source)
            aligner.members.restore(state["members"])
        except (KeyError, IndexError, TypeError, ValueError, SpanError, GroupError) as error:
            raise DecodeError(f"not the state of an aligner ({type(error).__name__}: {error})") from error
        return aligner

    def _source(self, name: str) -> Source:
        try:
            return self._sources[name]
        except KeyError:
            raise GroupError(f"{name} is not a source here; there are: {' '.join(self._sources)}") from None
