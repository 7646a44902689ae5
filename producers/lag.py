"""How late the bus is: how long a turn has waited, and how long scheduled series have lacked a candle."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from redis import Redis
from rq.job import Job

from bus import keys
from bus.cache import Cache
from bus.clock import RedisClock
from bus.errors import UnsupportedTimeframe
from bus.messages import ClockOffset
from bus.queue import queue_of
from bus.timeframes import SETTLE_MS, timeframe


class ScheduledSeries(msgspec.Struct, frozen=True, kw_only=True):
    """A series that somebody keeps, or kept, up to date.

    Attributes:
        arrived_ms: Candles that open before this instant have arrived, ms.
        behind_ms: For how long the first one that has not arrived could have been here, ms; 0 when none is missing.
    """

    exchange: str
    symbol: str
    timeframe: str
    arrived_ms: int
    behind_ms: int


def oldest_wait_ms(redis: Redis, exchange: str) -> int:
    """How long the turn that is next in the exchange's queue has stood there, ms; 0 when none does."""
    first: Any = redis.lindex(queue_of(exchange, redis).key, 0)
    if first is None:
        return 0
    since: Any = redis.hget(Job.key_for(first.decode(errors="replace")), "enqueued_at")
    try:
        began = datetime.fromisoformat(since.decode()) if since else None
    except ValueError:
        return 0  # an app that writes no time that can be read
    if began is None:
        return 0
    began_ms = (began if began.tzinfo else began.replace(tzinfo=UTC)).timestamp() * 1000
    return max(0, RedisClock(redis).now_ms() - round(began_ms))


def schedule_of(redis: Redis) -> list[ScheduledSeries]:
    """All scheduled series, by name."""
    found: Any = redis.zrange(keys.schedule(), 0, -1, withscores=True)
    clock = RedisClock(redis)
    now_ms, cache = clock.now_ms(), Cache(redis, clock)
    offsets: dict[str, int] = {}
    series = []
    for member, arrived_ms in sorted(found):
        exchange, _, rest = member.decode(errors="replace").partition(":")
        if exchange not in offsets:
            offset = cache.get(keys.clock_last(exchange), ClockOffset)
            offsets[exchange] = offset.low_ms if offset else 0
        one = _scheduled(exchange, rest, int(arrived_ms), now_ms + offsets[exchange])
        series += [one] if one is not None else []
    return series


def _scheduled(exchange: str, rest: str, arrived_ms: int, now_ms: int) -> ScheduledSeries | None:
    name, _, symbol = rest.partition(":")
    try:
        frame = timeframe(name)
    except UnsupportedTimeframe:
        return None  # no scheduler of ours wrote it
    closed_since_ms = now_ms - SETTLE_MS - (frame.ceil(arrived_ms) + frame.duration_ms)
    return ScheduledSeries(
        exchange=exchange,
        symbol=symbol,
        timeframe=name,
        arrived_ms=arrived_ms,
        behind_ms=max(0, closed_since_ms),
    )
