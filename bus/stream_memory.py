"""What was decided last of one source, to tell a candle that comes again from one that comes changed."""

from collections.abc import Iterable
from operator import itemgetter
from typing import Any, Final

from bus.codec import column, numbers
from bus.messages import Candle, LateReason

#: version, candle: of two with one open time the greater holds.
Kept = tuple[int, Candle]

_COLUMNS: Final = "qqddddd"  # version, then the fields of a candle


class Memory:
    """The greatest candle seen for each of the latest decided open times.

    Attributes:
        forgotten_ms: Candles that open before it may have been decided and forgotten; exclusive.
        forgotten_version: Greatest version of those.
    """

    __slots__ = ("_kept", "_most", "_packed", "forgotten_ms", "forgotten_version")

    def __init__(self, start_ms: int, most: int) -> None:
        """A memory of at most so many candles, all from the start on, ms."""
        self._most = most
        self._kept: dict[int, Kept] = {}
        self._packed: bytes | None = None
        self.forgotten_ms = start_ms
        self.forgotten_version = 0

    def add(self, kept: Kept) -> None:
        """Remembers a candle whose open time is decided; beyond the bound what came first is forgotten."""
        if self._packed is not None:
            self._unpack()
        self._kept[kept[1][0]] = kept
        if len(self._kept) > self._most:
            self._forget(next(iter(self._kept)))

    def add_all(self, decided: list[Kept]) -> None:
        """As :meth:`add`, for many that ascend; those that would be forgotten again are not even taken up."""
        first = max(0, len(decided) - self._most)
        if first:
            version, candle = max(decided[:first], key=itemgetter(0))[0], decided[first - 1][1]
            self.forgotten_ms = max(self.forgotten_ms, candle.open_time + 1)
            self.forgotten_version = max(self.forgotten_version, version)
        for kept in decided[first:]:
            self.add(kept)

    def _forget(self, at_ms: int) -> None:
        version, _ = self._kept.pop(at_ms)
        self.forgotten_ms = max(self.forgotten_ms, at_ms + 1)
        self.forgotten_version = max(self.forgotten_version, version)

    def judge(self, kept: Kept, *, is_settled: bool) -> LateReason | None:
        """Why a candle whose open time is decided is late; None where it is not.

        Args:
            is_settled: Whether its open time had been settled, so that it should have been known.
        """
        self._unpack()
        at_ms = kept[1].open_time
        known = self._kept.get(at_ms)
        if known is None and at_ms < self.forgotten_ms:
            return self._judge_forgotten(kept[0], is_settled=is_settled)
        if known is None:
            self.add(kept)
            return "added" if is_settled else None
        if kept <= known:
            return None
        self._kept[at_ms] = kept
        return "changed" if is_settled and kept[1] != known[1] else None

    def _judge_forgotten(self, version: int, *, is_settled: bool) -> LateReason | None:
        if is_settled:
            return "forgotten" if version > self.forgotten_version else None
        self.forgotten_version = max(self.forgotten_version, version)
        return None

    def state(self) -> list[Any]:
        """All of it: two numbers and one run of columns."""
        if self._packed is None:
            self._packed = _pack(self._kept.values())
        return [self.forgotten_ms, self.forgotten_version, self._packed]

    def restore(self, state: list[Any]) -> None:
        """Takes over what :meth:`state` said; the columns are read when they are first needed.

        Raises:
            ValueError: They are no such columns.
        """
        self.forgotten_ms, self.forgotten_version, packed = state
        if not isinstance(packed, bytes) or len(packed) % (8 * len(_COLUMNS)):
            raise ValueError("no columns of remembered candles")
        self._kept, self._packed = {}, packed

    def _unpack(self) -> None:
        """Makes the candles ready to be looked at and changed."""
        if self._packed is not None:
            self._kept = self._kept or {kept[1].open_time: kept for kept in _unpacked(self._packed)}
            self._packed = None


def _pack(kept: Iterable[Kept]) -> bytes:
    rows = [(version, *candle) for version, candle in kept]
    return b"".join(column(kind, values) for kind, values in zip(_COLUMNS, zip(*rows, strict=True), strict=False))


def _unpacked(packed: bytes) -> Iterable[Kept]:
    step = len(packed) // len(_COLUMNS)
    parts = [numbers(kind, packed[k * step : (k + 1) * step]) for k, kind in enumerate(_COLUMNS)]
    return ((version, Candle(*values)) for version, *values in zip(*parts, strict=True))
