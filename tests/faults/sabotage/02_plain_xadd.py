"""A page is appended by XADD, and the checkpoint moved by a second command."""

from typing import Any

import bus.streams
from bus import keys
from bus.codec import encode
from bus.messages import CandleBatch
from bus.requests import Claim
from bus.streams import Published, Publisher, gap_slots


def _publish(self: Publisher, claim: Claim, batch: CandleBatch, *, rejected: object = (), **counts: int) -> Published:
    redis: Any = self._redis
    stream = keys.candles(batch.exchange, batch.timeframe, batch.symbol)
    entry = redis.xadd(stream, {"s": redis.incr(keys.sequence(stream)), "b": encode(batch)})
    redis.sadd(keys.streams(), stream)
    record = keys.request(claim.request_id)
    redis.rpush(keys.pages(claim.request_id), f"{stream} {entry.decode()}")
    for name, count in {"pages": 1, "candles": batch.n, "gap_slots": gap_slots(batch), **counts}.items():
        redis.hincrby(record, name, count)
    redis.hset(record, mapping={"next_ms": batch.until, "stalls": 0})
    return Published("published", entry_id=entry.decode())


bus.streams.Publisher.publish = _publish  # type: ignore[method-assign]
