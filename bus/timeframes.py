"""Timeframes and the grid of open times they span."""

from typing import Final

import msgspec

from bus.errors import UnsupportedTimeframe
from bus.given import is_text, shown

#: A candle counts as closed this long after its end: exchanges still book late trades.
SETTLE_MS: Final = 2_000
_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS


class Timeframe(msgspec.Struct, frozen=True):
    """Length of a candle; its open times are the multiples of ``duration_ms`` since the epoch, UTC.

    Attributes:
        name: Our name of it, such as ``30m``.
        duration_ms: From open to close, in ms.
    """

    name: str
    duration_ms: int

    def floor(self, instant_ms: int) -> int:
        """The last open time at or before the instant."""
        return instant_ms - instant_ms % self.duration_ms

    def ceil(self, instant_ms: int) -> int:
        """The first open time at or after the instant."""
        return instant_ms + -instant_ms % self.duration_ms

    def open_times(self, since_ms: int, until_ms: int) -> range:
        """Open times in ``[since_ms, until_ms)``, ascending; the bounds need not lie on the grid."""
        return range(self.ceil(since_ms), self.ceil(until_ms), self.duration_ms)

    def slots(self, since_ms: int, until_ms: int) -> int:
        """How many candles can open in ``[since_ms, until_ms)``."""
        return len(self.open_times(since_ms, until_ms))


TIMEFRAMES: Final = {
    name: Timeframe(name, duration_ms)
    for name, duration_ms in {
        "1m": _MINUTE_MS,
        "3m": 3 * _MINUTE_MS,
        "5m": 5 * _MINUTE_MS,
        "15m": 15 * _MINUTE_MS,
        "30m": 30 * _MINUTE_MS,
        "1h": _HOUR_MS,
        "2h": 2 * _HOUR_MS,
        "4h": 4 * _HOUR_MS,
        "6h": 6 * _HOUR_MS,
        "8h": 8 * _HOUR_MS,
        "12h": 12 * _HOUR_MS,
        "1d": 24 * _HOUR_MS,
    }.items()
}

# Weeks open on Mondays on some venues and on Thursdays on others (ccxt issue 25046), and a month has no fixed
# length: their grids are not the same everywhere, so rows of them could not be aligned.
_NO_COMMON_GRID: Final = frozenset({"3d", "1w", "1M"})


def timeframe(name: str) -> Timeframe:
    """The timeframe of that name.

    Raises:
        UnsupportedTimeframe: candlebus knows no such timeframe.
    """
    known = " ".join(TIMEFRAMES)
    if not is_text(name):
        raise UnsupportedTimeframe(f"timeframe {shown(name)} is no text; candlebus serves: {known}")
    found = TIMEFRAMES.get(name)
    if found is not None:
        return found
    if name in _NO_COMMON_GRID:
        raise UnsupportedTimeframe(
            f"timeframe {name!r} opens on different days on different venues; candlebus serves: {known}"
        )
    raise UnsupportedTimeframe(f"unknown timeframe {name[:80]!r}; candlebus serves: {known}")
