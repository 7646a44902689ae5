"""A group on a real server, pages for it, and an owner that aligns them when told to."""

from collections.abc import Iterable, Iterator
from typing import Any

from redis import Redis

from bus import keys
from bus.codec import candles_of, columns, decode, encode, rows_of
from bus.group_leases import GroupLeases
from bus.group_state import Restored, restored
from bus.messages import Candle, CandleBatch, Group, LateCandles
from bus.streams import follow_aligned
from tests.helpers import MINUTE_MS
from workers.aligner.group import GroupAligner
from workers.aligner.rounds import Outcome, Rounds

VENUES = ("bingx", "kucoinfutures")
SERIES = ["bingx:BTC/USDT:USDT", "kucoinfutures:BTC/USDT:USDT"]


def stream_of(exchange: str) -> str:
    return keys.candles(exchange, "1m", "BTC/USDT:USDT")


def publish(
    redis: Redis,
    exchange: str,
    minutes: Iterable[int],
    since: int,
    until: int,
    version: int = 1,
    *,
    price_of: int | None = None,
    entry_id: str = "*",
) -> None:
    """A batch of the exchange that settles minutes ``[since, until)``; prices are those of a version."""
    stream = stream_of(exchange)
    candles = [candle(exchange, minute, version if price_of is None else price_of) for minute in minutes]
    batch = CandleBatch(
        exchange=exchange,
        symbol="BTC/USDT:USDT",
        timeframe="1m",
        request_id="r",
        page=0,
        version=version,
        since=since * MINUTE_MS,
        until=until * MINUTE_MS,
        volume_unit="base",
        n=len(candles),
        **columns(candles),
    )
    redis.xadd(stream, {"s": redis.incr(keys.sequence(stream)), "b": encode(batch)}, id=entry_id)
    redis.sadd(keys.streams(), stream)


def candle(exchange: str, minute: int, version: int = 1) -> Candle:
    price = float(minute + version + (exchange == "bingx"))
    return Candle(minute * MINUTE_MS, price, price, price, price, 1.0)


class Owner:
    """Holds a group, and reads and commits when told to."""

    def __init__(self, redis: Redis, group: Group, name: str = "me") -> None:
        self._redis, self._group = redis, group
        self.leases = GroupLeases(redis, name)
        self._fence = self.leases.take([group.name], 1)[group.name]
        self.restart()

    def restart(self) -> None:
        """Go on from the last commit."""
        last = restored(self._redis, [self._group])[0]
        assert isinstance(last, Restored)
        self.aligner = GroupAligner(self._group, self._fence, last)
        self._rounds = Rounds(self._redis)

    def step(self) -> Outcome:
        return self._rounds.run([self.aligner]).outcomes[0]

    def align(self) -> None:
        """Until nothing is left."""
        while self.aligner.wants_more or self.step() == "committed":
            self.step()


def align(redis: Redis, group: Group) -> None:
    """What an owner does that takes the group, aligns what is there and lets go."""
    owner = Owner(redis, group)
    owner.align()
    owner.leases.release([group.name])


def late(redis: Redis) -> list[tuple[str, str, int, list[int]]]:
    """What the late stream holds: exchange, reason, version, minutes."""
    found: Any = redis.xrange(keys.late("g"))
    messages = [decode(fields[b"b"], LateCandles) for _, fields in found]
    minutes = [[one.open_time // MINUTE_MS for one in candles_of(message)] for message in messages]
    return [(m.source.partition(":")[0], m.reason, m.version, at) for m, at in zip(messages, minutes, strict=True)]


def unacknowledged(redis: Redis, exchange: str) -> int:
    found: Any = redis.xpending(stream_of(exchange), keys.align_consumer_group("g"))
    return int(found["pending"])


def written(redis: Redis) -> list[dict[str, Candle]]:
    batches: Iterator[object] = iter(follow_aligned(redis, "g", "start"))
    rows: list[dict[str, Candle]] = []
    for _ in range(redis.xlen(keys.aligned("g"))):
        rows += rows_of(next(batches))  # type: ignore[arg-type]
    return rows


def settle_both(redis: Redis, since: int, until: int, version: int = 1) -> None:
    for exchange in VENUES:
        publish(redis, exchange, range(since, until), since, until, version)


def minutes(rows: list[dict[str, Candle]]) -> list[int]:
    return [next(iter(row.values())).open_time // MINUTE_MS for row in rows]
