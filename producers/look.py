"""A bus seen from outside: who waits, who works, which exchanges are left alone for a while."""

from collections.abc import Sequence

import msgspec
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from bus import keys
from bus.queue import queue_of
from bus.traffic import Traffic, addresses, pause_reason, traffic
from producers.client import workers_of
from producers.lag import oldest_wait_ms


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange that nobody asks for a while from one address, because it had refused.

    Attributes:
        left_ms: How long it still lasts, ms.
    """

    egress: str
    left_ms: int
    reason: str


class ExchangeLook(msgspec.Struct, frozen=True, kw_only=True):
    """What goes on at one exchange.

    Attributes:
        queued: Turns that wait in its queue.
        open_requests: Requests that have not ended.
        oldest_wait_ms: How long the turn that is next has stood in the queue, ms; 0 when none does.
        workers: Processes that serve its queue.
        traffic: What all workers sent it in the last minute, how much of their pace that is, and whether its breaker
            is open, by address.
    """

    exchange: str
    queued: int
    open_requests: int
    oldest_wait_ms: int
    workers: int
    pauses: tuple[Pause, ...]
    traffic: tuple[Traffic, ...] = ()

    @property
    def is_deserted(self) -> bool:
        """Whether something waits that nobody will do."""
        return not self.workers and bool(self.queued or self.open_requests)


def exchanges_of(redis: Redis, known: Sequence[str]) -> list[str]:
    """The exchanges known, then those that somebody asked on this bus beside them, in alphabetical order."""
    queues = (queue.name for queue in Queue.all(connection=redis, serializer=JSONSerializer))
    asked = {name.removeprefix(keys.QUEUE_PREFIX) for name in queues if name.startswith(keys.QUEUE_PREFIX)}
    return [*known, *sorted(asked - set(known))]


def look_at(redis: Redis, exchanges: Sequence[str]) -> list[ExchangeLook]:
    """What goes on at these exchanges now."""
    asked, refused = addresses(redis, keys.traffic), addresses(redis, keys.pause)
    return [
        ExchangeLook(
            exchange=exchange,
            queued=queue_of(exchange, redis).count,
            open_requests=int(redis.zcard(keys.open_requests(exchange))),
            oldest_wait_ms=oldest_wait_ms(redis, exchange),
            workers=workers_of(redis, exchange),
            pauses=_pauses(redis, exchange, refused.get(exchange, [])),
            traffic=tuple(traffic(redis, exchange, egress) for egress in asked.get(exchange, [])),
        )
        for exchange in exchanges
    ]


def _pauses(redis: Redis, exchange: str, egresses: Sequence[str]) -> tuple[Pause, ...]:
    pauses = (_pause(redis, keys.pause(exchange, egress), egress) for egress in egresses)
    return tuple(pause for pause in pauses if pause.left_ms > 0)


def paused_ms(redis: Redis, exchange: str, egress: str) -> int:
    """How long nobody asks the exchange from that address, ms; 0 where there is no pause."""
    return max(0, int(redis.pttl(keys.pause(exchange, egress))))


def _pause(redis: Redis, key: str, egress: str) -> Pause:
    return Pause(egress=egress, left_ms=int(redis.pttl(key)), reason=pause_reason(redis.get(key)))
