"""The shared budget: when the next request to an exchange may leave, from this egress address, for all workers."""

import time
from collections.abc import Callable
from typing import Final

import msgspec
from redis import Redis

from bus import keys
from bus.errors import Paused
from bus.scripts import Script
from bus.settings import Pace
from workers.exchanges.base import Facts, Limit

#: The original integration's distance between requests.
CONSERVATIVE_INTERVAL_S: Final = 0.7
#: Its page size.
CONSERVATIVE_ROWS: Final = 500
_SHARES: Final[dict[Pace, float]] = {"half": 0.5, "full": 0.98}
#: A slot that was slept over by more than this part of the margin is given up: its neighbours would crowd with it.
_LATE_SHARE: Final = 0.8
#: Longer pauses are for the caller to wait out, who can do something else.
LONGEST_NAP_S: Final = 5.0


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How a pace translates into the limiter's numbers.

    Attributes:
        interval_us: Distance between two requests of weight 1, µs.
        max_ahead_us: A slot is reserved at most this far ahead, µs.
        late_us: A slot that is used later than this is given up, µs.
        rows: Most candles asked for at once.
    """

    interval_us: int
    max_ahead_us: int
    late_us: int
    rows: int


def budget(facts: Facts, pace: Pace) -> Budget:
    """The budget of an exchange at a pace.

    Several limits hold at once; the one with the longest distance between requests decides. ``conservative`` is one
    candle request each 0.7 s, whatever its weight.
    """
    slowest = max(facts.limits, key=lambda limit: limit.window_ms / limit.weight)
    if pace == "conservative":
        interval_us = CONSERVATIVE_INTERVAL_S * 1e6 / facts.weights.candles
        share = min(0.5, _interval_us(slowest, 1.0) / interval_us)
    else:
        share = _SHARES[pace]
        interval_us = _interval_us(slowest, share)
    margin_us = (1 - share) * slowest.window_ms * 1000
    return Budget(
        interval_us=round(interval_us),
        max_ahead_us=max(1_000_000, round(2 * interval_us * facts.weights.candles)),
        late_us=round(_LATE_SHARE * margin_us),
        rows=min(CONSERVATIVE_ROWS, facts.page_rows) if pace == "conservative" else facts.page_rows,
    )


def _interval_us(limit: Limit, share: float) -> float:
    return limit.window_ms * 1000 / (limit.weight * share)


class Limiter:
    """The budget of one exchange and egress address, kept on the server and by its clock.

    A generic cell rate algorithm with a burst of one: the script hands out the next free slot and the caller sleeps
    until it comes, so slots are first come, first served and no client clock matters.
    """

    def __init__(
        self,
        redis: Redis,
        exchange: str,
        egress: str,
        budget: Budget,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._exchange = exchange
        self._budget = budget
        self._limit_key = keys.limit(exchange, egress)
        self._pause_key = keys.pause(exchange, egress)
        self._reserve = Script(redis, "reserve")
        self._sleep = sleep
        self._monotonic = monotonic

    def acquire(self, weight: int) -> None:
        """Return when a request of that weight may leave.

        Raises:
            Paused: The exchange is left alone for longer than a nap.
            redis.RedisError: The server is away; then nothing may leave.
        """
        while True:
            asked_at = self._monotonic()
            cost_us = weight * self._budget.interval_us
            what, wait_us = self._reserve([self._limit_key, self._pause_key], [cost_us, self._budget.max_ahead_us])
            wait_s = int(wait_us) / 1e6
            if what == b"paused" and wait_s > LONGEST_NAP_S:
                raise Paused(self._exchange, self._paused_for(wait_s), pause_ms=round(wait_s * 1000))
            self._sleep(wait_s)
            late_us = (self._monotonic() - asked_at - wait_s) * 1e6
            if what == b"go" and late_us <= self._budget.late_us:
                return

    def pause(self, pause_ms: int, reason: str) -> None:
        """Let no worker of this exchange and address ask for ``pause_ms``; a longer pause that holds already stays."""
        if pause_ms > self.paused_ms():
            self._redis.set(self._pause_key, reason[:500], px=pause_ms)

    def paused_ms(self) -> int:
        """How long the pause still lasts, ms; 0 when there is none."""
        return max(0, int(self._redis.pttl(self._pause_key)))

    def _paused_for(self, wait_s: float) -> str:
        reason = self._redis.get(self._pause_key)
        why = reason.decode(errors="replace") if isinstance(reason, bytes) else "it refused"
        return f"{self._exchange} is left alone for another {wait_s:.0f} s: {why}"
