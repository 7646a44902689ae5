"""One source of a stream alignment: its candles that wait, how far it is settled and decided, what was decided last."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bus.messages import Candle
from bus.spans import Spans

_Kept = tuple[int, Candle]  # version, candle: of two with one open time the greater holds


class Source:
    """What is known of one source.

    Attributes:
        watermark_ms: Every candle that opens before it is here; exclusive.
        decided_ms: Every candle that opens before it stands in a row that is out, or can stand in none; exclusive.
        pending: Open time → the candle that holds, for those not decided.
        settled: Open times of ``pending`` below the watermark, ascending.
        ahead: Open times of ``pending`` from the watermark on.
        remembered: Open time → the greatest candle seen, for the latest of those decided.
        forgotten_ms: Candles that open before it were decided and are no longer remembered; exclusive.
        forgotten_version: Greatest version of those.
    """

    def __init__(self, start_ms: int, remember: int) -> None:
        self.spans = Spans()
        self.watermark_ms = self.decided_ms = self.forgotten_ms = start_ms
        self.forgotten_version = self.late_count = 0
        self.pending: dict[int, _Kept] = {}
        self.settled: list[int] = []
        self.ahead: set[int] = set()
        self.remembered: dict[int, _Kept] = {}
        self._remember = remember

    def take(self, kept: _Kept) -> bool:
        """Keeps a candle if it holds; whether it is late instead."""
        at_ms = kept[1].open_time
        if at_ms < self.decided_ms:
            return self._is_late(at_ms, kept)
        if at_ms in self.pending:
            self.pending[at_ms] = max(self.pending[at_ms], kept)
            return False
        self.pending[at_ms] = kept
        if at_ms < self.watermark_ms:
            insort(self.settled, at_ms)
        else:
            self.ahead.add(at_ms)
        return False

    def _is_late(self, at_ms: int, kept: _Kept) -> bool:
        is_settled = at_ms < self.watermark_ms
        if is_settled and at_ms < self.forgotten_ms:
            return kept[0] > self.forgotten_version
        known = self.remembered.get(at_ms)
        self.remembered[at_ms] = max(known or kept, kept)
        self._forget()
        return is_settled and (known is None or (kept > known and kept[1] != known[1]))

    def _forget(self) -> None:
        if len(self.remembered) <= self._remember:
            return
        for at_ms in sorted(self.remembered)[: len(self.remembered) - self._remember]:
            version, _ = self.remembered.pop(at_ms)
            self.forgotten_ms = max(self.forgotten_ms, at_ms + 1)
            self.forgotten_version = max(self.forgotten_version, version)

    def settle(self, start_ms: int) -> None:
        """Moves the watermark to the end of the unbroken union."""
        before_ms, self.watermark_ms = self.watermark_ms, self.spans.watermark(start_ms)
        if self.watermark_ms > before_ms and self.ahead:
            reached = sorted(at_ms for at_ms in self.ahead if at_ms < self.watermark_ms)
            self.settled += reached
            self.ahead.difference_update(reached)

    def decide(self, before_ms: int) -> None:
        """Lets go of every candle that opens before the instant, ms."""
        if before_ms <= self.decided_ms:
            return
        self.decided_ms = before_ms
        gone = self.settled[: bisect_left(self.settled, before_ms)]
        del self.settled[: len(gone)]
        if before_ms > self.watermark_ms:
            gone += [at_ms for at_ms in self.ahead if at_ms < before_ms]
            self.ahead.difference_update(gone)
        for at_ms in gone:
            self.remembered[at_ms] = self.pending.pop(at_ms)
        self._forget()

    def state(self) -> dict[str, Any]:
        """All of it in maps, lists and numbers."""
        return {
            "spans": self.spans.to_list(),
            "decided_ms": self.decided_ms,
            "forgotten": [self.forgotten_ms, self.forgotten_version],
            "late": self.late_count,
            "pending": _listed(self.pending),
            "remembered": _listed(self.remembered),
            "watermark_ms": self.watermark_ms,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over what :meth:`state` said."""
        self.spans = Spans(state["spans"])
        self.decided_ms, self.late_count, self.watermark_ms = state["decided_ms"], state["late"], state["watermark_ms"]
        self.forgotten_ms, self.forgotten_version = state["forgotten"]
        self.pending, self.remembered = _by_time(state["pending"]), _by_time(state["remembered"])
        self.settled = sorted(at_ms for at_ms in self.pending if at_ms < self.watermark_ms)
        self.ahead = set(self.pending).difference(self.settled)


def _listed(candles: Mapping[int, _Kept]) -> list[list[Any]]:
    return [[version, *candle] for _, (version, candle) in sorted(candles.items())]


def _by_time(rows: Iterable[Sequence[Any]]) -> dict[int, _Kept]:
    return {candle[0]: (version, Candle(*candle)) for version, *candle in rows}
