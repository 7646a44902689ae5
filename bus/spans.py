"""The union of half-open spans of time that are settled, however they arrive."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from bus.errors import SpanError

#: Spans that may stand apart; beyond it something keeps leaving holes, which no watermark can pass anyway.
MAX_SPANS: Final = 10_000


class Spans:
    """Spans ``[since, until)`` merged where they touch or overlap."""

    __slots__ = ("_since", "_until")

    def __init__(self, pairs: Iterable[Sequence[int]] = ()) -> None:
        """The union of the pairs ``(since_ms, until_ms)``, in any order."""
        self._since: list[int] = []
        self._until: list[int] = []
        for since_ms, until_ms in pairs:
            self.add(since_ms, until_ms)

    def add(self, since_ms: int, until_ms: int) -> None:
        """Adds ``[since_ms, until_ms)``, ms; a span without length adds nothing.

        Raises:
            SpanError: The span ends before it starts, or too many spans stand apart; nothing was added.
        """
        if since_ms > until_ms:
            raise SpanError(f"span ends at {until_ms} ms, before it starts at {since_ms} ms")
        if since_ms == until_ms:
            return
        if self._until and self._since[-1] <= since_ms <= self._until[-1]:  # what live pages do
            self._until[-1] = max(self._until[-1], until_ms)
            return
        first = bisect_left(self._until, since_ms)
        last = bisect_right(self._since, until_ms)
        if first == last and len(self._since) >= MAX_SPANS:
            raise SpanError(f"more than {MAX_SPANS} separate spans; fill the holes between them first")
        if first < last:
            since_ms, until_ms = min(since_ms, self._since[first]), max(until_ms, self._until[last - 1])
        self._since[first:last] = [since_ms]
        self._until[first:last] = [until_ms]

    def watermark(self, start_ms: int) -> int:
        """End of the unbroken union from ``start_ms`` on, ms, exclusive; ``start_ms`` where nothing covers it."""
        at = bisect_right(self._since, start_ms) - 1
        return max(start_ms, self._until[at]) if at >= 0 else start_ms

    def __bool__(self) -> bool:
        return bool(self._since)

    @property
    def end_ms(self) -> int | None:
        """End of the last span, ms, exclusive; None where there is none."""
        return self._until[-1] if self._until else None

    def forget_before(self, instant_ms: int) -> None:
        """Drops the spans that end before the instant, ms, whose watermark nobody will ask for again."""
        if self._until and self._until[0] < instant_ms:
            gone = bisect_left(self._until, instant_ms)
            del self._since[:gone], self._until[:gone]

    def to_list(self) -> list[list[int]]:
        """The merged spans as ``[since_ms, until_ms]``, ascending; the constructor takes them back."""
        return [list(pair) for pair in zip(self._since, self._until, strict=True)]
