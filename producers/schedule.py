"""Keep series up to date: ask for each candle once it has closed, catch up after downtime, never ask twice.

What is asked for next is decided on the server: schedulers that run side by side, or come after one that was killed,
follow the request that is under way instead of asking for a part of it again.
"""

import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import redis as redis_library
from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from bus import keys
from bus.cache import Cache
from bus.clock import Clock, RedisClock
from bus.errors import BusError, BusUnavailable, CandleBusError
from bus.living import SCHEDULER_LIFE_MS, process_name, schedulers
from bus.messages import ClockOffset
from bus.refusals import may_pass
from bus.scripts import Script
from bus.series import Series
from bus.timeframes import SETTLE_MS, timeframe
from producers.client import Pending, Producer

_log = logging.getLogger(__name__)

#: Series of one timeframe close all at once; each is asked for a little later than the last, by its name.
JITTER_MS: Final = 1_000
#: After a request that failed, the same span is asked for again this much later, after another twice as much …
RETRY_MS: Final = 10_000
#: … and never later than this.
LONGEST_RETRY_MS: Final = 80_000
#: While a request is under way it is looked after this often.
_LOOK_MS: Final = 250
_RECONNECT_S: Final = 1.0


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
        self._name = _name(series, timeframe_name)
        self._since_ms = since_ms
        self._clock = clock
        self._cache = Cache(redis, clock)
        self._producer = Producer(redis)
        self._ask_script = Script(redis, "schedule_ask")
        self._pending: Pending | None = None
        self._not_before_ms = 0
        self._failures = 0
        self._jitter_ms = int(hashlib.sha256(self._name.encode()).hexdigest(), 16) % JITTER_MS

    def step(self) -> int:
        """Do what is due; ms until there may be more."""
        if self._pending is not None and not self._note(self._pending):
            return _LOOK_MS
        now_ms = self._now_ms()
        closed_ms = self._frame.floor(now_ms - SETTLE_MS - self._jitter_ms)
        begun_ms = self._begun_ms(closed_ms)
        if closed_ms > begun_ms and now_ms >= self._not_before_ms:
            self._try_to_ask(begun_ms, closed_ms)
            return _LOOK_MS
        next_ms = closed_ms + self._frame.duration_ms + SETTLE_MS + self._jitter_ms
        return max(self._not_before_ms if closed_ms > begun_ms else next_ms, now_ms) - now_ms

    def _now_ms(self) -> int:
        """The exchange's time as workers last told it, else the server's."""
        offset = self._cache.get(keys.clock_last(self._series.exchange), ClockOffset)
        return self._clock.now_ms() + (offset.low_ms if offset else 0)

    def _begun_ms(self, closed_ms: int) -> int:
        """Up to where the series has arrived, ms, exclusive."""
        known = self._redis.zscore(keys.schedule(), self._name)
        if known is not None:
            return int(known)
        return closed_ms - self._frame.duration_ms if self._since_ms is None else self._frame.ceil(self._since_ms)

    def _try_to_ask(self, begun_ms: int, closed_ms: int) -> None:
        try:
            self._ask(begun_ms, closed_ms)
        except (CandleBusError, ResponseError) as error:  # what is refused to this series may be granted to the others
            if _concerns_all(error):
                raise
            self._put_off(str(error))

    def _ask(self, begun_ms: int, closed_ms: int) -> None:
        where = [keys.schedule(), keys.schedule_asked()]
        span: list[int] = self._ask_script(where, [self._name, begun_ms, closed_ms])
        if not span:
            return  # another scheduler has just noted that it arrived
        since_ms, until_ms = span
        digest = hashlib.sha256(f"{self._name} {since_ms} {until_ms}".encode()).hexdigest()
        self._pending = self._producer.enqueue(
            self._series, self._frame.name, since=since_ms, until=until_ms, request_id=f"schedule-{digest[:32]}"
        )

    def _note(self, pending: Pending) -> bool:
        """Whether the request has ended; what it brought need not be asked for again."""
        try:
            status = pending.status()
        except BusError as error:  # the server lost it, or it ended an hour ago
            self._pending = None
            _log.warning("series asked for again", extra={"series": str(self._series), "cause": str(error)})
            return True
        if not status.has_ended:
            return False
        self._pending = None
        if status.state == "done" and status.until is not None:
            self._failures = 0
            self._redis.zadd(keys.schedule(), {self._name: status.until}, gt=True)
            counts = {"candles": status.candles, "gap_slots": status.gap_slots}
            _log.info("series up to date", extra={**self._fields(), **counts})
        else:
            self._put_off(str(status.error or status.state))
        return True

    def _put_off(self, cause: str) -> None:
        """Ask again after a while, which doubles as long as nothing arrives."""
        self._not_before_ms = self._now_ms() + min(LONGEST_RETRY_MS, RETRY_MS << min(self._failures, 10))
        self._failures += 1
        _log.warning("series not up to date", extra=self._fields() | {"cause": cause})

    def _fields(self) -> dict[str, object]:
        return {"series": str(self._series), "timeframe": self._frame.name}


def run_scheduler(redis: Redis, series: Sequence[Series], timeframe_name: str, *, since_ms: int | None) -> None:
    """Keep the series up to date for ever; a server that goes away is waited for.

    Raises:
        UnsupportedTimeframe: There is no such timeframe.
    """
    clock, roll, name = RedisClock(redis), schedulers(redis), process_name()
    scheduler = Scheduler(redis, series, timeframe_name, since_ms=since_ms, clock=clock)
    try:
        while True:
            try:
                roll.join(name, SCHEDULER_LIFE_MS)
                clock.sleep(min(scheduler.step(), SCHEDULER_LIFE_MS / 3000))
            except (redis_library.RedisError, BusUnavailable) as error:
                if not may_pass(error) and not isinstance(error, BusUnavailable):
                    raise
                _log.warning("server away", extra={"cause": str(error)})
                clock.sleep(_RECONNECT_S)
    finally:
        with suppress(redis_library.RedisError):  # it is taken for dead soon anyway
            roll.leave(name)


def forget(redis: Redis, series: Sequence[Series], timeframe_name: str) -> int:
    """Schedule the series no more, as far as no scheduler asks for them; how many were scheduled."""
    names = [_name(one, timeframe(timeframe_name).name) for one in series]
    redis.hdel(keys.schedule_asked(), *names)
    return int(redis.zrem(keys.schedule(), *names))


def _concerns_all(error: Exception) -> bool:
    """Whether the server would refuse any series now."""
    return may_pass(error) or isinstance(error, BusUnavailable | NoPermissionError)


def _name(series: Series, timeframe_name: str) -> str:
    """How a scheduled series is called on the server."""
    return f"{series.exchange}:{timeframe_name}:{series.symbol}"
