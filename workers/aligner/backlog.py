"""The entries of one series that are read and not acknowledged: those whose candles wait, and those far ahead."""

from bisect import bisect_left, insort
from collections.abc import Callable

import msgspec

from bus.group_state import Progress
from bus.messages import CandleBatch
from bus.spans import Spans


class Waiting(msgspec.Struct, frozen=True, order=True):
    """An entry by the span that it settles."""

    until: int
    since: int
    entry_id: str


class Backlog:
    """The unacknowledged entries of a series.

    The candles of an entry are in memory, or it is far ahead and only its id and span are kept. Either way the entry
    stays in the pending list of the consumer group until everything in it is decided: nobody trims the stream past
    it, and whoever takes the group over reads it again.

    Attributes:
        read_id: The last entry that was read.
    """

    def __init__(self, progress: Progress, start_ms: int) -> None:
        self.read_id = progress.read_id
        self._before_id = _order(progress.read_id)
        self._start_ms = start_ms
        self._settled = Spans([(start_ms, max(start_ms, progress.settled_ms))])
        self._loaded: list[Waiting] = []
        self._deferred: list[Waiting] = []
        self._awaited, self._has_dead = progress.loaded + progress.deferred, False

    def was_read(self, entry_id: str) -> bool:
        """Whether the entry was read before the last commit of whoever aligned the group before."""
        return _order(entry_id) <= self._before_id

    def read(self, entry_id: str, batch: CandleBatch | None, *, is_decided: bool = False) -> None:
        """An entry was read.

        Args:
            batch: What is in it; None where that is no batch.
            is_decided: Whether everything in it is decided: it was acknowledged, and an owner who read all again, since
                something was lost, ended before its commit. Such an entry is none of those that are awaited.
        """
        if _order(entry_id) > _order(self.read_id):
            self.read_id = entry_id
        if self.was_read(entry_id) and not is_decided:
            self._awaited -= 1
        if batch is not None:
            self._settled.add(batch.since, batch.until)
        else:
            self._has_dead = self._has_dead or self.was_read(entry_id)

    def loaded(self, entry_id: str, batch: CandleBatch) -> None:
        """The entry's candles are in memory."""
        insort(self._loaded, Waiting(batch.until, batch.since, entry_id))

    def defer(self, entry_id: str, batch: CandleBatch) -> None:
        """The entry is to be read again when its time comes."""
        insort(self._deferred, Waiting(batch.until, batch.since, entry_id), key=_since)

    @property
    def has_lost(self) -> bool:
        """Whether, once what was pending is read, entries are missing that the former owner had not acknowledged."""
        return self._awaited > 0

    @property
    def is_whole(self) -> bool:
        """Whether, by then, all of them are here and none had to be set aside."""
        return not self.has_lost and not self._has_dead

    def unsettle(self, decided_ms: int) -> list[tuple[int, int]]:
        """Counts as settled what is decided, up to that instant, ms, and what is here; the spans in memory, ms."""
        if self.has_lost:  # reading begins anew at the stream's first entry
            self.read_id = "0-0"
        self._settled = Spans([(self._start_ms, max(self._start_ms, decided_ms))])
        for one in (*self._loaded, *self._deferred):
            self._settled.add(one.since, one.until)
        return [(one.since, one.until) for one in self._loaded]

    def reach(self, horizon_ms: int, most: int) -> int:
        """How far the horizon, ms, may move without more than about so many entries becoming due."""
        if len(self._deferred) <= most:
            return horizon_ms
        return min(horizon_ms, max(self._deferred[most].since, self._deferred[0].since + 1))

    def due(self, horizon_ms: int) -> list[str]:
        """The entries put off that begin before the horizon, ms, the earliest first; they are not put off any more."""
        count = bisect_left(self._deferred, horizon_ms, key=_since)
        found = [one.entry_id for one in self._deferred[:count]]
        del self._deferred[:count]
        return found

    def has_due(self, horizon_ms: int) -> bool:
        """Whether the time of an entry has come."""
        return bool(self._deferred) and self._deferred[0].since < horizon_ms

    def done(self, is_decided: Callable[[int], bool]) -> list[str]:
        """The entries in which everything is decided; they are let go of.

        Args:
            is_decided: Whether everything before an instant, ms, is.
        """
        count = 0
        while count < len(self._loaded) and is_decided(self._loaded[count].until):
            count += 1
        found = [one.entry_id for one in self._loaded[:count]]
        del self._loaded[:count]
        return found

    def progress(self, pending: int) -> Progress:
        """How far the series is read.

        Args:
            pending: How many of its candles wait.
        """
        settled_ms = self._settled.watermark(self._start_ms)
        return Progress(self.read_id, settled_ms, pending, len(self._deferred), len(self._loaded))


def _since(waiting: Waiting) -> int:
    return waiting.since


def _order(entry_id: str) -> tuple[int, int]:
    at_ms, _, number = entry_id.partition("-")
    return int(at_ms), int(number or 0)
