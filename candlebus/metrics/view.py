"""All that the metrics tell of a bus, read in one go."""

from typing import Any

import msgspec
from redis import Redis

from bus import keys
from bus.counters import Counts, counts_of
from bus.group_status import GroupStatus
from bus.groups import GroupBook
from bus.living import aligners, schedulers
from producers.lag import ScheduledSeries, schedule_of
from producers.look import ExchangeLook, exchanges_of, look_at
from workers.exchanges import registry


class BusView(msgspec.Struct, frozen=True, kw_only=True):
    """A bus at one instant.

    Attributes:
        counts: Exchange → how much was done for it since the bus began.
        entries: Candle stream → how many entries it has.
        dead: Candle stream → how many of its entries were set aside.
    """

    looks: list[ExchangeLook]
    counts: dict[str, Counts]
    scheduled: list[ScheduledSeries]
    groups: list[GroupStatus]
    aligners: int
    schedulers: int
    entries: dict[str, int]
    dead: dict[str, int]


def view_of(redis: Redis) -> BusView:
    """Look at the bus.

    Raises:
        redis.RedisError: The server is away, or refuses.
    """
    exchanges = exchanges_of(redis, registry.names())
    streams = _streams(redis)
    dead = _lengths(redis, {stream: keys.dead(stream) for stream in streams})
    return BusView(
        looks=look_at(redis, exchanges),
        counts={exchange: counts_of(redis, exchange) for exchange in exchanges},
        scheduled=schedule_of(redis),
        groups=GroupBook(redis).statuses(),
        aligners=len(aligners(redis).names()),
        schedulers=len(schedulers(redis).names()),
        entries=_lengths(redis, {stream: stream for stream in streams}),
        dead=dict(filter(lambda found: found[1], dead.items())),
    )


def _streams(redis: Redis) -> list[str]:
    members: Any = redis.smembers(keys.streams())
    return sorted(member.decode(errors="replace") for member in members)


def _lengths(redis: Redis, where: dict[str, str]) -> dict[str, int]:
    """How many entries each stream has; 0 for what is none."""
    with redis.pipeline(transaction=False) as pipeline:
        for key in where.values():
            pipeline.xlen(key)
        found = pipeline.execute(raise_on_error=False)
    return {name: length if isinstance(length, int) else 0 for name, length in zip(where, found, strict=True)}
