"""Rate limits as the venues enforce them: strict, over sliding windows, with a block or without."""

from collections import deque
from typing import Final

import msgspec

from bus.errors import SettingsError
from candlebus.sandbox import kucoinfutures
from candlebus.sandbox.listings import Venue

#: Refusals during one block after which BingX bans.
PATIENCE: Final = 20
_MAX_ARRIVALS: Final = 1_000_000


class Window(msgspec.Struct, frozen=True):
    """At most ``weight`` may be accepted in any half-open window of ``length_ms``."""

    weight: int
    length_ms: int


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """All limits of one venue.

    Attributes:
        windows: All hold at once; empty for no limit.
        weights: Path → what a request draws; others draw ``default_weight``.
        block_ms: How long everything is refused after an excess; 0 where room in the windows is enough.
    """

    windows: tuple[Window, ...] = ()
    weights: dict[str, int] = {}
    default_weight: int = 1
    block_ms: int = 0

    def weight(self, path: str) -> int:
        """What a request for the path draws."""
        return self.weights.get(path, self.default_weight)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one arrival.

    Attributes:
        is_banned: Refused after too many refusals.
        wait_ms: Refused: until the next may be accepted. Accepted: until some quota returns.
        remaining: Weight left in the first window.
    """

    is_accepted: bool
    is_banned: bool = False
    wait_ms: int = 0
    remaining: int = 0


_DOCUMENTED: Final[dict[Venue, Rule]] = {
    "bingx": Rule(windows=(Window(500, 10_000), Window(1000, 60_000)), block_ms=300_000),
    "kucoinfutures": Rule(
        windows=(Window(2000, 30_000),),
        default_weight=3,
        weights={
            kucoinfutures.CANDLES: 3,
            kucoinfutures.CONTRACTS: 3,
            kucoinfutures.TICKER: 2,
            kucoinfutures.TICKERS: 5,
            kucoinfutures.TIME: 2,
            kucoinfutures.STATUS: 4,
        },
    ),
}


def rule_of(venue: Venue, text: str | None = None, block_ms: int | None = None) -> Rule:
    """The limits of a venue.

    Args:
        text: ``N/S`` for N requests in any S seconds, whatever they ask for; ``off`` for no limit, weights still
            counted; None for the documented limits.
        block_ms: How long BingX refuses after an excess; None for 5 minutes as documented, 1 s with a limit of ``N/S``.

    Raises:
        SettingsError: The text is neither.
    """
    if text == "off":
        return msgspec.structs.replace(_DOCUMENTED[venue], windows=(), block_ms=0)
    rule = _DOCUMENTED[venue] if text is None else Rule(windows=(_window(text),), block_ms=1000)
    if venue != "bingx":
        return msgspec.structs.replace(rule, block_ms=0)
    return rule if block_ms is None else msgspec.structs.replace(rule, block_ms=block_ms)


class _Sliding:
    """What was accepted within one window, ending now."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.used = 0
        self._accepted: deque[tuple[float, int]] = deque()

    def forget(self, instant_ms: float) -> None:
        while self._accepted and self._accepted[0][0] <= instant_ms - self.window.length_ms:
            self.used -= self._accepted.popleft()[1]

    def add(self, instant_ms: float, weight: int) -> None:
        self._accepted.append((instant_ms, weight))
        self.used += weight

    def wait_ms(self, instant_ms: float, weight: int) -> float:
        """Until so much weight fits, ms; 0 when it does."""
        excess = self.used + weight - self.window.weight
        if excess <= 0:
            return 0.0
        for arrived_ms, drawn in self._accepted:
            excess -= drawn
            if excess <= 0:
                return arrived_ms + self.window.length_ms - instant_ms
        return float(self.window.length_ms)

    def refill_ms(self, instant_ms: float) -> int:
        """Until the oldest weight leaves, whole ms; the length of the window when it is empty."""
        oldest_ms = self._accepted[0][0] if self._accepted else instant_ms
        return _whole_ms(oldest_ms + self.window.length_ms - instant_ms)


class Meter:
    """Accepts or refuses arrivals by a rule. Instants are in ms of any clock that never goes back."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._windows = [_Sliding(window) for window in rule.windows]
        self._blocked_until = 0.0
        self._refused_in_block = 0

    def admit(self, instant_ms: float, weight: int) -> Verdict:
        """What becomes of an arrival; refused ones use no quota."""
        if instant_ms < self._blocked_until:
            return self._refuse_blocked(instant_ms)
        self._refused_in_block = 0
        for window in self._windows:
            window.forget(instant_ms)
        wait_ms = max((window.wait_ms(instant_ms, weight) for window in self._windows), default=0.0)
        if wait_ms > 0:
            return self._refuse(instant_ms, wait_ms)
        for window in self._windows:
            window.add(instant_ms, weight)
        return Verdict(is_accepted=True, wait_ms=self._refill_ms(instant_ms), remaining=self._remaining())

    def _refuse(self, instant_ms: float, wait_ms: float) -> Verdict:
        if self.rule.block_ms:
            self._blocked_until = instant_ms + self.rule.block_ms
            return Verdict(is_accepted=False, wait_ms=self.rule.block_ms)
        return Verdict(is_accepted=False, wait_ms=_whole_ms(wait_ms), remaining=self._remaining())

    def _refuse_blocked(self, instant_ms: float) -> Verdict:
        self._refused_in_block += 1
        if self._refused_in_block == PATIENCE + 1:
            self._blocked_until = instant_ms + self.rule.block_ms
        is_banned = self._refused_in_block > PATIENCE
        return Verdict(is_accepted=False, is_banned=is_banned, wait_ms=_whole_ms(self._blocked_until - instant_ms))

    def _remaining(self) -> int:
        return self._windows[0].window.weight - self._windows[0].used if self._windows else 0

    def _refill_ms(self, instant_ms: float) -> int:
        return self._windows[0].refill_ms(instant_ms) if self._windows else 0


class ArrivalLog:
    """When requests arrived and what they drew; the newest million of them."""

    def __init__(self) -> None:
        self._arrivals: deque[tuple[float, int]] = deque(maxlen=_MAX_ARRIVALS)

    def add(self, instant_ms: float, weight: int) -> None:
        """Note an arrival, accepted or refused."""
        self._arrivals.append((instant_ms, weight))

    def snapshot(self) -> tuple[tuple[float, int], ...]:
        """All arrivals, oldest first: instant in ms of a clock that never goes back, and weight."""
        return tuple(self._arrivals)


def most_in_window(arrivals: tuple[tuple[float, int], ...], window_ms: float) -> tuple[int, int]:
    """The most requests, and the most weight, in any half-open window of that length; instants must not fall."""
    most = most_weight = weight = first = 0
    for position, (instant_ms, drawn) in enumerate(arrivals):
        weight += drawn
        while arrivals[first][0] <= instant_ms - window_ms:
            weight -= arrivals[first][1]
            first += 1
        most, most_weight = max(most, position - first + 1), max(most_weight, weight)
    return most, most_weight


def _window(text: str) -> Window:
    number, slash, seconds = text.partition("/")
    try:
        window = Window(int(number), round(float(seconds) * 1000))
    except (ValueError, OverflowError):
        slash = ""
        window = Window(0, 0)
    if not slash or window.weight < 1 or window.length_ms < 1:
        raise SettingsError(f"limit {text!r} is neither N/S, such as 10/1 for 10 requests a second, nor off")
    return window


def _whole_ms(wait_ms: float) -> int:
    return max(1, -int(-wait_ms // 1))
