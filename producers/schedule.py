"""Keep series up to date: ask for each candle once it has closed, catch up after downtime, never ask twice."""

import hashlib
import logging
from collections.abc import Sequence
from typing import Final

from redis import Redis

from bus import keys
from bus.cache import Cache
from bus.clock import Clock, RedisClock
from bus.messages import ClockOffset
from bus.series import Series
from bus.timeframes import SETTLE_MS, timeframe
from producers.client import Pending, Producer

_log = logging.getLogger(__name__)

#: Series of one timeframe close all at once; each is asked for a little later than the last, by its name.
JITTER_MS: Final = 1_000
#: After a request that failed, the same span is asked for again this much later.
RETRY_MS: Final = 10_000
#: While a request is under way it is looked after this often.
_LOOK_MS: Final = 250


class Scheduler:
    """Asks for the candles of several series as they close; several schedulers of one series ask once."""

    def __init__(
        self, redis: Redis, series: Sequence[Series], timeframe_name: str, *, since_ms: int | None, clock: Clock
    ) -> None:
        """Ask for nothing yet.

        Args:
            since_ms: Where series begin that were never scheduled; by default with the last candle that has closed.
            clock: The server's time.

        Raises:
            UnsupportedTimeframe: There is no such timeframe.
        """
        frame = timeframe(timeframe_name)
        self._clock = clock
        self._lines = [_Line(redis, one, frame.name, since_ms, clock) for one in series]

    def step(self) -> float:
        """Ask for what has closed and note what has arrived; seconds until there may be more to do."""
        wait_ms = min(line.step() for line in self._lines)
        return max(0.0, wait_ms / 1000)


class _Line:
    """One series that is kept up to date."""

    def __init__(self, redis: Redis, series: Series, timeframe_name: str, since_ms: int | None, clock: Clock) -> None:
        self._redis = redis
        self._series = series
        self._frame = timeframe(timeframe_name)
        self._name = f"{series.exchange}:{timeframe_name}:{series.symbol}"
        self._since_ms = since_ms
        self._clock = clock
        self._cache = Cache(redis, clock)
        self._producer = Producer(redis)
        self._pending: Pending | None = None
        self._not_before_ms = 0
        self._jitter_ms = int(hashlib.sha256(self._name.encode()).hexdigest(), 16) % JITTER_MS

    def step(self) -> int:
        """Do what is due; ms until there may be more."""
        if self._pending is not None and not self._note(self._pending):
            return _LOOK_MS
        now_ms = self._now_ms()
        closed_ms = self._frame.floor(now_ms - SETTLE_MS - self._jitter_ms)
        begun_ms = self._begun_ms(closed_ms)
        if closed_ms > begun_ms and now_ms >= self._not_before_ms:
            self._ask(begun_ms, closed_ms)
            return _LOOK_MS
        next_ms = closed_ms + self._frame.duration_ms + SETTLE_MS + self._jitter_ms
        return max(self._not_before_ms if closed_ms > begun_ms else next_ms, now_ms) - now_ms

    def _now_ms(self) -> int:
        """The exchange's time as far as workers have measured it, else the server's."""
        offset = self._cache.get(keys.clock(self._series.exchange), ClockOffset)
        return self._clock.now_ms() + (offset.low_ms if offset else 0)

    def _begun_ms(self, closed_ms: int) -> int:
        """Up to where the series has arrived, ms, exclusive."""
        known = self._redis.zscore(keys.schedule(), self._name)
        if known is not None:
            return int(known)
        return closed_ms - self._frame.duration_ms if self._since_ms is None else self._frame.ceil(self._since_ms)

    def _ask(self, since_ms: int, until_ms: int) -> None:
        digest = hashlib.sha256(f"{self._name} {since_ms} {until_ms}".encode()).hexdigest()
        self._pending = self._producer.enqueue(
            self._series, self._frame.name, since=since_ms, until=until_ms, request_id=f"schedule-{digest[:32]}"
        )

    def _note(self, pending: Pending) -> bool:
        """Whether the request has ended; what it brought need not be asked for again."""
        status = pending.status()
        if not status.has_ended:
            return False
        self._pending = None
        fields = {"series": str(self._series), "timeframe": self._frame.name}
        if status.state == "done" and status.until is not None:
            self._redis.zadd(keys.schedule(), {self._name: status.until}, gt=True)
            _log.info("series up to date", extra={**fields, "candles": status.candles, "gap_slots": status.gap_slots})
        else:
            self._not_before_ms = self._now_ms() + RETRY_MS
            _log.warning("series not up to date", extra={**fields, "cause": str(status.error or status.state)})
        return True


def run_scheduler(redis: Redis, series: Sequence[Series], timeframe_name: str, *, since_ms: int | None) -> None:
    """Keep the series up to date for ever.

    Raises:
        UnsupportedTimeframe: There is no such timeframe.
        redis.RedisError: The server is away.
    """
    clock = RedisClock(redis)
    scheduler = Scheduler(redis, series, timeframe_name, since_ms=since_ms, clock=clock)
    while True:
        clock.sleep(scheduler.step())
