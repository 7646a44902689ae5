"""One source of a stream alignment: its candles that wait, and how far it is settled and decided."""

import operator
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from itertools import islice, repeat
from typing import Any, Final

from bus.messages import Candle, LateReason
from bus.spans import Spans
from bus.stream_memory import Kept, Memory

#: Later than every candle: the begin of a source that takes no part.
NEVER_MS: Final = 2**63
#: Stretches without the source that are remembered, the latest.
_ABSENCES: Final = 8


class Source:
    """What is known of one source.

    Attributes:
        spans: What its pages settle beyond a hole: none begins at or before the watermark.
        watermark_ms: Every candle that opens before it is here; exclusive.
        decided_ms: Every candle that opens before it stands in a row that is out, or can stand in none; exclusive.
        begin_ms: First open time from which it takes part in rows; :data:`NEVER_MS` while it is left out.
        end_ms: First open time at which it last ceased to take part; the start where it never did.
        behind_ms: Since when, by the producers' clock, another member waits for it; None where none does.
        pending: Open time → the candle that holds, for those not decided.
        settled: Open times of ``pending`` below the watermark, ascending.
        ahead: Open times of ``pending`` from the watermark on, ascending.
        late_count: Candles that came, or came changed, after their open time was settled and decided.
        corrections: Candles that a newer version changed before they were decided.
    """

    __slots__ = (
        "_absences",
        "_memory",
        "_reach_ms",
        "ahead",
        "begin_ms",
        "behind_ms",
        "corrections",
        "decided_ms",
        "end_ms",
        "late_count",
        "pending",
        "settled",
        "spans",
        "watermark_ms",
    )

    def __init__(self, start_ms: int, remember: int) -> None:
        self.spans = Spans()
        self.watermark_ms = self.decided_ms = self.begin_ms = self.end_ms = self._reach_ms = start_ms
        self.behind_ms: int | None = None
        self.late_count = self.corrections = 0
        self.pending: dict[int, Kept] = {}
        self.settled: list[int] = []
        self.ahead: list[int] = []
        self._memory = Memory(start_ms, remember)
        self._absences: list[list[int]] = []

    @property
    def head_ms(self) -> int:
        """Open time of its first undecided candle, ms; where none is known, the earliest at which one could open."""
        return self.settled[0] if self.settled else self.watermark_ms

    def take(self, version: int, candles: Sequence[Candle], *, is_replay: bool) -> list[tuple[Candle, LateReason]]:
        """Keeps of the candles those that hold; which of them are late instead, and why.

        Args:
            is_replay: They were counted before.
        """
        if len(candles) == 1:
            reason = self._take_one((version, candles[0]), is_replay=is_replay)
            return [(candles[0], reason)] if reason is not None else []
        times = [candle[0] for candle in candles]
        if self._follow_on(times):
            self.pending.update(zip(times, zip(repeat(version), candles), strict=False))
            self.ahead += times
            return []
        judged = ((candle, self._take_one((version, candle), is_replay=is_replay)) for candle in candles)
        return [(candle, reason) for candle, reason in judged if reason is not None]

    def _follow_on(self, times: list[int]) -> bool:
        """Whether candles that open then follow on one another and on everything known, as live ones do."""
        if not times:
            return True
        known_ms = self.ahead[-1] if self.ahead else self.watermark_ms - 1
        if times[0] <= known_ms or times[0] < self.decided_ms or times[0] < self.begin_ms:
            return False
        return all(map(operator.lt, times, islice(times, 1, None)))

    def _take_one(self, kept: Kept, *, is_replay: bool) -> LateReason | None:
        at_ms = kept[1].open_time
        if at_ms < self.decided_ms:
            return None if is_replay else self._late_reason(at_ms, kept)
        if at_ms >= self.begin_ms or at_ms < self.end_ms:
            self._take_waiting(at_ms, kept, is_replay=is_replay)
        return None

    def _take_waiting(self, at_ms: int, kept: Kept, *, is_replay: bool) -> None:
        known = self.pending.get(at_ms)
        if known is None:
            self.pending[at_ms] = kept
            insort(self.ahead if at_ms >= self.watermark_ms else self.settled, at_ms)
        elif kept > known:
            self.pending[at_ms] = kept
            self.corrections += not is_replay and kept[0] > known[0] and kept[1] != known[1]

    def _late_reason(self, at_ms: int, kept: Kept) -> LateReason | None:
        if any(from_ms <= at_ms < to_ms for from_ms, to_ms in self._absences):
            return None
        reason = self._memory.judge(kept, is_settled=at_ms < self.watermark_ms)
        self.late_count += reason is not None
        return reason

    def extend(self, since_ms: int, until_ms: int) -> None:
        """Adds a settled span; its candles are to be taken before :meth:`rise`.

        Raises:
            SpanError: As :meth:`Spans.add`.
        """
        if self.begin_ms == NEVER_MS:  # what it settles matters only for when it comes back
            self.spans = Spans([(since_ms, max(until_ms, self.spans.end_ms or until_ms))])
        elif since_ms > self.watermark_ms or since_ms > until_ms:
            self.spans.add(since_ms, until_ms)
        elif until_ms > self._reach_ms:
            self._reach_ms = until_ms

    def rise(self) -> bool:
        """Moves the watermark to the end of the unbroken union; whether that is further on."""
        if self._reach_ms <= self.watermark_ms:
            return False
        self.watermark_ms = self._reach_ms
        if self.spans:
            self.watermark_ms = self._reach_ms = self.spans.watermark(self.watermark_ms)
            self.spans.forget_before(self.watermark_ms + 1)
        if self.ahead:
            reached = bisect_left(self.ahead, self.watermark_ms)
            self.settled += self.ahead[:reached]
            self.ahead = self.ahead[reached:]
        return True

    def unsettle(self, spans: Iterable[Sequence[int]]) -> None:
        """Settled is what is decided, and these spans ``(since_ms, until_ms)``; candles that wait go on waiting."""
        self.watermark_ms = self._reach_ms = min(self.watermark_ms, max(self.decided_ms, self.begin_ms))
        self.ahead, self.settled = [*self.settled, *self.ahead], []
        self.spans = Spans()
        for since_ms, until_ms in spans:
            self.extend(since_ms, until_ms)
        self.rise()

    def decide(self, before_ms: int) -> None:
        """Lets go of every candle that opens before the instant, ms."""
        if before_ms <= self.decided_ms:
            return
        self.decided_ms = before_ms
        if self.settled and self.settled[0] < before_ms:
            self._let_go(self.settled, before_ms)
        if before_ms > self.watermark_ms and self.ahead and self.ahead[0] < before_ms:
            self._let_go(self.ahead, before_ms)

    def _let_go(self, times: list[int], before_ms: int) -> None:
        gone = bisect_left(times, before_ms)
        if gone == 1:
            self._memory.add(self.pending.pop(times.pop(0)))
            return
        self._memory.add_all([self.pending.pop(at_ms) for at_ms in times[:gone]])
        del times[:gone]

    def leave(self, from_ms: int) -> None:
        """Takes no part in rows from the instant on, ms."""
        if from_ms > self.begin_ms:  # else it was to come back and never did
            self.end_ms = from_ms
        self.begin_ms, self.behind_ms = NEVER_MS, None
        settled_ms = self.spans.end_ms
        self.spans = Spans() if settled_ms is None or settled_ms <= from_ms else Spans([(from_ms, settled_ms)])
        self.settled = self.settled[: bisect_left(self.settled, from_ms)]
        self.ahead = self.ahead[: bisect_left(self.ahead, from_ms)]
        self.pending = {at_ms: self.pending[at_ms] for at_ms in [*self.settled, *self.ahead]}

    def come_back(self, from_ms: int) -> None:
        """Takes part again from the instant on, ms, which is not before the end of what it settled."""
        self._absences = [*self._absences, [self.watermark_ms, from_ms]][-_ABSENCES:]
        self.begin_ms = self.watermark_ms = self._reach_ms = from_ms
        self.spans = Spans()

    def state(self) -> list[Any]:
        """All of it but the candles that wait: their pages are to be taken again."""
        return [
            self.spans.to_list(),
            self.watermark_ms,
            self.decided_ms,
            None if self.begin_ms == NEVER_MS else self.begin_ms,
            self.end_ms,
            self.behind_ms,
            self.late_count,
            self.corrections,
            self._absences,
            self._memory.state(),
        ]

    def restore(self, state: Sequence[Any]) -> None:
        """Takes over what :meth:`state` said.

        Raises:
            ValueError: It is no such state.
        """
        spans, self.watermark_ms, self.decided_ms, begin_ms, self.end_ms, self.behind_ms, *rest = state
        self._reach_ms = self.watermark_ms
        self.spans, self.begin_ms = Spans(spans), NEVER_MS if begin_ms is None else begin_ms
        self.late_count, self.corrections, self._absences, memory = rest
        self._memory.restore(memory)
